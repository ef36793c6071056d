"""cookiecutter renders the same bytes on every kind of machine, and a refusal leaves no files."""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from devtools.commands import UV, check_output, run
from devtools.matrix import ROOT, TOGGLES
from devtools.rendering import break_source, call_cookiecutter, contents, copy_template
from tests.support.expectations import template_files

pytestmark = pytest.mark.slow(10)

type Contents = dict[str, tuple[bytes, int]]

# The folder of the service with every answer at its default. The hook removes files and a folder from it.
NAME = "async-django-service"
BAD = ("project_slug=../evil", "author_email=ada")
# The versions of Python that cookiecutter 2.7 supports.
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
# Removes the privileges of root, so that root cannot write to a read-only folder either.
UNPRIVILEGED = 'exec "$@"' if os.geteuid() else 'exec setpriv --bounding-set=-all --inh-caps=-all "$@"'

ENVIRONMENTS: dict[str, dict[str, Any]] = {
    # No git and no other program.
    "no program on PATH": {"PATH": "/nowhere"},
    "an ASCII locale": {
        "LC_ALL": "POSIX",
        "LANG": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii:strict",
    },
    "a strict Python": {"PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1", "PYTHONSAFEPATH": "1"},
}
SCRIPTS = {
    "files that all users can read": 'umask 000; exec "$@"',
    "files for the owner only": 'umask 077; exec "$@"',
    "no stdin, stdout and stderr": 'exec "$@" <&- >&- 2>&-',
    "a full disk behind stdout": 'exec "$@" >/dev/full',
    "a reader that has exited": '{ "$@"; echo $? >"$TMPDIR/status"; } | :; exit $(cat "$TMPDIR/status")',
}


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    """Return the contents of a service that an ordinary machine renders."""
    directory = tmp_path_factory.mktemp("usual")
    return check_rendered(call_cookiecutter(directory, "--no-input"), directory / "output")


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """Return an empty folder on another device than pytest's."""
    here = Path(tempfile.gettempdir()).stat().st_dev
    folders = [Path("/dev/shm"), Path("/run"), Path("/var/tmp"), Path.home(), ROOT]  # noqa: S108
    others = [path for path in folders if path.is_dir() and path.stat().st_dev != here and os.access(path, os.W_OK)]
    assert others, f"none of {folders} is a writable folder on another device than {tempfile.gettempdir()}"
    with tempfile.TemporaryDirectory(dir=others[0]) as directory:
        yield Path(directory)


def check_rendered(result: CompletedProcess[str], output: Path, name: str = NAME) -> Contents:
    """Check that a render left a service and nothing else. Return the contents of the service."""
    assert result.returncode == 0, result.stdout + result.stderr
    assert [path.name for path in output.iterdir()] == [name]
    env = output / name / ".env"
    assert re.search(r"^SECRET_KEY=.{50,}$", env.read_text(encoding="utf-8"), re.MULTILINE)
    assert env.stat().st_mode & 0o777 == 0o600
    return contents(output / name)


def check_refused(result: CompletedProcess[str], directory: Path) -> None:
    """Check that both wrong answers were refused, each in one line, and that no file is left."""
    assert result.returncode == 1
    assert [line.split(" must ")[0] for line in result.stderr.splitlines()[:2]] == [
        "project_slug: '../evil'",
        "author_email: 'ada'",
    ]
    check_no_files(directory)


def check_no_files(directory: Path) -> None:
    """Check that a refusal left no file in the output folder nor where the slug leads."""
    assert {path.name for path in directory.iterdir()} <= {"output", "scripts", "replays", "config.yaml"}
    assert list((directory / "output").iterdir()) == []


def without_home(directory: Path, home: str, script: str) -> CompletedProcess[str]:
    """Render with a home that cannot be written to."""
    folder = ROOT / "README.md" / "home"
    if home == "read-only":
        folder = directory / "home"
        folder.mkdir(mode=0o555)
    return call_cookiecutter(directory, "--no-input", script=script, HOME=str(folder))


@pytest.mark.parametrize("version", PYTHONS)
def test_every_python_renders_the_same_and_refuses_the_same(tmp_path: Path, usual: Contents, version: str) -> None:
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
    # pyenv's launchers look here for their version. Without pyenv, uv downloads a Python.
    (tmp_path / ".python-version").write_text(version, encoding="utf-8")
    installed = run(
        tmp_path,
        *(UV, "tool", "run", "--quiet", "--python", version, "--from", "cookiecutter>=2.7,<2.8"),
        *("python", "-c", "import sys; print(sys.executable)"),
        PATH=os.environ["PATH"],
    )
    assert installed.returncode == 0, f"no Python {version}, try `uv python install {version}`:\n{installed.stderr}"
    python = installed.stdout.strip()
    assert f"(Python {version}." in check_output(tmp_path, str(Path(python).with_name("cookiecutter")), "--version")

    good = call_cookiecutter(tmp_path / "good", "--no-input", python=python)
    assert check_rendered(good, tmp_path / "good" / "output") == usual
    check_refused(call_cookiecutter(tmp_path / "bad", "--no-input", *BAD, python=python), tmp_path / "bad")


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_unusual_environment_renders_the_same(tmp_path: Path, usual: Contents, environment: dict[str, Any]) -> None:
    result = call_cookiecutter(tmp_path, "--no-input", **environment)
    assert check_rendered(result, tmp_path / "output") == usual


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_unusual_shell_renders_the_same(tmp_path: Path, usual: Contents, script: str) -> None:
    result = call_cookiecutter(tmp_path, "--no-input", script=script)
    assert check_rendered(result, tmp_path / "output") == usual


def test_refusal_without_stderr_leaves_no_files(tmp_path: Path) -> None:
    assert call_cookiecutter(tmp_path, "--no-input", *BAD, script='exec "$@" <&- >&- 2>&-').returncode == 1
    check_no_files(tmp_path)


def test_name_that_the_terminal_cannot_show_is_rendered(tmp_path: Path) -> None:
    # With the locale C, Python uses UTF-8 for files. PYTHONIOENCODING sets the encoding of the terminal only.
    result = call_cookiecutter(
        tmp_path, "--no-input", "project_name=Kafé 日本", LC_ALL="C", PYTHONIOENCODING="ascii:strict"
    )
    files = check_rendered(result, tmp_path / "output", "kafe-ri-ben")

    assert files["README.md"][0].decode().startswith("# Kafé 日本\n")
    assert result.stdout.startswith(r"Kaf\xe9 \u65e5\u672c: ")


def test_name_that_the_locale_cannot_decode_is_refused(tmp_path: Path) -> None:
    result = call_cookiecutter(tmp_path, "--no-input", "project_name=Kafé", **ENVIRONMENTS["an ASCII locale"])

    assert result.stderr.startswith(r"project_name: 'Kaf\udcc3\udca9' must be Unicode, as a terminal with a UTF-8 ")
    check_no_files(tmp_path)


@pytest.mark.parametrize("where", ["two words, 日本語 naïve", "/".join(["a" * 250] * 3), "link"])
def test_unusual_output_folder_renders_the_same(tmp_path: Path, usual: Contents, where: str) -> None:
    output = tmp_path / "output" / where
    if where == "link":
        output.parent.mkdir()
        (tmp_path / "afar").mkdir()
        output.symlink_to(tmp_path / "afar")

    result = call_cookiecutter(tmp_path, "--no-input", "--output-dir", where)
    assert check_rendered(result, output) == usual


def test_unusual_template_folder_renders_the_same(tmp_path: Path, usual: Contents) -> None:
    template = copy_template(tmp_path / "a template, 日本語 naïve")

    # The locale cannot even decode this path.
    result = call_cookiecutter(tmp_path, "--no-input", template=template, **ENVIRONMENTS["an ASCII locale"])
    assert check_rendered(result, tmp_path / "output") == usual


def test_hooks_and_output_on_another_device_render_the_same(tmp_path: Path, elsewhere: Path, usual: Contents) -> None:
    (tmp_path / "link").symlink_to(elsewhere)

    # The hooks are on another device, behind a link.
    result = call_cookiecutter(tmp_path, "--no-input", TMPDIR=str(tmp_path / "link"))
    assert check_rendered(result, tmp_path / "output") == usual
    # The output folder is on another device.
    result = call_cookiecutter(tmp_path, "--no-input", "--output-dir", str(elsewhere / "output"))
    assert check_rendered(result, elsewhere / "output") == usual


def test_modules_in_the_folder_of_the_hooks_are_not_imported(tmp_path: Path, usual: Contents) -> None:
    # cookiecutter runs the hooks from the folder for temporary files, where every user can write.
    (tmp_path / "scripts").mkdir()
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "hooks").glob("*.py")]
    for module in re.findall(r"^(?:import|from) (\w+)", "\n".join(sources), re.MULTILINE):
        (tmp_path / "scripts" / f"{module}.py").write_text("raise SystemExit(__file__)\n", encoding="utf-8")

    result = call_cookiecutter(tmp_path, "--no-input")
    assert check_rendered(result, tmp_path / "output") == usual


@pytest.mark.parametrize("home", ["absent", "read-only"])
def test_cookiecutter_fails_without_a_writable_home(tmp_path: Path, home: str) -> None:
    # cookiecutter stores the answers for a replay in the home before it runs the hooks.
    result = without_home(tmp_path, home, script=f"unset COOKIECUTTER_CONFIG; {UNPRIVILEGED}")

    assert result.returncode == 1
    assert re.search("Unable to create directory at .*/home/.cookiecutter_replay", result.stderr)
    assert list((tmp_path / "output").iterdir()) == []


def test_replay_dir_in_configuration_replaces_the_home(tmp_path: Path, usual: Contents) -> None:
    # The configuration of all these tests has a `replay_dir`.
    result = without_home(tmp_path, "read-only", script=UNPRIVILEGED)
    assert check_rendered(result, tmp_path / "output") == usual


def test_render_without_hooks_has_every_file_and_no_env(tmp_path: Path) -> None:
    answers = [f"{toggle}=no" for toggle in TOGGLES]
    output = tmp_path / "output"

    result = call_cookiecutter(tmp_path, "--no-input", "--accept-hooks", "no", "--output-dir", "no", *answers)
    assert result.returncode == 0
    service = output / "no" / NAME
    assert set(contents(service)) == template_files()
    assert not (service / ".env").exists()
    # The files of options that are off do no harm.
    check_output(service, "ruff", "check", "--no-cache", ".")
    check_output(service, "ruff", "format", "--check", "--no-cache", ".")
    check_output(service, "python", "manage.py", "check", DEBUG="true")
    # Wrong answers are not refused.
    result = call_cookiecutter(tmp_path, "--no-input", "--accept-hooks", "no", "--output-dir", "bad", *BAD)
    assert result.returncode == 0
    assert [path.name for path in (output / "bad").iterdir()] == ["refused-project-slug"]


def test_hooks_accepted_at_the_prompt_render_the_same(tmp_path: Path, usual: Contents) -> None:
    result = call_cookiecutter(tmp_path, "--no-input", "--accept-hooks", "ask", answered="y\n")
    assert check_rendered(result, tmp_path / "output") == usual


def test_replay_renders_the_same(tmp_path: Path) -> None:
    answers = ("project_name=Ünïcode & Sons", "use_channels=no", "use_postgres=yes", "asgi_server=granian")
    name = "unicode-sons"
    outputs = [tmp_path / "output" / str(number) for number in range(3)]
    replay = tmp_path / "replays" / f"{ROOT.name}.json"

    first, second, third = (
        check_rendered(call_cookiecutter(tmp_path, *arguments, "--output-dir", output.name), output, name)
        for arguments, output in zip(
            [("--no-input", *answers), ("--replay",), ("--replay-file", str(replay))], outputs, strict=True
        )
    )

    assert first == second == third


def test_wrong_answers_in_an_edited_replay_are_refused(tmp_path: Path) -> None:
    # cookiecutter keeps refused answers for a replay, too.
    check_refused(call_cookiecutter(tmp_path, "--no-input", *BAD), tmp_path)
    [replay] = (tmp_path / "replays").iterdir()
    answers = json.loads(replay.read_text(encoding="utf-8"))
    answers["cookiecutter"] |= {"project_slug": "My Shop", "use_channels": "no"}
    replay.write_text(json.dumps(answers), encoding="utf-8")

    result = call_cookiecutter(tmp_path, "--replay")
    assert re.findall(r"^.* must .*(?=\. Valid)", result.stderr, re.MULTILINE) == [
        "project_slug: 'My Shop' must be lower-case letters a-z and digits, with single - or _ between them, "
        "and start with a letter",
        "author_email: 'ada' must be an e-mail address",
        "use_channels: 'no' must be true or false",
    ]
    check_no_files(tmp_path)


def test_refused_answers_that_are_corrected_in_the_replay_are_rendered(tmp_path: Path, usual: Contents) -> None:
    check_refused(call_cookiecutter(tmp_path, "--no-input", *BAD), tmp_path)
    [replay] = (tmp_path / "replays").iterdir()
    answers = json.loads(replay.read_text(encoding="utf-8"))
    assert answers["cookiecutter"]["project_slug"] == "refused-project-slug"
    answers["cookiecutter"] |= {"project_slug": NAME, "author_email": "ada@example.com"}
    replay.write_text(json.dumps(answers), encoding="utf-8")

    assert check_rendered(call_cookiecutter(tmp_path, "--replay"), tmp_path / "output") == usual


def test_cookiecutter_prints_a_traceback_and_leaves_the_hooks(tmp_path: Path) -> None:
    refused = call_cookiecutter(tmp_path, "--no-input", *BAD)
    assert "Traceback (most recent call last)" in refused.stdout
    assert refused.stdout.splitlines()[-1] == "Hook script failed (exit status: 1)"

    check_rendered(call_cookiecutter(tmp_path, "--no-input"), tmp_path / "output")

    # One hook of the refusal, two of the render.
    left = list((tmp_path / "scripts").glob("tmp*.py"))
    secret = (tmp_path / "output" / NAME / ".env").read_text(encoding="utf-8").rpartition("=")[2].strip()
    assert len(left) == 3
    assert not any(secret in path.read_text(encoding="utf-8") for path in left)


@pytest.mark.parametrize("answer", ["use_postgres=postgres", "asgi_server=gunicorn"])
def test_cookiecutter_stops_at_a_wrong_choice_on_the_command_line(tmp_path: Path, answer: str) -> None:
    result = call_cookiecutter(tmp_path, "--no-input", answer, "author_email=ada")

    key, _, value = answer.partition("=")
    assert result.returncode == 1
    assert re.match(rf"ValueError: {value} provided for .*variable {key}", result.stderr.splitlines()[-1])
    check_no_files(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param(
            "    print_message(next", '    (service / "left").touch()\n    print_message(next', "'left'", id="file"
        ),
        pytest.param("mode=0o600", "mode=0o666", "511.* == 384", id="readable secret"),
        pytest.param(
            "    print_message(next",
            '    os.execlp("git", "git")\n    print_message(next',
            r"execlp\(\"git\"",
            id="other program",
        ),
        pytest.param("print(message, flush=True)", "print(message)", "exit status: 120", id="failed print"),
    ],
)
def test_mistake_in_a_hook_is_detected(tmp_path: Path, usual: Contents, old: str, new: str, message: str) -> None:
    template = copy_template(tmp_path / "template")
    break_source(template, "hooks/post_gen_project.py", old, new)

    shell = {"PATH": "/nowhere", "script": 'exec "$@" >/dev/full'}
    result = call_cookiecutter(tmp_path, "--no-input", template=template, **shell)
    with pytest.raises(AssertionError, match=message):
        assert check_rendered(result, tmp_path / "output") == usual


def test_file_that_a_refusal_leaves_is_detected(tmp_path: Path) -> None:
    template = copy_template(tmp_path / "template")
    break_source(
        template, "hooks/pre_gen_project.py", "    if lines:", '    (service.parent / "left").touch()\n    if lines:'
    )

    (tmp_path / "bad").mkdir()
    result = call_cookiecutter(tmp_path / "bad", "--no-input", *BAD, template=template)
    with pytest.raises(AssertionError, match="left"):
        check_refused(result, tmp_path / "bad")
