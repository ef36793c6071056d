"""Whatever the machine is like, cookiecutter's own command renders the same bytes, and a refusal leaves nothing."""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from effects import template_files
from matrix import ROOT, TOGGLES
from rendering import UV, break_it, call_cookiecutter, contents, copy_template, run, succeed

type Contents = dict[str, tuple[bytes, int]]

# The folder of the service that has every answer at its default. Files are dropped from it, and a folder.
NAME = "async-django-service"
BAD = ("project_slug=../evil", "author_email=ada")
# What cookiecutter 2.7 runs on; the hooks run on the same.
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
# A folder that only root could write to is one that root, too, cannot write to, without its privileges.
AS_ANYBODY = 'exec "$@"' if os.geteuid() else 'exec setpriv --bounding-set=-all --inh-caps=-all "$@"'

ENVIRONMENTS: dict[str, dict[str, Any]] = {
    # Neither git nor anything else.
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
    "files for everybody": 'umask 000; exec "$@"',
    "files for the owner only": 'umask 077; exec "$@"',
    "no stdin, stdout and stderr": 'exec "$@" <&- >&- 2>&-',
    "a full disk behind stdout": 'exec "$@" >/dev/full',
    "a reader that has gone": '{ "$@"; echo $? >"$TMPDIR/status"; } | :; exit $(cat "$TMPDIR/status")',
}


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    """Return what a service usually consists of."""
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
    """Check that a render has left a service and nothing else; return what that consists of."""
    assert result.returncode == 0, result.stdout + result.stderr
    assert [path.name for path in output.iterdir()] == [name]
    env = output / name / ".env"
    assert re.search(r"^SECRET_KEY=.{50,}$", env.read_text(encoding="utf-8"), re.MULTILINE)
    assert env.stat().st_mode & 0o777 == 0o600
    return contents(output / name)


def check_refused(result: CompletedProcess[str], directory: Path) -> None:
    """Check that both bad answers were refused, each in its line, and that nothing is left."""
    assert result.returncode == 1
    assert [line.split(" must ")[0] for line in result.stderr.splitlines()[:2]] == [
        "project_slug: '../evil'",
        "author_email: 'ada'",
    ]
    check_nothing_is_left(directory)


def check_nothing_is_left(directory: Path) -> None:
    """Check that nothing is left of a refusal, neither where a service would be nor where its slug leads."""
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
    # pyenv's launchers, among which uv looks for it, look here; where there is none, uv fetches one.
    (tmp_path / ".python-version").write_text(version, encoding="utf-8")
    installed = run(
        tmp_path,
        *(UV, "tool", "run", "--quiet", "--python", version, "--from", "cookiecutter>=2.7,<2.8"),
        *("python", "-c", "import sys; print(sys.executable)"),
        PATH=os.environ["PATH"],
    )
    assert installed.returncode == 0, f"no Python {version}, try `uv python install {version}`:\n{installed.stderr}"
    python = installed.stdout.strip()
    assert f"(Python {version}." in succeed(tmp_path, str(Path(python).with_name("cookiecutter")), "--version")

    good = call_cookiecutter(tmp_path / "good", "--no-input", python=python)
    assert check_rendered(good, tmp_path / "good" / "output") == usual
    check_refused(call_cookiecutter(tmp_path / "bad", "--no-input", *BAD, python=python), tmp_path / "bad")


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_the_environment_does_not_matter(tmp_path: Path, usual: Contents, environment: dict[str, Any]) -> None:
    result = call_cookiecutter(tmp_path, "--no-input", **environment)
    assert check_rendered(result, tmp_path / "output") == usual


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_the_shell_does_not_matter(tmp_path: Path, usual: Contents, script: str) -> None:
    result = call_cookiecutter(tmp_path, "--no-input", script=script)
    assert check_rendered(result, tmp_path / "output") == usual


def test_a_refusal_that_nobody_hears_leaves_nothing(tmp_path: Path) -> None:
    assert call_cookiecutter(tmp_path, "--no-input", *BAD, script='exec "$@" <&- >&- 2>&-').returncode == 1
    check_nothing_is_left(tmp_path)


def test_a_name_survives_a_terminal_that_cannot_show_it(tmp_path: Path) -> None:
    # Python takes UTF-8 for what an unknown locale would be; with it goes what the terminal shows.
    result = call_cookiecutter(
        tmp_path, "--no-input", "project_name=Kafé 日本", LC_ALL="C", PYTHONIOENCODING="ascii:strict"
    )
    files = check_rendered(result, tmp_path / "output", "kafe-ri-ben")

    assert files["README.md"][0].decode().startswith("# Kafé 日本\n")
    assert result.stdout.startswith(r"Kaf\xe9 \u65e5\u672c: ")


def test_a_name_that_the_locale_has_broken_is_refused(tmp_path: Path) -> None:
    result = call_cookiecutter(tmp_path, "--no-input", "project_name=Kafé", **ENVIRONMENTS["an ASCII locale"])

    assert result.stderr.startswith(r"project_name: 'Kaf\udcc3\udca9' must be Unicode, as a terminal with a UTF-8 ")
    check_nothing_is_left(tmp_path)


@pytest.mark.parametrize("where", ["two words, 日本語 naïve", "/".join(["a" * 250] * 3), "link"])
def test_a_service_may_be_anywhere(tmp_path: Path, usual: Contents, where: str) -> None:
    output = tmp_path / "output" / where
    if where == "link":
        output.parent.mkdir()
        (tmp_path / "afar").mkdir()
        output.symlink_to(tmp_path / "afar")

    result = call_cookiecutter(tmp_path, "--no-input", "--output-dir", where)
    assert check_rendered(result, output) == usual


def test_the_template_may_be_anywhere(tmp_path: Path, usual: Contents) -> None:
    template = copy_template(tmp_path / "a template, 日本語 naïve")

    # Even where the locale cannot spell its path.
    result = call_cookiecutter(tmp_path, "--no-input", template=template, **ENVIRONMENTS["an ASCII locale"])
    assert check_rendered(result, tmp_path / "output") == usual


def test_devices_do_not_matter(tmp_path: Path, elsewhere: Path, usual: Contents) -> None:
    (tmp_path / "link").symlink_to(elsewhere)

    # The hooks come from another device, through a link.
    result = call_cookiecutter(tmp_path, "--no-input", TMPDIR=str(tmp_path / "link"))
    assert check_rendered(result, tmp_path / "output") == usual
    # The service goes to another device.
    result = call_cookiecutter(tmp_path, "--no-input", "--output-dir", str(elsewhere / "output"))
    assert check_rendered(result, elsewhere / "output") == usual


def test_nothing_beside_the_scripts_is_taken_for_a_module(tmp_path: Path, usual: Contents) -> None:
    # cookiecutter runs the hooks from the folder for temporary files, which is everybody's.
    (tmp_path / "scripts").mkdir()
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "hooks").glob("*.py")]
    for module in re.findall(r"^(?:import|from) (\w+)", "\n".join(sources), re.MULTILINE):
        (tmp_path / "scripts" / f"{module}.py").write_text("raise SystemExit(__file__)\n", encoding="utf-8")

    result = call_cookiecutter(tmp_path, "--no-input")
    assert check_rendered(result, tmp_path / "output") == usual


@pytest.mark.parametrize("home", ["absent", "read-only"])
def test_cookiecutter_itself_needs_a_home_to_write_to(tmp_path: Path, home: str) -> None:
    # It keeps the answers there for a replay, before it comes to our hooks.
    result = without_home(tmp_path, home, script=f"unset COOKIECUTTER_CONFIG; {AS_ANYBODY}")

    assert result.returncode == 1
    assert re.search("Unable to create directory at .*/home/.cookiecutter_replay", result.stderr)
    assert list((tmp_path / "output").iterdir()) == []


def test_a_configuration_does_instead(tmp_path: Path, usual: Contents) -> None:
    # One with a `replay_dir`, as in all these tests.
    result = without_home(tmp_path, "read-only", script=AS_ANYBODY)
    assert check_rendered(result, tmp_path / "output") == usual


def test_without_hooks_a_service_has_every_file_and_no_env(tmp_path: Path) -> None:
    answers = [f"{toggle}=no" for toggle in TOGGLES]
    output = tmp_path / "output"

    result = call_cookiecutter(tmp_path, "--no-input", "--accept-hooks", "no", "--output-dir", "no", *answers)
    assert result.returncode == 0
    service = output / "no" / NAME
    assert set(contents(service)) == template_files()
    assert not (service / ".env").exists()
    # What is too much does no harm.
    succeed(service, "ruff", "check", "--no-cache", ".")
    succeed(service, "ruff", "format", "--check", "--no-cache", ".")
    succeed(service, "python", "manage.py", "check", DEBUG="true")
    # Nor does anybody check the answers.
    result = call_cookiecutter(tmp_path, "--no-input", "--accept-hooks", "no", "--output-dir", "bad", *BAD)
    assert result.returncode == 0
    assert [path.name for path in (output / "bad").iterdir()] == ["refused-project-slug"]


def test_hooks_may_be_accepted_when_asked(tmp_path: Path, usual: Contents) -> None:
    result = call_cookiecutter(tmp_path, "--no-input", "--accept-hooks", "ask", answered="y\n")
    assert check_rendered(result, tmp_path / "output") == usual


def test_a_replay_gives_the_same_again(tmp_path: Path) -> None:
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


def test_a_replay_that_was_edited_is_checked(tmp_path: Path) -> None:
    # A refusal, too, leaves what was answered for a replay.
    check_refused(call_cookiecutter(tmp_path, "--no-input", *BAD), tmp_path)
    [replay] = (tmp_path / "replays").iterdir()
    answers = json.loads(replay.read_text(encoding="utf-8"))
    answers["cookiecutter"] |= {"project_slug": "My Shop", "use_channels": "no"}
    replay.write_text(json.dumps(answers), encoding="utf-8")

    result = call_cookiecutter(tmp_path, "--replay")
    assert re.findall("^.* must .*(?=;)", result.stderr, re.MULTILINE) == [
        "project_slug: 'My Shop' must be lower-case letters a-z and digits, with single - or _ between them, "
        "and start with a letter",
        "author_email: 'ada' must be an e-mail address",
        "use_channels: 'no' must be true or false",
    ]
    check_nothing_is_left(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "noticed"),
    [
        pytest.param("    say(next", '    (service / "left").touch()\n    say(next', "'left'", id="leaves a file"),
        pytest.param("mode=0o600", "mode=0o666", "511.* == 384", id="shows a secret"),
        pytest.param(
            "    say(next", '    os.execlp("git", "git")\n    say(next', r"execlp\(\"git\"", id="runs a program"
        ),
        pytest.param("print(message, flush=True)", "print(message)", "exit status: 120", id="minds who reads"),
    ],
)
def test_a_hook_is_noticed_that(tmp_path: Path, usual: Contents, old: str, new: str, noticed: str) -> None:
    template = copy_template(tmp_path / "template")
    break_it(template, "hooks/post_gen_project.py", old, new)

    shell = {"PATH": "/nowhere", "script": 'exec "$@" >/dev/full'}
    result = call_cookiecutter(tmp_path, "--no-input", template=template, **shell)
    with pytest.raises(AssertionError, match=noticed):
        assert check_rendered(result, tmp_path / "output") == usual


def test_a_folder_that_a_refusal_leaves_is_noticed(tmp_path: Path) -> None:
    template = copy_template(tmp_path / "template")
    break_it(
        template, "hooks/pre_gen_project.py", "    if lines:", '    (service.parent / "left").touch()\n    if lines:'
    )

    (tmp_path / "bad").mkdir()
    result = call_cookiecutter(tmp_path / "bad", "--no-input", *BAD, template=template)
    with pytest.raises(AssertionError, match="left"):
        check_refused(result, tmp_path / "bad")
