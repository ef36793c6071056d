"""Running commands: with an environment that the machine does not decide, and with a result that is checked."""

import os
import re
import subprocess
import sys
from pathlib import Path

# Seconds until a test gives up. A busy machine may stop every process for ten seconds, so no test asserts less.
TIMEOUT = 60
# What the machine must not decide: which Python, where bytecode goes, where git works, what a service is told.
UNWANTED = re.compile(
    r"PYENV_VERSION|VIRTUAL_ENV|PYTHONDONTWRITEBYTECODE|GIT_.*|DEBUG|SECRET_KEY|DATABASE_URL|REDIS_URL"
)
ENVIRONMENT = {key: value for key, value in os.environ.items() if not UNWANTED.fullmatch(key)} | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
}
UV = str(Path(sys.executable).with_name("uv"))
# Whose commits they are, whatever this machine says of it.
OWNER = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"} | {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in {"NAME": "Ada Lovelace", "EMAIL": "ada@example.com"}.items()
}


def run(service: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a service, with the shared environment first on PATH; return what it printed."""
    return subprocess.run(
        command, cwd=service, env=ENVIRONMENT | environment, capture_output=True, text=True, check=False, timeout=580
    )


def succeed(service: Path, *command: str, **environment: str) -> str:
    """Run a command that must succeed, and return its standard output."""
    result = run(service, *command, **environment)
    assert result.returncode == 0, f"{' '.join(command)} exited {result.returncode}:\n{result.stdout}{result.stderr}"
    return result.stdout


def commit(folder: Path) -> None:
    """Commit everything in a folder, which becomes a repository if it is none."""
    succeed(folder, "git", "init", "--quiet", "--initial-branch=main", **OWNER)
    succeed(folder, "git", "add", "--all", **OWNER)
    succeed(folder, "git", "commit", "--quiet", "--allow-empty", "--message", "Everything", **OWNER)
