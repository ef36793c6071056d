"""The table: a row for each fault."""

import os
import platform
import statistics
from collections import Counter
from importlib.metadata import version

from load.run import USERS, WORKERS, Record, Run

# Whose versions decide the numbers.
PACKAGES = ["django", "psycopg", "channels", "httpx", "aiohttp", "uvicorn", "granian", "locust"]
HEADINGS = ["fault", "answers/s", "p50", "p95", "p99", "errors", "healed after"]
HEADINGS += ["memory", "threads", "connections", "sockets lost", "opened again"]
# What becomes of sockets, and what is asked of them, which is too cheap to be counted among requests.
SOCKETS = ("socket lost", "socket opened")
PINGS = ("ping", "connect")


def markdown(runs: list[Run], server: str, seconds: float) -> str:
    """Return the table, under what conditions it was measured, and what was wrong with how services stopped."""
    rows = [HEADINGS, ["---", *("---:" for _ in HEADINGS[1:])], *map(row, runs)]
    complaints = [f"After *{title(run)}*: {run.complaint.splitlines()[0]}" for run in runs if run.complaint]
    return "\n\n".join(
        [conditions(server, seconds), "\n".join(f"| {' | '.join(cells)} |" for cells in rows), *complaints]
    )


def conditions(server: str, seconds: float) -> str:
    """Return where, with what and how it was measured, in a paragraph."""
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    packages = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    processes = "one process" if server == "daphne" else f"{WORKERS} processes"
    return (
        f"Measured by `make load`: {processes} of {server}, {USERS} users, {seconds:.0f} s for each fault, the "
        f"fault in the middle third. The load, the database and Valkey run on the same machine: {machine}, {packages}."
    )


def title(run: Run) -> str:
    """Return a fault's name, in words."""
    return run.fault.replace("-", " ")


def row(run: Run) -> list[str]:
    """Return the cells of a fault's row."""
    # A fault that does not last is looked at for as long as the others: until the last third begins.
    third = run.injected - run.begun
    end = max(run.recovered, run.injected + third)
    asked = [record for record in run.records if record.name not in SOCKETS]
    requests = [record for record in asked if record.name not in PINGS]
    answered = [record for record in requests if run.injected <= record.at < end and record.error is None]
    begun = [record for record in requests if run.injected <= record.at - record.seconds < end]
    sockets = Counter(record.name for record in run.records if record.at >= run.injected and record.name in SOCKETS)
    return [
        title(run),
        f"{len(answered) / (end - run.injected):.0f}",
        *(milliseconds(begun, percent) for percent in (50, 95, 99)),
        errors([record for record in asked if record.at >= run.injected]),
        healed(asked, run.recovered),
        f"{run.usage.memory / 1e6:.0f} MB",
        str(run.usage.threads),
        str(run.usage.connections),
        str(sockets["socket lost"]),
        str(sockets["socket opened"]),
    ]


def milliseconds(records: list[Record], percent: int) -> str:
    """Return a percentile of how long requests took, those that failed among them."""
    taken = [record.seconds * 1000 for record in records]
    if len(taken) < 2:
        return "–"
    return f"{statistics.quantiles(taken, n=100, method='inclusive')[percent - 1]:,.0f} ms"


def errors(records: list[Record]) -> str:
    """Return how often each kind of error occurred, and among how many records: `503 × 12, connection × 1 of 400`."""
    kinds = Counter(record.error for record in records if record.error)
    listed = ", ".join(f"{kind} × {count}" for kind, count in kinds.most_common())
    return f"{listed or '0'} of {len(records)}"


def healed(records: list[Record], since: float) -> str:
    """Return after how many seconds the first one began that had answers and no error."""
    later = [record for record in records if record.at >= since]
    if not later:
        return "not"
    failed = Counter(int(record.at - since) for record in later if record.error)
    answered = Counter(int(record.at - since) for record in later if record.error is None)
    return next((f"{second} s" for second in sorted(answered) if not failed[second]), "not")
