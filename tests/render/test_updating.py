"""A service follows the template: with cruft, its owner takes over what a newer release changes, and loses nothing."""

import json
import os
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from devtools.commands import OWNER, commit, run, succeed
from devtools.matrix import QUESTIONS, ROOT, SERVERS, TOGGLES, USUAL, Answers, all_off, all_on
from devtools.rendering import contents, copy_repository, render
from tests.support.expectations import TEMPLATE, check_files

pytestmark = pytest.mark.slow(20)

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
[CRUFT] = [dependency for dependency in PROJECT["dependency-groups"]["dev"] if dependency.startswith("cruft")]
DOCUMENT = (ROOT / "docs" / "updating.md").read_text(encoding="utf-8")
# Its sections before whose commands something has to happen.
NEWS, PLAIN = "Check for changes", "Link an existing service"

# The release that a service comes from, and one that the tests make up. Both are tags.
OLDER = PROJECT["project"]["version"]
NEWER = "2999.1.0"
# What the newer release changes, adds and removes.
CHANGED, ADDED, REMOVED = "config/settings.py", "runtime/added.py", "compose.yaml"

# No home, no configuration of git, and English. cruft needs no more, nor anyone's name: it commits nothing.
ALONE = {
    "HOME": "/nonexistent",
    "XDG_CONFIG_HOME": "",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "LC_ALL": "C.UTF-8",
}
UPDATE = ("cruft", "update", "--skip-apply-ask")


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, and return what it printed."""
    return succeed(folder, "git", *arguments, **ALONE | OWNER)


def cruft(service: Path, command: str, *arguments: str) -> str:
    """Run a command of cruft that must succeed, and return what it printed."""
    return succeed(service, "cruft", command, *arguments, **ALONE)


def update(service: Path, *arguments: str) -> str:
    """Update a service, to the newest release unless told otherwise, and return what was printed."""
    return succeed(service, *UPDATE, *arguments, **ALONE)


def answer(service: Path, **answers: object) -> None:
    """Change answers of a service without changing its release, and commit what that brings."""
    update(service, "--checkout", OLDER, "--variables-to-update", json.dumps(answers))
    commit(service)


def replace(path: Path, old: str, new: str) -> None:
    """Replace what a file says, wherever it says it."""
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def prepend(path: Path, line: str) -> None:
    """Put a line before all others."""
    path.write_text(line + path.read_text(encoding="utf-8"), encoding="utf-8")


def append(path: Path, line: str) -> None:
    """Put a line after all others."""
    path.write_text(path.read_text(encoding="utf-8") + line, encoding="utf-8")


def tree(service: Path) -> dict[str, tuple[bytes, bool]]:
    """Return the bytes of each file and whether it is executable, but for git's files, cruft's and the secret."""
    return {
        path: (text, bool(mode & 0o111))
        for path, (text, mode) in contents(service).items()
        if path.partition("/")[0] not in {".git", ".cruft.json"}
    }


def state(service: Path) -> Answers:
    """Return the answers that cruft has noted for a service, and what the template keeps for itself."""
    noted: Answers = json.loads((service / ".cruft.json").read_text(encoding="utf-8"))["context"]["cookiecutter"]
    return noted


def release_another(template: Path) -> None:
    """Commit and tag a newer release, which differs from the one before in each way that a release can."""
    service = template / TEMPLATE.name
    replace(service / "pyproject.toml", OLDER, NEWER)
    prepend(service / CHANGED, "# From the template.\n")
    (service / REMOVED).unlink()
    for path in (ADDED, "catalog/added.py"):
        (service / path).write_text("# From the template.\n", encoding="utf-8")
    questions = template / "cookiecutter.json"
    replace(questions, '"asgi_server": [', '"another": "default", "asgi_server": [')
    # Even its block tags.
    for file in (questions, *service.rglob("*")):
        if file.is_file():
            replace(file, "# {%", "#: {%")
    commit(template)
    git(template, "tag", NEWER)


def release(folder: Path) -> Path:
    """Make a repository of the template with one release: the template of here, with the usual answers as defaults."""
    questions = copy_repository(folder) / "cookiecutter.json"
    defaults = QUESTIONS | USUAL | {"asgi_server": SERVERS}
    questions.write_text(json.dumps(defaults, indent=2), encoding="utf-8")
    commit(folder)
    git(folder, "tag", OLDER)
    return folder


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository of the template that has both releases."""
    folder = release(tmp_path_factory.mktemp("releases") / "template")
    release_another(folder)
    return folder


@pytest.fixture(scope="session")
def begun(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a service of the older release, committed as it was rendered, without any toggle."""
    folder = tmp_path_factory.mktemp("begun")
    arguments = ("--checkout", OLDER, "--no-input", "--default-config", "--extra-context", json.dumps(all_off()))
    cruft(folder, "create", str(template), *arguments)
    [service] = folder.iterdir()
    commit(service)
    return service


@pytest.fixture
def service(begun: Path, tmp_path: Path) -> Path:
    """Return that service, to do with as one likes."""
    return shutil.copytree(begun, tmp_path / begun.name)


def own(service: Path) -> None:
    """Do what an owner does: edit, add and delete files, lock dependencies, and keep a secret."""
    append(service / CHANGED, "# From the owner.\n")
    replace(service / "pyproject.toml", 'skip = [".env"]', 'skip = [".env", "catalog"]')
    (service / "orders").mkdir()
    for path in ("orders/models.py", "uv.lock", "db.sqlite3"):
        (service / path).write_text("# From the owner.\n", encoding="utf-8")
    (service / "Dockerfile").unlink()
    (service / ".env").write_text("SECRET_KEY=the owner's\n", encoding="utf-8")
    commit(service)


def differing(diff: str) -> set[str]:
    """Return the files that a diff is about."""
    return set(re.findall(r"^diff --git upstream-template-old/(\S+) ", diff, re.MULTILINE))


def check_newer(service: Path, template: Path, directory: Path) -> None:
    """Check that a service is what the newer release renders, to the byte."""
    fresh = render({key: value for key, value in state(service).items() if key[0] != "_"}, directory, template)
    assert tree(service) == tree(fresh)


def test_cruft_renders_what_cookiecutter_does(begun: Path, tmp_path: Path) -> None:
    rendered = render(all_off(), tmp_path)

    assert tree(begun) == tree(rendered)
    (*lines, secret), (*same, another) = (
        (path / ".env").read_text(encoding="utf-8").splitlines() for path in (begun, rendered)
    )
    assert lines == same
    assert secret.startswith("SECRET_KEY=")
    assert secret != another
    assert (begun / ".env").stat().st_mode & 0o777 == 0o600


def test_what_the_owner_has_edited_is_shown_and_nothing_else(service: Path) -> None:
    own(service)

    diff = cruft(service, "diff")
    assert differing(diff) == {CHANGED, "pyproject.toml"}
    assert re.findall(r"^[-+](?![-+]).*", diff, re.MULTILINE) == [
        "-# From the owner.",
        '-skip = [".env", "catalog"]',
        '+skip = [".env"]',
    ]


def test_without_its_skip_a_secret_would_be_shown(service: Path) -> None:
    replace(service / "pyproject.toml", 'skip = [".env"]', "skip = []")

    diff = cruft(service, "diff")
    assert differing(diff) == {"pyproject.toml", ".env"}
    assert "SECRET_KEY" in diff


def test_an_update_brings_what_is_new_and_keeps_what_is_the_owners(
    service: Path, template: Path, tmp_path: Path
) -> None:
    own(service)
    before = tree(service)

    update(service)

    expected = tree(render(all_off(), tmp_path / "fresh", template))
    assert REMOVED not in expected
    assert before[CHANGED][0].endswith(b"# From the owner.\n")
    expected[CHANGED] = (b"# From the template.\n" + before[CHANGED][0], False)
    expected["pyproject.toml"] = (before["pyproject.toml"][0].replace(OLDER.encode(), NEWER.encode()), False)
    # What the owner has deleted, and what the owner has had skipped.
    del expected["Dockerfile"], expected["catalog/added.py"]
    expected |= {path: before[path] for path in ("orders/models.py", "uv.lock", "db.sqlite3")}
    assert tree(service) == expected
    assert (service / ".env").read_text(encoding="utf-8") == "SECRET_KEY=the owner's\n"
    # cruft takes a new question's default, and the template's own variables, without being told to.
    assert state(service)["_jinja2_env_vars"]["block_start_string"] == "#: {%"
    assert state(service)["another"] == "default"


def test_an_update_that_brings_nothing_is_noticed(service: Path, template: Path, tmp_path: Path) -> None:
    update(service, "--skip-update")
    with pytest.raises(AssertionError, match="settings"):
        check_newer(service, template, tmp_path / "fresh")


def test_a_conflict_is_marked_and_nothing_is_lost(service: Path) -> None:
    prepend(service / CHANGED, "# From the owner.\n")
    (service / ADDED).write_text("# From the owner.\n", encoding="utf-8")
    commit(service)

    told = run(service, *UPDATE, **ALONE).stderr

    for path in (CHANGED, ADDED):
        assert f"Applied patch to '{path}' with conflicts." in told
        assert (service / path).read_text(encoding="utf-8").splitlines()[:5] == [
            "<<<<<<< ours",
            "# From the owner.",
            "=======",
            "# From the template.",
            ">>>>>>> theirs",
        ]
    assert {f"UU {CHANGED}", f"AA {ADDED}"} < set(git(service, "status", "--short").splitlines())
    # What is not in conflict has come.
    assert not (service / REMOVED).exists()


def test_a_conflict_without_a_common_past_is_put_beside_the_file(service: Path) -> None:
    # Whose first commit has the owner's edits already, so that git does not know what they were made to.
    shutil.rmtree(service / ".git")
    prepend(service / CHANGED, "# From the owner.\n")
    append(service / REMOVED, "# From the owner.\n")
    (service / ADDED).write_text("# From the owner.\n", encoding="utf-8")
    commit(service)
    before = tree(service)

    told = run(service, *UPDATE, **ALONE).stderr

    after = tree(service)
    assert b"+# From the template.\n" in after[f"{CHANGED}.rej"][0]
    for path in (CHANGED, REMOVED, ADDED):
        assert after[path] == before[path]
        assert f"error: {path}" in told or f"error: patch failed: {path}" in told
    assert f"{REMOVED}.rej" not in after
    # What is not in conflict has come, and what is can be asked for.
    assert NEWER.encode() in after["pyproject.toml"][0]
    assert differing(cruft(service, "diff")) == {CHANGED, ADDED}


def test_work_that_is_not_committed_is_left_alone(service: Path) -> None:
    append(service / CHANGED, "# From the owner.\n")
    before = tree(service)

    result = run(service, *UPDATE, **ALONE)

    assert result.returncode == 1
    assert "unclean git project" in result.stdout
    assert tree(service) == before


@pytest.mark.parametrize("toggle", TOGGLES)
def test_a_toggle_is_turned_on_and_off_again(service: Path, tmp_path: Path, toggle: str) -> None:
    before = tree(service)
    answers = all_off() | {toggle: True}

    answer(service, **{toggle: True})
    after = tree(service)
    check_files(dict.fromkeys({*after, ".env"}, ""), answers)
    assert after == tree(render(answers, tmp_path / "fresh"))

    answer(service, **{toggle: False})
    assert tree(service) == before


def test_every_answer_changes_at_once_and_so_does_the_server(service: Path, tmp_path: Path) -> None:
    for server in reversed(SERVERS):
        answers = all_on(server)
        answer(service, **answers)
        assert tree(service) == tree(render(answers, tmp_path / server))


def test_a_service_can_take_another_name(service: Path, tmp_path: Path) -> None:
    # A question that does not exist is passed over.
    answer(service, project_slug="shop", project_slag="shap")

    # In the folder that it has.
    assert tree(service) == tree(render(all_off() | {"project_slug": "shop"}, tmp_path / "fresh"))


def test_a_refused_answer_changes_nothing(service: Path) -> None:
    before = tree(service)

    result = run(service, *UPDATE, "--variables-to-update", '{"project_slug": "../evil"}', **ALONE)

    assert result.returncode == 1
    assert result.stderr.startswith("project_slug: '../evil' must be lower-case letters")
    assert tree(service) == before
    assert git(service, "status", "--short") == ""


def test_a_service_that_cookiecutter_made_is_linked_and_updated(template: Path, tmp_path: Path) -> None:
    # It may be a folder of a larger repository.
    service = render(all_off(), tmp_path / "repository" / "services")
    commit(tmp_path / "repository")

    arguments = ("--checkout", OLDER, "--no-input", "--default-config", "--extra-context", json.dumps(all_off()))
    cruft(service, "link", str(template), *arguments)
    git(service, "add", "--all")
    git(service, "commit", "--quiet", "--message", "Link")
    update(service)

    check_newer(service, template, tmp_path / "fresh")


def test_a_replay_renders_the_same(tmp_path: Path) -> None:
    environment = ALONE | {"HOME": str(tmp_path)}
    arguments = [f"{key}={value}" for key, value in all_on("granian").items()]

    succeed(tmp_path, "cookiecutter", str(ROOT), "--no-input", "--output-dir", "first", *arguments, **environment)
    [replay] = tmp_path.glob(".cookiecutter_replay/*.json")
    command = ("cookiecutter", str(ROOT), "--replay-file", str(replay), "--output-dir", "second")
    succeed(tmp_path, *command, **environment)

    [[first], [second]] = ((tmp_path / name).iterdir() for name in ("first", "second"))
    assert tree(first) == tree(second)


def commands(document: str) -> dict[str, str]:
    """Return the commands of a document, by the heading that they stand under."""
    sections = [section.partition("\n") for section in document.split("\n## ")[1:]]
    return {
        heading: "".join(re.findall(r"^```sh\n([^`]+)^```$", text, re.MULTILINE))
        for heading, _, text in sections
        if "\n```sh\n" in text
    }


def follow(document: str, directory: Path) -> str:
    """Run the commands of a document in their order, and commit what each section brings; return what the last says."""
    template = release(directory / "template")
    service = directory / "async-django-service"
    said = ""
    for heading, block in commands(document).items():
        if heading == NEWS:
            release_another(template)
        elif heading == PLAIN:
            shutil.rmtree(service)
            render({}, directory)
        script = block.replace(f'uvx "{CRUFT}" ', "cruft ")
        script = script.replace("<this repository>", str(template)).replace("<release>", OLDER)
        assert not re.search("uvx|<", script), f"who knows what this runs: {script}"
        # Every question is answered with its default.
        shell = ("sh", "-c", f"yes '' | {{ set -e\n{script}}}")
        result = run(service if service.exists() else directory, *shell, **ALONE | OWNER)
        said = result.stdout
        assert result.returncode == (heading == NEWS), f"{script}exited {result.returncode}:\n{said}{result.stderr}"
        commit(service)
    return said


def test_the_commands_of_the_document_work_one_after_the_other(tmp_path: Path) -> None:
    used = re.findall(rf'^uvx "{CRUFT}" (\w+)', "".join(commands(DOCUMENT).values()), re.MULTILINE)
    assert set(used) == {"create", "check", "update", "link", "diff"}
    assert {NEWS, PLAIN} < set(commands(DOCUMENT))

    # The last command shows what linking did not know of the service: nothing.
    assert differing(follow(DOCUMENT, tmp_path)) == set()


def test_a_command_of_the_document_that_does_not_work_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="No such option"):
        follow(f'\n## Start\n\n```sh\nuvx "{CRUFT}" create <this repository> --not-an-option\n```\n', tmp_path)
