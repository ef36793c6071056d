"""How long it takes from nothing to the first HTTP 200: `.venv/bin/python benchmarks/first_response.py`.

Renders a service with cookiecutter's command line, runs `uv run manage.py migrate` and `uv run manage.py runserver`,
and asks `/` until it answers. Packages come from uv's cache, which a first round warms.
"""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 3
BIN = Path(sys.executable).parent
UNWANTED = {"PYENV_VERSION", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE", "DATABASE_URL"}
ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in UNWANTED}


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def first_response(*answers: str) -> dict[str, float]:
    """Return the seconds that each step took, and `total`."""
    times: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as directory:
        started = last = time.perf_counter()

        def note(step: str) -> None:
            nonlocal last
            times[step], last = time.perf_counter() - last, time.perf_counter()

        render = [BIN / "cookiecutter", ROOT, "--no-input", "--default-config", "--output-dir", directory, *answers]
        subprocess.run(render, check=True, stdout=subprocess.DEVNULL)
        note("render")
        service = Path(directory) / "async-django-service"
        uv = [shutil.which("uv") or BIN / "uv", "run", "--quiet", "manage.py"]
        quiet = {"cwd": service, "env": ENVIRONMENT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([*uv, "migrate"], check=True, **quiet)
        note("uv sync and migrate")
        port = free_port()
        server = subprocess.Popen([*uv, "runserver", str(port)], **quiet)
        try:
            wait_for(f"http://127.0.0.1:{port}/", server)
            note("runserver")
            times["total"] = time.perf_counter() - started
        finally:
            server.terminate()
            server.wait()
    return times


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Return when a URL answers 200; raise RuntimeError if the server exits."""
    while True:
        if server.poll() is not None:
            raise RuntimeError(f"the server exited {server.returncode}")
        try:
            with urlopen(url) as response:
                if response.status == 200:
                    return
        except URLError as error:
            if not isinstance(error.reason, ConnectionError):
                raise
        time.sleep(0.01)


def main() -> None:
    """Measure and print."""
    for database, answers in {"SQLite": [], "PostgreSQL": ["use_postgres=yes"]}.items():
        rounds = [first_response(*answers) for _ in range(ROUNDS + 1)][1:]
        steps = {step: statistics.median(times[step] for times in rounds) for step in rounds[0]}
        print(f"{database}: " + ", ".join(f"{step} {median:.2f} s" for step, median in steps.items()))


if __name__ == "__main__":
    main()
