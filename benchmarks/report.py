"""The tables of the results, as Markdown."""

import os
import platform
import sysconfig
from dataclasses import dataclass
from importlib.metadata import version

from benchmarks.clients import CONNECTIONS
from benchmarks.contenders import (
    BARE,
    BROADCAST_PARTS,
    FASTAPI,
    NO_MIDDLEWARE,
    ON_GRANIAN,
    SAME_WORK,
    SERVICE,
    STARTPROJECT,
    WITHOUT_AIOHTTP,
    WITHOUT_DIRECT_PATH,
    WITHOUT_LOOP_ORM,
    WITHOUT_POOL,
    WITHOUT_WORKER_POOL,
    Contender,
)
from benchmarks.peers.slow import SECONDS as CALL
from benchmarks.results import Column, Results
from benchmarks.workloads import BROADCASTS, SLEEPERS, SOCKETS, WAITING

# The numbers depend on the versions of these packages.
PACKAGES = ["django", "asgiref", "psycopg", "channels", "httpx", "aiohttp"]
PACKAGES += ["uvicorn", "uvloop", "httptools", "granian", "django-bolt", "django-ninja"]
PACKAGES += ["fastapi", "starlette", "litestar", "sqlalchemy", "asyncpg"]
# The build options of the CPython that distributions and uv install. Without them, Python is slower.
OPTIMIZATIONS = ["--enable-optimizations", "--with-lto"]


@dataclass(frozen=True)
class Table:
    """A table: a row for each contender, a column for each metric. `better` is `more` or `less`."""

    heading: str
    better: str
    note: str
    contenders: tuple[str, ...]
    columns: tuple[Column, ...]


def requests(heading: str, workload: str, per: str) -> Column:
    """Return a column of requests per second, as multiples of a contender's."""
    return Column(heading, workload, "requests per second", "{:,.0f}/s", per=per)


def request_cpu(workload: str) -> Column:
    """Return a column of the CPU time of the server's processes for each request."""
    return Column("CPU", workload, "cpu", "{:,.2f} ms", scale=0.001)


def latency(heading: str, workload: str, per: str | float) -> Column:
    """Return a column of latencies, as multiples of a contender's or of a number of seconds."""
    return Column(heading, workload, "latency", "{:,.0f} ms", scale=0.001, per=per)


def delay(per: str) -> Column:
    """Return a column of the delays of a broadcast, as multiples of a contender's."""
    return Column("delay", "broadcast", "delay", "{:,.0f} ms", scale=0.001, per=per)


def cpu(per: str) -> Column:
    """Return a column of the CPU time of a broadcast, as multiples of a contender's."""
    return Column("CPU time", "broadcast", "cpu", "{:,.0f} ms", scale=0.001, per=per)


REQUESTS = (
    f"The numbers are multiples of what {STARTPROJECT}, with its middleware, serves to {CONNECTIONS} connections in "
    "the same round. CPU, where less is better, is the CPU time of the server's processes for each request. It varies "
    "less with other load on the machine. Every pool of database connections has the same size."
)
JSON_AND_ROW = (
    requests("plain JSON", "json", STARTPROJECT),
    request_cpu("json"),
    requests("one row of PostgreSQL", "row", STARTPROJECT),
    request_cpu("row"),
)
COMPARISONS = (
    Table(
        "Requests per second: the same work",
        "more",
        f"{REQUESTS} FastAPI's session is a signed cookie, which takes no query.",
        SAME_WORK,
        (
            *JSON_AND_ROW,
            requests("one key of the session", "session", STARTPROJECT),
            request_cpu("session"),
        ),
    ),
    Table(
        "Requests per second: bare",
        "more",
        f"Without middleware. {REQUESTS}",
        NO_MIDDLEWARE,
        JSON_AND_ROW,
    ),
    Table(
        f"Fan-out: 10 calls of {CALL * 1000:.0f} ms at once",
        "less",
        "The numbers are the median latency as a multiple of the slowest call, so 1 is ideal. The template's service "
        "makes the calls with its own client. The requests of each other contender share one `httpx.AsyncClient`, with "
        "its default of at most 100 connections.",
        WAITING,
        (latency("1 client", "fan-out-1", CALL), latency("32 clients", "fan-out-32", CALL)),
    ),
    Table(
        f"{SLEEPERS} requests that sleep at once",
        "less",
        "The numbers are the threads and the memory that the server's processes gain while the requests sleep.",
        WAITING,
        (
            Column("threads", "sleepers", "threads", "{:,.0f}"),
            Column("resident memory", "sleepers", "memory", "{:,.0f} MB", scale=1e6),
        ),
    ),
    Table(
        f"A text for {SOCKETS:,} WebSockets",
        "less",
        f"The delay lasts from the publication of a text until the last socket has it (median of {BROADCASTS}). The "
        f"CPU time is that of the server's process. Both are multiples of what {BARE} takes. The template's text goes "
        "through Channels and Valkey, and would reach the sockets of other processes too. The others loop over the "
        "sockets of their own process.",
        (SERVICE, FASTAPI, BARE),
        (delay(per=BARE), cpu(per=BARE)),
    ),
)
PARTS = Table(
    "What each part contributes",
    "more",
    "Each row has the template's service with one part replaced. The numbers are multiples of the whole service's in "
    "the same round. The last column has latencies, where less is better.",
    (SERVICE, WITHOUT_DIRECT_PATH, WITHOUT_WORKER_POOL, WITHOUT_LOOP_ORM, WITHOUT_POOL, WITHOUT_AIOHTTP, ON_GRANIAN),
    (
        requests("plain JSON", "json", SERVICE),
        requests("one row of PostgreSQL", "row", SERVICE),
        requests("one key of the session", "session", SERVICE),
        latency("fan-out, 32 clients", "fan-out-32", SERVICE),
    ),
)
BROADCAST = Table(
    "What each part contributes to a broadcast",
    "less",
    f"The service sends the text to {SOCKETS:,} WebSockets again. Each row has the template's service with one part "
    "replaced. The numbers are multiples of the whole service's in the same round.",
    (SERVICE, *BROADCAST_PARTS),
    (delay(per=SERVICE), cpu(per=SERVICE)),
)


def markdown(results: Results, contenders: dict[str, Contender], rounds: int, seconds: int) -> str:
    """Return the conditions of the measurement and the tables of the measured workloads."""
    sections = [part for table in (*COMPARISONS, PARTS, BROADCAST) for part in section(table, results)]
    return "\n\n".join([conditions(rounds, seconds), *peers(results, contenders), *sections])


def conditions(rounds: int, seconds: int) -> str:
    """Return a paragraph with the machine, the versions and the method."""
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    packages = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return (
        f"Measured by `make benchmark` (rounds: {rounds}, of {seconds} s). Every contender is one worker process "
        "without an access log. It runs on uvicorn with uvloop and httptools unless the table says otherwise. It "
        "starts anew and is warmed up for each measurement. Each round measures all contenders in turn. A cell has "
        "**the median** of the rounds, (the lowest–the highest), and the median in its own unit. The load generator "
        f"and the database run on the same machine: {machine} {how_python_was_built()}, {packages}."
    )


def how_python_was_built() -> str:
    """Return which of `OPTIMIZATIONS` this Python was built with, and the effect of the missing ones."""
    configured = sysconfig.get_config_var("CONFIG_ARGS") or ""
    missing = [option for option in OPTIMIZATIONS if option not in configured]
    if not missing:
        return f"(built with {' and '.join(OPTIMIZATIONS)})"
    return f"(built without {' and '.join(missing)}, which favours peers that are written in Rust and C)"


def peers(results: Results, contenders: dict[str, Contender]) -> list[str]:
    """Return the paragraphs of the section about the contenders: middleware, server, processes and threads."""
    measured = {name for rounds in results.values() for name in rounds[0]}
    compared = dict.fromkeys(name for table in COMPARISONS for name in table.contenders if name in measured)
    rows = [
        ["", "middleware", "server", "processes", "threads"],
        ["---", "---", "---", "---:", "---:"],
        *(
            [
                name,
                contenders[name].middleware.name,
                contenders[name].command.__name__,
                *(most(results, name, metric) for metric in ("processes", "threads")),
            ]
            for name in compared
        ),
    ]
    middleware = dict.fromkeys(contenders[name].middleware for name in compared)
    return [
        "### The contenders",
        "Before each measurement, the headers of a response prove that the middleware runs, or that there is none. The "
        f"last columns have the most processes and threads of the server under the load of {CONNECTIONS} connections. "
        "runbolt is django-bolt's own server.",
        markdown_table(rows),
        "\n".join(f"- Middleware, {each.name}: {each.parts}." for each in middleware if each.parts),
    ]


def most(results: Results, contender: str, metric: str) -> str:
    """Return the highest number of a metric of requests in any workload and round, or a dash if none has it."""
    numbers = [
        measured[contender][metric]
        for workload in ("json", "row", "session")
        for measured in results.get(workload, [])
        if contender in measured
    ]
    return f"{max(numbers):.0f}" if numbers else "–"


def section(table: Table, results: Results) -> list[str]:
    """Return the paragraphs of a table's section with the measured columns, or an empty list if there are none."""
    columns = [column for column in table.columns if column.workload in results]
    contenders = [name for name in table.contenders if any(column.has(results, name) for column in columns)]
    if not columns:
        return []
    rows = [
        ["", *(column.heading for column in columns)],
        ["---", *("---:" for _ in columns)],
        *([name, *(cell(column, results, name) for column in columns)] for name in contenders),
    ]
    return [
        f"### {table.heading}",
        f"{table.better.capitalize()} is better. {table.note}",
        markdown_table(rows),
    ]


def markdown_table(rows: list[list[str]]) -> str:
    """Return a Markdown table. The first row is its header."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cell(column: Column, results: Results, contender: str) -> str:
    """Return one cell: `**2.41** (2.30–2.50), 1,234/s`, or a dash for a contender without this column."""
    if not column.has(results, contender):
        return "–"
    absolute = column.absolute(results, contender)
    own, lowest, highest = map(column.form.format, (absolute.median, absolute.lowest, absolute.highest))
    if column.per is None:
        return f"**{own}** ({lowest.partition(' ')[0]}–{highest.partition(' ')[0]})"
    if column.per == contender:
        return f"**1**, {own}"
    relative = column.relative(results, contender)
    median, lowest, highest = map(ratio, (relative.median, relative.lowest, relative.highest))
    return f"**{median}** ({lowest}–{highest}), {own}"


def ratio(value: float) -> str:
    """Return a ratio with three significant digits and at most two decimals."""
    return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f}"
