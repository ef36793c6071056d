"""Render a service, and change its files."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from cookiecutter.main import cookiecutter

from devtools.commands import ENVIRONMENT, GIT_IDENTITY, check_output, commit
from devtools.matrix import DEFAULT_ANSWERS, ROOT, Answers

REPLAYS = str(Path(tempfile.gettempdir()) / "cookiecutter-replays")


def render(answers: Answers, directory: Path, template: Path = ROOT, **options: bool) -> Path:
    """Render the service of a combination into a folder; return the folder of the service.

    `answers` may also answer the other questions. DEFAULT_ANSWERS has the rest. The options are cookiecutter's.
    """
    return Path(
        cookiecutter(
            str(template),
            no_input=True,
            extra_context=DEFAULT_ANSWERS | answers,
            output_dir=str(directory),
            # By default, cookiecutter writes replays to the home directory.
            default_config={"replay_dir": REPLAYS},
            **options,
        )
    )


def call_cookiecutter(
    directory: Path,
    *arguments: str,
    script: str = 'exec "$@"',
    python: str = sys.executable,
    template: Path = ROOT,
    answered: str = "",
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run cookiecutter's command in a shell; return its exit status and output.

    It runs in the folder `output` of a directory. Its configuration, replays and temporary files are in the directory
    itself.
    """
    for name in ("output", "scripts"):
        (directory / name).mkdir(exist_ok=True)
    config = directory / "config.yaml"
    # JSON is YAML.
    settings = {"replay_dir": str(directory / "replays"), "default_context": DEFAULT_ANSWERS}
    config.write_text(json.dumps(settings), encoding="utf-8")
    own = {"COOKIECUTTER_CONFIG": str(config), "TMPDIR": str(directory / "scripts"), "PYTHONUNBUFFERED": ""}
    return subprocess.run(
        ["/bin/sh", "-c", script, "sh", str(Path(python).with_name("cookiecutter")), str(template), *arguments],
        cwd=directory / "output",
        env=ENVIRONMENT | own | environment,
        input=answered,
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        check=False,
        timeout=580,
    )


def copy_template(directory: Path) -> Path:
    """Copy the files that cookiecutter reads, for a test that moves or changes them; return the copy."""
    for name in ("hooks", "{{cookiecutter.project_slug}}"):
        shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "cookiecutter.json", directory)
    return directory


def copy_repository(directory: Path) -> Path:
    """Copy this repository without the files that git ignores, and commit the copy; return the copy."""
    files = check_output(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", **GIT_IDENTITY)
    for path in files.split("\0")[:-1]:
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, directory / path)
    commit(directory)
    return directory


def break_source(folder: Path, path: str, old: str, new: str) -> None:
    """Break a file on purpose: replace a piece of its text. Raises AssertionError if the text is not there."""
    source = (folder / path).read_text(encoding="utf-8")
    assert old in source
    (folder / path).write_text(source.replace(old, new), encoding="utf-8")


def configure(service: Path, **settings: object) -> None:
    """Append settings to those of a service."""
    with (service / "config" / "settings.py").open("a", encoding="utf-8") as file:
        file.writelines(f"{name} = {value!r}\n" for name, value in settings.items())


def text_files(service: Path) -> dict[str, str]:
    """Return the text of every file of a service by its relative path."""
    return {
        path.relative_to(service).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(service.rglob("*"))
        if path.is_file()
    }


def contents(service: Path) -> dict[str, tuple[bytes, int]]:
    """Return the bytes and the mode of every file of a service by its relative path, except for `.env`."""
    return {
        path.relative_to(service).as_posix(): (path.read_bytes(), path.stat().st_mode & 0o777)
        for path in sorted(service.rglob("*"))
        if path.is_file() and path != service / ".env"
    }


def load_hook(name: str) -> dict[str, Any]:
    """Return the global names of a hook, without running it."""
    source = (ROOT / "hooks" / f"{name}.py").read_text(encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": name}
    exec(source.replace("{{ cookiecutter | tojson }}", "{}"), namespace)  # noqa: S102
    return namespace
