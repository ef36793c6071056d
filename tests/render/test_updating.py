"""Updates with cruft bring the changes of a newer release to a service and keep its owner's changes."""

import json
import os
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from devtools.commands import GIT_IDENTITY, check_output, commit, run
from devtools.matrix import DEFAULT_ANSWERS, QUESTIONS, ROOT, SERVERS, TOGGLES, Answers, all_off, all_on
from devtools.rendering import contents, copy_repository, render
from tests.support.expectations import TEMPLATE, check_files

pytestmark = pytest.mark.slow(20)

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
[CRUFT] = [dependency for dependency in PROJECT["dependency-groups"]["dev"] if dependency.startswith("cruft")]
DOCUMENT = (ROOT / "docs" / "updating.md").read_text(encoding="utf-8")
# The headings of two sections whose commands need a preparation.
NEWS, PLAIN = "Check for changes", "Link an existing service"

# The current release, and a newer one that the tests invent. Both are tags.
OLDER = PROJECT["project"]["version"]
NEWER = "2999.1.0"
# A file that the newer release changes, one that it adds, and one that it removes.
CHANGED, ADDED, REMOVED = "config/settings.py", "runtime/added.py", "compose.yaml"

# No home, no git configuration, and English messages. cruft does not need an author, because it commits nothing.
ISOLATED = {
    "HOME": "/nonexistent",
    "XDG_CONFIG_HOME": "",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "LC_ALL": "C.UTF-8",
}
UPDATE = ("cruft", "update", "--skip-apply-ask")


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, and return its output."""
    return check_output(folder, "git", *arguments, **ISOLATED | GIT_IDENTITY)


def cruft(service: Path, command: str, *arguments: str) -> str:
    """Run a command of cruft, and return its output. Raises AssertionError if it fails."""
    return check_output(service, "cruft", command, *arguments, **ISOLATED)


def update(service: Path, *arguments: str) -> str:
    """Update a service, by default to the newest release, and return the output."""
    return check_output(service, *UPDATE, *arguments, **ISOLATED)


def answer(service: Path, **answers: object) -> None:
    """Change answers of a service without changing its release, and commit the result."""
    update(service, "--checkout", OLDER, "--variables-to-update", json.dumps(answers))
    commit(service)


def replace(path: Path, old: str, new: str) -> None:
    """Replace every occurrence of a text in a file."""
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def prepend(path: Path, line: str) -> None:
    """Insert a line at the start of a file."""
    path.write_text(line + path.read_text(encoding="utf-8"), encoding="utf-8")


def append(path: Path, line: str) -> None:
    """Append a line to a file."""
    path.write_text(path.read_text(encoding="utf-8") + line, encoding="utf-8")


def tree(service: Path) -> dict[str, tuple[bytes, bool]]:
    """Return the bytes of each file and whether it is executable. Skip the files of git and cruft, and the secret."""
    return {
        path: (text, bool(mode & 0o111))
        for path, (text, mode) in contents(service).items()
        if path.partition("/")[0] not in {".git", ".cruft.json"}
    }


def state(service: Path) -> Answers:
    """Return the answers and the private variables that cruft has stored in a service."""
    stored: Answers = json.loads((service / ".cruft.json").read_text(encoding="utf-8"))["context"]["cookiecutter"]
    return stored


def release_another(template: Path) -> None:
    """Commit and tag a newer release that changes, adds and removes files, and adds a question."""
    service = template / TEMPLATE.name
    replace(service / "pyproject.toml", OLDER, NEWER)
    prepend(service / CHANGED, "# From the template.\n")
    (service / REMOVED).unlink()
    for path in (ADDED, "catalog/added.py"):
        (service / path).write_text("# From the template.\n", encoding="utf-8")
    questions = template / "cookiecutter.json"
    replace(questions, '"asgi_server": [', '"another": "default", "asgi_server": [')
    # Change even the block tags.
    for file in (questions, *service.rglob("*")):
        if file.is_file():
            replace(file, "# {%", "#: {%")
    commit(template)
    git(template, "tag", NEWER)


def release(folder: Path) -> Path:
    """Create a repository of the template with one release, whose defaults are the usual answers."""
    questions = copy_repository(folder) / "cookiecutter.json"
    defaults = QUESTIONS | DEFAULT_ANSWERS | {"asgi_server": SERVERS}
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
def pristine(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a service of the older release without any toggle, committed as it was rendered."""
    folder = tmp_path_factory.mktemp("pristine")
    arguments = ("--checkout", OLDER, "--no-input", "--default-config", "--extra-context", json.dumps(all_off()))
    cruft(folder, "create", str(template), *arguments)
    [service] = folder.iterdir()
    commit(service)
    return service


@pytest.fixture
def service(pristine: Path, tmp_path: Path) -> Path:
    """Return a copy of that service, which a test may change."""
    return shutil.copytree(pristine, tmp_path / pristine.name)


def own(service: Path) -> None:
    """Change a service as its owner would: edit, add and delete files, lock dependencies, set a secret."""
    append(service / CHANGED, "# From the owner.\n")
    replace(service / "pyproject.toml", 'skip = [".env"]', 'skip = [".env", "catalog"]')
    (service / "orders").mkdir()
    for path in ("orders/models.py", "uv.lock", "db.sqlite3"):
        (service / path).write_text("# From the owner.\n", encoding="utf-8")
    (service / "Dockerfile").unlink()
    (service / ".env").write_text("SECRET_KEY=the owner's\n", encoding="utf-8")
    commit(service)


def differing(diff: str) -> set[str]:
    """Return the paths in a diff."""
    return set(re.findall(r"^diff --git upstream-template-old/(\S+) ", diff, re.MULTILINE))


def check_newer(service: Path, template: Path, directory: Path) -> None:
    """Check that a service equals a render of the newer release, to the byte."""
    fresh = render({key: value for key, value in state(service).items() if key[0] != "_"}, directory, template)
    assert tree(service) == tree(fresh)


def test_cruft_renders_the_same_as_cookiecutter(pristine: Path, tmp_path: Path) -> None:
    rendered = render(all_off(), tmp_path)

    assert tree(pristine) == tree(rendered)
    (*lines, secret), (*same, another) = (
        (path / ".env").read_text(encoding="utf-8").splitlines() for path in (pristine, rendered)
    )
    assert lines == same
    assert secret.startswith("SECRET_KEY=")
    assert secret != another
    assert (pristine / ".env").stat().st_mode & 0o777 == 0o600


def test_diff_shows_only_edits_of_the_owner(service: Path) -> None:
    own(service)

    diff = cruft(service, "diff")
    assert differing(diff) == {CHANGED, "pyproject.toml"}
    assert re.findall(r"^[-+](?![-+]).*", diff, re.MULTILINE) == [
        "-# From the owner.",
        '-skip = [".env", "catalog"]',
        '+skip = [".env"]',
    ]


def test_diff_without_skip_shows_the_secret(service: Path) -> None:
    replace(service / "pyproject.toml", 'skip = [".env"]', "skip = []")

    diff = cruft(service, "diff")
    assert differing(diff) == {"pyproject.toml", ".env"}
    assert "SECRET_KEY" in diff


def test_update_brings_new_files_and_keeps_changes_of_the_owner(service: Path, template: Path, tmp_path: Path) -> None:
    own(service)
    before = tree(service)

    update(service)

    expected = tree(render(all_off(), tmp_path / "fresh", template))
    assert REMOVED not in expected
    assert before[CHANGED][0].endswith(b"# From the owner.\n")
    expected[CHANGED] = (b"# From the template.\n" + before[CHANGED][0], False)
    expected["pyproject.toml"] = (before["pyproject.toml"][0].replace(OLDER.encode(), NEWER.encode()), False)
    # The owner has deleted the first file, and has made cruft skip the second.
    del expected["Dockerfile"], expected["catalog/added.py"]
    expected |= {path: before[path] for path in ("orders/models.py", "uv.lock", "db.sqlite3")}
    assert tree(service) == expected
    assert (service / ".env").read_text(encoding="utf-8") == "SECRET_KEY=the owner's\n"
    # cruft stores the default of a new question and the template's private variables.
    assert state(service)["_jinja2_env_vars"]["block_start_string"] == "#: {%"
    assert state(service)["another"] == "default"


def test_update_without_changes_fails_the_check(service: Path, template: Path, tmp_path: Path) -> None:
    update(service, "--skip-update")
    with pytest.raises(AssertionError, match="settings"):
        check_newer(service, template, tmp_path / "fresh")


def test_conflict_is_marked_in_the_file(service: Path) -> None:
    prepend(service / CHANGED, "# From the owner.\n")
    (service / ADDED).write_text("# From the owner.\n", encoding="utf-8")
    commit(service)

    stderr = run(service, *UPDATE, **ISOLATED).stderr

    for path in (CHANGED, ADDED):
        assert f"Applied patch to '{path}' with conflicts." in stderr
        assert (service / path).read_text(encoding="utf-8").splitlines()[:5] == [
            "<<<<<<< ours",
            "# From the owner.",
            "=======",
            "# From the template.",
            ">>>>>>> theirs",
        ]
    assert {f"UU {CHANGED}", f"AA {ADDED}"} < set(git(service, "status", "--short").splitlines())
    # The changes without conflicts are applied.
    assert not (service / REMOVED).exists()


def test_conflict_without_common_history_is_written_to_a_rej_file(service: Path) -> None:
    # The first commit already contains the owner's edits, so git does not know the original files.
    shutil.rmtree(service / ".git")
    prepend(service / CHANGED, "# From the owner.\n")
    append(service / REMOVED, "# From the owner.\n")
    (service / ADDED).write_text("# From the owner.\n", encoding="utf-8")
    commit(service)
    before = tree(service)

    stderr = run(service, *UPDATE, **ISOLATED).stderr

    after = tree(service)
    assert b"+# From the template.\n" in after[f"{CHANGED}.rej"][0]
    for path in (CHANGED, REMOVED, ADDED):
        assert after[path] == before[path]
        assert f"error: {path}" in stderr or f"error: patch failed: {path}" in stderr
    assert f"{REMOVED}.rej" not in after
    # The changes without conflicts are applied. `cruft diff` shows the others.
    assert NEWER.encode() in after["pyproject.toml"][0]
    assert differing(cruft(service, "diff")) == {CHANGED, ADDED}


def test_update_with_uncommitted_changes_is_refused(service: Path) -> None:
    append(service / CHANGED, "# From the owner.\n")
    before = tree(service)

    result = run(service, *UPDATE, **ISOLATED)

    assert result.returncode == 1
    assert "unclean git project" in result.stdout
    assert tree(service) == before


@pytest.mark.parametrize("toggle", TOGGLES)
def test_toggle_can_be_turned_on_and_off_again(service: Path, tmp_path: Path, toggle: str) -> None:
    before = tree(service)
    answers = all_off() | {toggle: True}

    answer(service, **{toggle: True})
    after = tree(service)
    check_files(dict.fromkeys({*after, ".env"}, ""), answers)
    assert after == tree(render(answers, tmp_path / "fresh"))

    answer(service, **{toggle: False})
    assert tree(service) == before


def test_every_answer_can_change_at_once(service: Path, tmp_path: Path) -> None:
    for server in reversed(SERVERS):
        answers = all_on(server)
        answer(service, **answers)
        assert tree(service) == tree(render(answers, tmp_path / server))


def test_slug_can_change(service: Path, tmp_path: Path) -> None:
    # cruft ignores a question that does not exist.
    answer(service, project_slug="shop", project_slag="shap")

    # The folder of the service keeps its name.
    assert tree(service) == tree(render(all_off() | {"project_slug": "shop"}, tmp_path / "fresh"))


def test_refused_answer_changes_nothing(service: Path) -> None:
    before = tree(service)

    result = run(service, *UPDATE, "--variables-to-update", '{"project_slug": "../evil"}', **ISOLATED)

    assert result.returncode == 1
    assert result.stderr.startswith("project_slug: '../evil' must be lower-case letters")
    assert tree(service) == before
    assert git(service, "status", "--short") == ""


def test_service_that_cookiecutter_rendered_is_linked_and_updated(template: Path, tmp_path: Path) -> None:
    # The service may be a folder of a larger repository.
    service = render(all_off(), tmp_path / "repository" / "services")
    commit(tmp_path / "repository")

    arguments = ("--checkout", OLDER, "--no-input", "--default-config", "--extra-context", json.dumps(all_off()))
    cruft(service, "link", str(template), *arguments)
    git(service, "add", "--all")
    git(service, "commit", "--quiet", "--message", "Link")
    update(service)

    check_newer(service, template, tmp_path / "fresh")


def test_replay_renders_the_same(tmp_path: Path) -> None:
    environment = ISOLATED | {"HOME": str(tmp_path)}
    arguments = [f"{key}={value}" for key, value in all_on("granian").items()]

    check_output(tmp_path, "cookiecutter", str(ROOT), "--no-input", "--output-dir", "first", *arguments, **environment)
    [replay] = tmp_path.glob(".cookiecutter_replay/*.json")
    command = ("cookiecutter", str(ROOT), "--replay-file", str(replay), "--output-dir", "second")
    check_output(tmp_path, *command, **environment)

    [[first], [second]] = ((tmp_path / name).iterdir() for name in ("first", "second"))
    assert tree(first) == tree(second)


def commands(document: str) -> dict[str, str]:
    """Return the commands of a document, by heading."""
    sections = [section.partition("\n") for section in document.split("\n## ")[1:]]
    return {
        heading: "".join(re.findall(r"^```sh\n([^`]+)^```$", text, re.MULTILINE))
        for heading, _, text in sections
        if "\n```sh\n" in text
    }


def follow(document: str, directory: Path) -> str:
    """Run the commands of a document in order, and commit after each section. Return the output of the last section."""
    template = release(directory / "template")
    service = directory / "async-django-service"
    output = ""
    for heading, block in commands(document).items():
        if heading == NEWS:
            release_another(template)
        elif heading == PLAIN:
            shutil.rmtree(service)
            render({}, directory)
        script = block.replace(f'uvx "{CRUFT}" ', "cruft ")
        script = script.replace("<this repository>", str(template)).replace("<release>", OLDER)
        assert not re.search("uvx|<", script), f"unexpected program or placeholder: {script}"
        # Every question is answered with its default.
        shell = ("sh", "-c", f"yes '' | {{ set -e\n{script}}}")
        result = run(service if service.exists() else directory, *shell, **ISOLATED | GIT_IDENTITY)
        output = result.stdout
        assert result.returncode == (heading == NEWS), f"{script}exited {result.returncode}:\n{output}{result.stderr}"
        commit(service)
    return output


def test_commands_of_the_document_succeed_in_their_order(tmp_path: Path) -> None:
    used = re.findall(rf'^uvx "{CRUFT}" (\w+)', "".join(commands(DOCUMENT).values()), re.MULTILINE)
    assert set(used) == {"create", "check", "update", "link", "diff"}
    assert {NEWS, PLAIN} < set(commands(DOCUMENT))

    # The last command shows the differences after linking. There are none.
    assert differing(follow(DOCUMENT, tmp_path)) == set()


def test_wrong_command_of_the_document_is_reported(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="No such option"):
        follow(f'\n## Start\n\n```sh\nuvx "{CRUFT}" create <this repository> --not-an-option\n```\n', tmp_path)
