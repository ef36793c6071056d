"""A render over a service that is there takes nothing of what its owner has made, and no more than its own away."""

import re
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from effects import template_files
from matrix import ROOT, TOGGLES
from rendering import break_it, call_cookiecutter, contents, copy_template, load_hook

NAME = "async-django-service"
OVERWRITE = "--overwrite-if-exists"
SKIP = "--skip-if-file-exists"
ON = [f"{toggle}=yes" for toggle in TOGGLES]
OFF = [f"{toggle}=no" for toggle in TOGGLES]
# What an owner may have where the template has files for answers that were not given.
OWN = {
    "catalog/services.py": "def reserve() -> None: ...\n",
    "runtime/postgres/embedded/mine.py": "MINE = True\n",
    "tests/test_events.py": "# none yet\n",
}


def render(directory: Path, *arguments: str, template: Path = ROOT) -> CompletedProcess[str]:
    """Render as a person would, which must succeed."""
    result = call_cookiecutter(directory, "--no-input", *arguments, template=template)
    assert result.returncode == 0, result.stderr
    return result


def write(service: Path, files: dict[str, str]) -> None:
    """Write what an owner has made into a service."""
    for path, text in files.items():
        (service / path).parent.mkdir(parents=True, exist_ok=True)
        (service / path).write_text(text, encoding="utf-8")


def read(service: Path, paths: dict[str, str]) -> dict[str, str]:
    """Return what is still there of an owner's files."""
    return {path: (service / path).read_text(encoding="utf-8") for path in paths if (service / path).exists()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bytes, int]]:
    """Return what a service without any toggle consists of."""
    directory = tmp_path_factory.mktemp("plain")
    render(directory, *OFF)
    return contents(directory / "output" / NAME)


def test_what_the_owner_has_added_or_edited(tmp_path: Path, plain: dict[str, tuple[bytes, int]]) -> None:
    service = tmp_path / "output" / NAME
    added = {"orders/models.py": "# mine\n", ".env": "SECRET_KEY=mine\n", "catalog/orders.py": "# mine\n"}
    edited = {"config/urls.py": "urlpatterns = []\n", "README.md": "# Mine\n"}
    render(tmp_path, *OFF)
    write(service, added | edited)

    # An option keeps what is edited.
    render(tmp_path, *OFF, OVERWRITE, SKIP)
    assert read(service, added | edited) == added | edited
    # The other alone says that it overwrites.
    render(tmp_path, *OFF, OVERWRITE)
    assert read(service, added) == added
    assert contents(service) == plain | {path: contents(service)[path] for path in added if path != ".env"}


@pytest.mark.parametrize("options", [[OVERWRITE], [OVERWRITE, SKIP]], ids=["overwrite", "skip"])
def test_what_the_owner_has_where_a_file_is_dropped(
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
        "This was there before and may be yours, so it stays, though no answer needs it: "
        "tests/test_events.py, runtime/postgres/embedded/mine.py, catalog/api.py, catalog/services.py.\n"
    )


def test_a_toggle_that_goes_takes_its_files_with_it(tmp_path: Path, plain: dict[str, tuple[bytes, int]]) -> None:
    service = tmp_path / "output" / NAME
    render(tmp_path, *ON)
    edited = {"catalog/consumers.py": "# mine\n"}
    write(service, edited)
    # As Python leaves behind.
    write(service, {"runtime/postgres/embedded/__pycache__/base.cpython-313.pyc": ""})

    message = render(tmp_path, *OFF, OVERWRITE).stdout

    # The view also changes with the wrappers, so it is not what it would be now.
    stay = {"catalog/consumers.py", "catalog/views/products.py"}
    assert set(contents(service)) == {*plain, *stay}
    assert {path: entry for path, entry in contents(service).items() if path not in stay} == plain
    assert read(service, edited) == edited
    assert all(path in message for path in stay)
    # What goes with the last answer comes with the next.
    render(tmp_path, *ON, OVERWRITE)
    assert set(load_hook("post_gen_project")["MANIFEST"]["use_channels"]) <= set(contents(service))


def test_without_an_option_an_existing_folder_is_refused(tmp_path: Path) -> None:
    service = tmp_path / "output" / NAME
    own = {"notes.txt": "mine\n"}
    write(service, own)

    result = call_cookiecutter(tmp_path, "--no-input")

    assert result.returncode == 1
    assert "already exists" in result.stdout
    assert {path.name: path.read_text(encoding="utf-8") for path in service.iterdir()} == own


def test_an_env_that_leads_elsewhere_stays(tmp_path: Path) -> None:
    env = tmp_path / "output" / NAME / ".env"
    env.parent.mkdir(parents=True)
    env.symlink_to(tmp_path / "not-mounted-now")

    render(tmp_path, OVERWRITE)
    assert env.readlink() == tmp_path / "not-mounted-now"
    assert not (tmp_path / "not-mounted-now").exists()


# A path in a service, and where a link there leads: to a file, a folder, or nothing.
LINKS = {
    "a file that is rendered": ("README.md", "outside/file"),
    "a file that is dropped": ("catalog/api.py", "outside/file"),
    "a file deep down": (".github/workflows/ci.yml", "outside/file"),
    "a folder": ("catalog", "outside"),
    "a folder that is dropped": ("runtime/postgres/embedded", "outside"),
    "a file that is not there": ("manage.py", "outside/nothing"),
    "the marker of a render": ("UNFINISHED", "outside/nothing"),
    "by way of a link inside": ("tests/settings.py", "output/async-django-service/alias/file"),
    "in a folder that a link inside leads to": ("config", "output/async-django-service/own"),
}


@pytest.mark.parametrize("options", [[OVERWRITE], [OVERWRITE, SKIP]], ids=["overwrite", "skip"])
@pytest.mark.parametrize("link", LINKS)
def test_a_link_out_of_the_service_is_refused(tmp_path: Path, link: str, options: list[str]) -> None:
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
    [line] = re.findall(r"'(.+)' is a symbolic link to '(.+)', outside the service; put .+ there\.\n", result.stderr)
    assert line[0] == refused
    assert Path(line[1]).is_relative_to(tmp_path / "outside")
    assert sorted(service.rglob("*")) == before
    assert contents(tmp_path / "outside") == {"file": (b"mine\n", 0o644)}


def test_links_that_stay_inside_or_that_no_file_of_ours_is_at_are_kept(tmp_path: Path) -> None:
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


def test_links_are_looked_for_at_whatever_is_rendered() -> None:
    names = {path.split("/")[0] for path in template_files()}

    assert load_hook("pre_gen_project")["TOP_LEVEL"] == names | {"UNFINISHED"}


def test_whatever_can_be_dropped_is_kept_a_copy_of() -> None:
    dropped = {path.split("/")[0] for paths in load_hook("post_gen_project")["MANIFEST"].values() for path in paths}

    assert dropped <= load_hook("pre_gen_project")["OWN_PACKAGES"]


COMPARED = "written != status.st_mtime_ns and file.read_bytes() == before.read_bytes()"


@pytest.mark.parametrize(
    ("hook", "old", "new", "options"),
    [
        pytest.param("pre", "for package in OWN_PACKAGES:", "for package in ():", [OVERWRITE], id="copies nothing"),
        pytest.param("post", "shutil.copy2(before, file)", "pass", [OVERWRITE], id="puts nothing back"),
        pytest.param("post", COMPARED, "True", [OVERWRITE], id="takes all for the template's"),
        pytest.param("post", COMPARED, COMPARED.split(" and ")[1], [OVERWRITE, SKIP], id="sees nothing skipped"),
    ],
)
def test_a_hook_is_noticed_that(tmp_path: Path, hook: str, old: str, new: str, options: list[str]) -> None:
    service = tmp_path / "output" / NAME
    template = copy_template(tmp_path / "template")
    break_it(template, f"hooks/{hook}_gen_project.py", old, new)
    write(service, OWN)

    render(tmp_path, *OFF, *options, template=template)
    assert read(service, OWN) != OWN
