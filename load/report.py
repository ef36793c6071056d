"""The table: a row for each fault."""

import os
import platform
import statistics
from collections import Counter
from importlib.metadata import version

from load.run import USERS, WORKERS, Record, Run

# The numbers depend on the versions of these packages.
PACKAGES = ["django", "psycopg", "channels", "httpx", "aiohttp", "uvicorn", "granian", "locust"]
HEADINGS = ["fault", "answers/s", "p50", "p95", "p99", "errors", "recovered after"]
HEADINGS += ["memory", "threads", "connections", "sockets lost", "opened again"]
# Events of WebSockets, and their pings, which are too cheap to be counted as requests.
SOCKETS = ("socket lost", "socket opened")
PINGS = ("ping", "connect")


def markdown(runs: list[Run], server: str, seconds: float) -> str:
    """Return the conditions of the measurement, the table, and the errors at shutdown, as Markdown."""
    rows = [HEADINGS, ["---", *("---:" for _ in HEADINGS[1:])], *map(row, runs)]
    problems = [f"After *{title(run)}*: {run.shutdown_error.splitlines()[0]}" for run in runs if run.shutdown_error]
    return "\n\n".join(
        [conditions(server, seconds), "\n".join(f"| {' | '.join(cells)} |" for cells in rows), *problems]
    )


def conditions(server: str, seconds: float) -> str:
    """Return a paragraph with the server, the load, the machine and the versions."""
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    packages = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    processes = "one process" if server == "daphne" else f"{WORKERS} processes"
    return (
        f"Measured by `make load` with {processes} of {server}, {USERS} users and {seconds:.0f} s for each fault. "
        "The fault lasts for the middle third of that time. The load generator, the database and Valkey run on the "
        f"same machine: {machine}, {packages}."
    )


def title(run: Run) -> str:
    """Return the name of a fault as words."""
    return run.fault.replace("-", " ")


def row(run: Run) -> list[str]:
    """Return the cells of a fault's row."""
    # The row of a fault that does not last covers the same time as the others, until the last third begins.
    third = run.injected - run.started
    end = max(run.recovered, run.injected + third)
    sent = [record for record in run.records if record.name not in SOCKETS]
    requests = [record for record in sent if record.name not in PINGS]
    answered = [record for record in requests if run.injected <= record.at < end and record.error is None]
    started = [record for record in requests if run.injected <= record.at - record.seconds < end]
    sockets = Counter(record.name for record in run.records if record.at >= run.injected and record.name in SOCKETS)
    return [
        title(run),
        f"{len(answered) / (end - run.injected):.0f}",
        *(milliseconds(started, percent) for percent in (50, 95, 99)),
        errors([record for record in sent if record.at >= run.injected]),
        recovered_after(sent, run.recovered),
        f"{run.usage.memory / 1e6:.0f} MB",
        str(run.usage.threads),
        str(run.usage.connections),
        str(sockets["socket lost"]),
        str(sockets["socket opened"]),
    ]


def milliseconds(records: list[Record], percent: int) -> str:
    """Return a percentile of the durations of requests, failed ones included."""
    taken = [record.seconds * 1000 for record in records]
    if len(taken) < 2:
        return "–"
    return f"{statistics.quantiles(taken, n=100, method='inclusive')[percent - 1]:,.0f} ms"


def errors(records: list[Record]) -> str:
    """Return the number of errors of each kind and of all records: `503 × 12, connection × 1 of 400`."""
    kinds = Counter(record.error for record in records if record.error)
    listed = ", ".join(f"{kind} × {count}" for kind, count in kinds.most_common())
    return f"{listed or '0'} of {len(records)}"


def recovered_after(records: list[Record], since: float) -> str:
    """Return the time until the first second with responses and without an error, or `not`."""
    later = [record for record in records if record.at >= since]
    if not later:
        return "not"
    failed = Counter(int(record.at - since) for record in later if record.error)
    answered = Counter(int(record.at - since) for record in later if record.error is None)
    return next((f"{second} s" for second in sorted(answered) if not failed[second]), "not")
