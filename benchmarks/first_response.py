"""Measures the time from rendering to the first response: `.venv/bin/python -m benchmarks.first_response`.

Each round renders a service with cookiecutter's command line, runs `uv run manage.py migrate` and
`uv run manage.py runserver`, and requests `/` until the response is 200. A first round fills uv's cache of packages.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from devtools.commands import ENVIRONMENT, UV
from devtools.matrix import ROOT
from devtools.ports import free_port
from devtools.servers import started

ROUNDS = 3


def first_response(*answers: str) -> dict[str, float]:
    """Return the duration of each step and the `total`, in seconds."""
    times: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as directory:
        beginning = last = time.perf_counter()

        def note(step: str) -> None:
            nonlocal last
            times[step], last = time.perf_counter() - last, time.perf_counter()

        render = [
            Path(sys.executable).with_name("cookiecutter"),
            ROOT,
            "--no-input",
            "--default-config",
            "--output-dir",
            directory,
            *answers,
        ]
        subprocess.run(render, check=True, stdout=subprocess.DEVNULL)
        note("render")
        [service] = Path(directory).iterdir()
        uv = [shutil.which("uv") or UV, "run", "--quiet", "manage.py"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([*uv, "migrate"], check=True, cwd=service, env=ENVIRONMENT, **quiet)
        note("uv sync and migrate")
        port = free_port()
        with started(service, *uv, "runserver", str(port), port=port, path="/") as server:
            note("runserver")
            times["total"] = time.perf_counter() - beginning
            # A killed server would leave its development PostgreSQL behind.
            server.process.terminate()
            server.process.wait()
    return times


def main() -> None:
    """Measure and print."""
    for database, answers in {"SQLite": [], "PostgreSQL": ["use_postgres=yes"]}.items():
        rounds = [first_response(*answers) for _ in range(ROUNDS + 1)][1:]
        steps = {step: statistics.median(times[step] for times in rounds) for step in rounds[0]}
        print(f"{database}: " + ", ".join(f"{step} {median:.2f} s" for step, median in steps.items()))


if __name__ == "__main__":
    main()
