"""A render over an existing service keeps its owner's files, and removes only files that a render wrote."""

import re
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from devtools.matrix import ROOT, TOGGLES
from devtools.rendering import break_source, call_cookiecutter, contents, copy_template, load_hook
from tests.support.expectations import template_files

NAME = "async-django-service"
OVERWRITE = "--overwrite-if-exists"
SKIP = "--skip-if-file-exists"
ON = [f"{toggle}=yes" for toggle in TOGGLES]
OFF = [f"{toggle}=no" for toggle in TOGGLES]
# Files of the owner at paths that the template uses for other answers.
OWN = {
    "catalog/services.py": "def reserve() -> None: ...\n",
    "runtime/postgres/embedded/mine.py": "MINE = True\n",
    "tests/test_events.py": "# none yet\n",
}


def render(directory: Path, *arguments: str, template: Path = ROOT) -> CompletedProcess[str]:
    """Render on the command line. The render must succeed."""
    result = call_cookiecutter(directory, "--no-input", *arguments, template=template)
    assert result.returncode == 0, result.stderr
    return result


def write(service: Path, files: dict[str, str]) -> None:
    """Write the owner's files into a service."""
    for path, text in files.items():
        (service / path).parent.mkdir(parents=True, exist_ok=True)
        (service / path).write_text(text, encoding="utf-8")


def read(service: Path, paths: dict[str, str]) -> dict[str, str]:
    """Return the owner's files that still exist."""
    return {path: (service / path).read_text(encoding="utf-8") for path in paths if (service / path).exists()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bytes, int]]:
    """Return the contents of a service without any toggle."""
    directory = tmp_path_factory.mktemp("plain")
    render(directory, *OFF)
    return contents(directory / "output" / NAME)


def test_files_that_the_owner_added_or_edited_are_kept_as_the_options_say(
    tmp_path: Path, plain: dict[str, tuple[bytes, int]]
) -> None:
    service = tmp_path / "output" / NAME
    added = {"orders/models.py": "# mine\n", ".env": "SECRET_KEY=mine\n", "catalog/orders.py": "# mine\n"}
    edited = {"config/urls.py": "urlpatterns = []\n", "README.md": "# Mine\n"}
    render(tmp_path, *OFF)
    write(service, added | edited)

    # With --skip-if-file-exists, edits are kept.
    render(tmp_path, *OFF, OVERWRITE, SKIP)
    assert read(service, added | edited) == added | edited
    # With --overwrite-if-exists alone, they are overwritten.
    render(tmp_path, *OFF, OVERWRITE)
    assert read(service, added) == added
    assert contents(service) == plain | {path: contents(service)[path] for path in added if path != ".env"}


@pytest.mark.parametrize("options", [[OVERWRITE], [OVERWRITE, SKIP]], ids=["overwrite", "skip"])
def test_files_of_the_owner_at_paths_of_other_answers_are_kept(
    tmp_path: Path, plain: dict[str, tuple[bytes, int]], options: list[str]
) -> None:
    service = tmp_path / "output" / NAME
    render(tmp_path, *OFF)
    write(service, OWN)
    (service / "catalog/services.py").chmod(0o640)
    write(service, {"api.py": "# mine, elsewhere\n"})
    (service / "catalog/api.py").symlink_to("../api.py")

    message = render(tmp_path, *OFF, *options).stdout

    assert read(service, OWN) == OWN
    assert (service / "catalog/services.py").stat().st_mode & 0o777 == 0o640
    assert (service / "catalog/api.py").readlink() == Path("../api.py")
    assert (service / "api.py").read_text(encoding="utf-8") == "# mine, elsewhere\n"
    assert set(contents(service)) == {*plain, *OWN, "catalog/api.py", "api.py"}
    assert message.endswith(
        "Kept, although these answers do not need them, because they may be yours: "
        "tests/test_events.py, runtime/postgres/embedded/mine.py, catalog/api.py, catalog/services.py\n"
    )


def test_files_of_a_toggle_that_is_now_off_are_removed(tmp_path: Path, plain: dict[str, tuple[bytes, int]]) -> None:
    service = tmp_path / "output" / NAME
    render(tmp_path, *ON)
    edited = {"catalog/consumers.py": "# mine\n"}
    write(service, edited)
    # Python leaves bytecode of an imported module.
    write(service, {"runtime/postgres/embedded/__pycache__/base.cpython-313.pyc": ""})

    message = render(tmp_path, *OFF, OVERWRITE).stdout

    # The view also depends on the wrappers, so it differs from the one that this render wrote.
    stay = {"catalog/consumers.py", "catalog/views/products.py"}
    assert set(contents(service)) == {*plain, *stay}
    assert {path: entry for path, entry in contents(service).items() if path not in stay} == plain
    assert read(service, edited) == edited
    assert all(path in message for path in stay)
    # The files return when the toggle is on again.
    render(tmp_path, *ON, OVERWRITE)
    assert set(load_hook("post_gen_project")["MANIFEST"]["use_channels"]) <= set(contents(service))


def test_existing_folder_without_an_option_is_refused(tmp_path: Path) -> None:
    service = tmp_path / "output" / NAME
    own = {"notes.txt": "mine\n"}
    write(service, own)

    result = call_cookiecutter(tmp_path, "--no-input")

    assert result.returncode == 1
    assert "already exists" in result.stdout
    assert {path.name: path.read_text(encoding="utf-8") for path in service.iterdir()} == own


def test_env_that_is_a_link_is_kept(tmp_path: Path) -> None:
    env = tmp_path / "output" / NAME / ".env"
    env.parent.mkdir(parents=True)
    env.symlink_to(tmp_path / "not-mounted-now")

    render(tmp_path, OVERWRITE)
    assert env.readlink() == tmp_path / "not-mounted-now"
    assert not (tmp_path / "not-mounted-now").exists()


# A path in a service, and the target of a link there: a file, a folder, or nothing.
LINKS = {
    "a file that is rendered": ("README.md", "outside/file"),
    "a file that is removed": ("catalog/api.py", "outside/file"),
    "a file in a subfolder": (".github/workflows/ci.yml", "outside/file"),
    "a folder": ("catalog", "outside"),
    "a folder that is removed": ("runtime/postgres/embedded", "outside"),
    "a file that is not there": ("manage.py", "outside/nothing"),
    "the marker of a render": ("UNFINISHED", "outside/nothing"),
    "through a link inside": ("tests/settings.py", "output/async-django-service/alias/file"),
    "in a folder that a link inside leads to": ("config", "output/async-django-service/own"),
}


@pytest.mark.parametrize("options", [[OVERWRITE], [OVERWRITE, SKIP]], ids=["overwrite", "skip"])
@pytest.mark.parametrize("link", LINKS)
def test_link_out_of_the_service_is_refused(tmp_path: Path, link: str, options: list[str]) -> None:
    service = tmp_path / "output" / NAME
    path, target = LINKS[link]
    write(tmp_path, {"outside/file": "mine\n"})
    write(service, {"notes.txt": "mine\n", "own/notes.txt": "mine\n"})
    (service / "alias").symlink_to(tmp_path / "outside")
    (service / "own/urls.py").symlink_to(tmp_path / "outside/file")
    (service / path).parent.mkdir(parents=True, exist_ok=True)
    (service / path).symlink_to(tmp_path / target)
    before = sorted(service.rglob("*"))

    result = call_cookiecutter(tmp_path, "--no-input", *options)

    assert result.returncode == 1
    refused = "config/urls.py" if path == "config" else path
    [line] = re.findall(r"'(.+)' is a symbolic link to '(.+)', outside the service\. Replace .+\.\n", result.stderr)
    assert line[0] == refused
    assert Path(line[1]).is_relative_to(tmp_path / "outside")
    assert sorted(service.rglob("*")) == before
    assert contents(tmp_path / "outside") == {"file": (b"mine\n", 0o644)}


def test_links_inside_the_service_or_at_other_paths_are_kept(tmp_path: Path) -> None:
    service = tmp_path / "output" / NAME
    write(tmp_path, {"outside/file": "mine\n"})
    write(service, {"docs/README.md": "mine\n", "src/mine.py": ""})
    links = {"README.md": "docs/README.md", "catalog": "src", "media": "../../outside", ".venv": "../../outside"}
    for path, target in links.items():
        (service / path).symlink_to(target)

    render(tmp_path, OVERWRITE)

    assert {path: str((service / path).readlink()) for path in links} == links
    assert (service / "docs/README.md").read_text(encoding="utf-8").startswith("# Async Django Service\n")
    assert (service / "src/models.py").exists()
    assert contents(tmp_path / "outside") == {"file": (b"mine\n", 0o644)}


def test_links_are_checked_at_every_rendered_path() -> None:
    names = {path.split("/")[0] for path in template_files()}

    assert load_hook("pre_gen_project")["TOP_LEVEL"] == names | {"UNFINISHED"}


def test_every_removable_file_is_in_a_package_that_is_backed_up() -> None:
    removable = {path.split("/")[0] for paths in load_hook("post_gen_project")["MANIFEST"].values() for path in paths}

    assert removable <= load_hook("pre_gen_project")["OWN_PACKAGES"]


COMPARED = "old_time != status.st_mtime_ns and file.read_bytes() == backup.read_bytes()"


@pytest.mark.parametrize(
    ("hook", "old", "new", "options"),
    [
        pytest.param("pre", "for package in OWN_PACKAGES:", "for package in ():", [OVERWRITE], id="no backup"),
        pytest.param("post", "shutil.copy2(backup, file)", "pass", [OVERWRITE], id="nothing restored"),
        pytest.param("post", COMPARED, "True", [OVERWRITE], id="owner's files removed"),
        pytest.param("post", COMPARED, COMPARED.split(" and ")[1], [OVERWRITE, SKIP], id="skipped files removed"),
    ],
)
def test_mistake_in_a_hook_is_detected(tmp_path: Path, hook: str, old: str, new: str, options: list[str]) -> None:
    service = tmp_path / "output" / NAME
    template = copy_template(tmp_path / "template")
    break_source(template, f"hooks/{hook}_gen_project.py", old, new)
    write(service, OWN)

    render(tmp_path, *OFF, *options, template=template)
    assert read(service, OWN) != OWN
