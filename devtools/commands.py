"""Run commands in an environment that is the same on every machine, and check their results."""

import os
import re
import subprocess
import sys
from pathlib import Path

# A busy machine may stop every process for ten seconds, so no test asserts a shorter timeout.
TIMEOUT = 60  # seconds
# Variables of this machine that would change the Python, the bytecode, git or the settings of a service.
UNSET_VARIABLES = re.compile(
    r"PYENV_VERSION|VIRTUAL_ENV|PYTHONDONTWRITEBYTECODE|GIT_.*|DEBUG|SECRET_KEY|DATABASE_URL|REDIS_URL"
)
ENVIRONMENT = {key: value for key, value in os.environ.items() if not UNSET_VARIABLES.fullmatch(key)} | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
}
UV = str(Path(sys.executable).with_name("uv"))
# The author of all commits, independent of this machine's git configuration.
GIT_IDENTITY = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"} | {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in {"NAME": "Ada Lovelace", "EMAIL": "ada@example.com"}.items()
}


def run(service: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a service, with the shared environment first on PATH; return its exit status and output."""
    return subprocess.run(
        command, cwd=service, env=ENVIRONMENT | environment, capture_output=True, text=True, check=False, timeout=580
    )


def check_output(service: Path, *command: str, **environment: str) -> str:
    """Run a command and return its standard output. Raises AssertionError if the command fails."""
    result = run(service, *command, **environment)
    assert result.returncode == 0, f"{' '.join(command)} exited {result.returncode}:\n{result.stdout}{result.stderr}"
    return result.stdout


def commit(folder: Path) -> None:
    """Commit all files of a folder. Creates its repository if there is none."""
    check_output(folder, "git", "init", "--quiet", "--initial-branch=main", **GIT_IDENTITY)
    check_output(folder, "git", "add", "--all", **GIT_IDENTITY)
    check_output(folder, "git", "commit", "--quiet", "--allow-empty", "--message", "Everything", **GIT_IDENTITY)
