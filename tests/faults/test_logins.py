"""Logins of a hostile client: they delay no other client, are logged, and are throttled across all processes."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from devtools.browser import PASSWORD, USERNAME, Browser
from devtools.matrix import SERVERS, Answers, all_on
from devtools.production import served
from devtools.rendering import render
from devtools.servers import Server, processes

LOGIN = "/admin/login/"
WRONG = "not the password"
# Daphne has only one process.
SERVERS_WITH_PROCESSES = [server for server in SERVERS if server != "daphne"]
# Concurrent logins. Each has a user name of its own, so that each password is hashed.
CLIENTS = 40
# Threads for queries. If hashing used them, it would occupy all of them for CLIENTS * 0.5 s / MAX_THREADS = 5 s.
MAX_THREADS = 4
SLOW = "slow to hash"
# It sleeps where Django's hasher computes, so that the duration does not depend on the machine.
HASHER = f"""
import time

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class Hasher(PBKDF2PasswordHasher):
    iterations = 1

    def encode(self, password, salt, iterations=None):
        if password == {SLOW!r}:
            time.sleep(0.5)
        return super().encode(password, salt, iterations)
"""
JSON = {"Accept": "application/json"}


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path, database_url: str, redis_url: str) -> Iterator[Server]:
    """Serve a service with HASHER and every toggle on. Its timeout allows for logins that are queued for hashing."""
    answers = all_on(request.param)
    service = render_with_hasher(answers, tmp_path)
    with served(
        service, answers, database_url, redis_url, REQUEST_TIMEOUT="120", DATABASE_POOL_SIZE=str(MAX_THREADS)
    ) as server:
        yield server


def render_with_hasher(answers: Answers, directory: Path) -> Path:
    """Render a service with HASHER; return its folder."""
    service = render(answers, directory)
    (service / "hasher.py").write_text(HASHER, encoding="utf-8")
    with (service / "config" / "settings.py").open("a", encoding="utf-8") as settings:
        settings.write('PASSWORD_HASHERS = ["hasher.Hasher"]\n')
    return service


def fail_login(browser: Browser, username: str = USERNAME, password: str = WRONG) -> httpx.Response:
    """Post a login that must fail or be throttled; return the response."""
    fields = {"username": username, "password": password, "csrfmiddlewaretoken": browser.csrf_token}
    response = browser.post(LOGIN, data=fields, headers=JSON, timeout=120)
    assert response.status_code in {200, 429}, response.text
    return response


def log_lines(server: Server) -> list[tuple[str, ...]]:
    """Return the level, logger and message of each log line about logins."""
    return re.findall(r"^\S+ \S+ (\w+ runtime\.auth\.logins) \[[0-9a-f]{32}\] (.*)$", server.log, re.MULTILINE)


def test_many_concurrent_logins_do_not_delay_queries(server: Server) -> None:
    with ExitStack() as stack:
        browsers = [stack.enter_context(Browser(server.url)) for _ in range(CLIENTS)]
        browsers[0].get(LOGIN)
        for browser in browsers:
            browser.kept = dict(browsers[0].kept)
        pool = stack.enter_context(ThreadPoolExecutor(CLIENTS))
        logins = [pool.submit(fail_login, browser, f"user{number}", SLOW) for number, browser in enumerate(browsers)]

        # The number of logins that end during each query. In the same threads, a query would wait for almost all.
        ended = []
        while not all(login.done() for login in logins):
            before = sum(login.done() for login in logins)
            assert httpx.get(f"{server.url}/api/products/", timeout=60).status_code == 200
            ended.append(sum(login.done() for login in logins) - before)
        assert {login.result().status_code for login in logins} == {200}
    assert max(ended) < CLIENTS / 2, ended


def test_failed_logins_are_throttled_and_logged(server: Server) -> None:
    with Browser(server.url) as attacker, Browser(server.url, address="127.0.0.2") as user:
        attacker.get(LOGIN)
        assert [fail_login(attacker).status_code for _ in range(6)] == [200] * 5 + [429]
        refused = fail_login(attacker, password=PASSWORD)
        unknown = [fail_login(attacker, "unknown\nERROR forged") for _ in range(6)]
        page = attacker.post(LOGIN, data={"username": USERNAME, "password": WRONG}, headers={"Accept": "text/html"})
        user.log_in()
        assert user.get("/admin/").status_code == 200
        assert user.submit("/admin/logout/").status_code == 200

    assert page.status_code == 403, "no CSRF token"
    assert refused.status_code == 429
    assert 800 <= int(refused.headers["Retry-After"]) <= 900
    assert re.fullmatch(r"Too many failed logins\. Try again in \d+ minutes\.", refused.json()["error"])
    assert (unknown[-1].status_code, unknown[-1].content) == (429, refused.content)
    failed, succeeded = "WARNING runtime.auth.logins", "INFO runtime.auth.logins"
    known_name, unknown_name = repr(USERNAME), r"'unknown\nERROR forged'"
    assert log_lines(server) == [
        *[(failed, f"Failed login of {known_name} from 127.0.0.1: wrong password")] * 5,
        *[(failed, f"Failed login of {known_name} from 127.0.0.1: throttled")] * 2,
        *[(failed, f"Failed login of {unknown_name} from 127.0.0.1: unknown user")] * 5,
        (failed, f"Failed login of {unknown_name} from 127.0.0.1: throttled"),
        (succeeded, f"Login of {known_name} from 127.0.0.2"),
        (succeeded, f"Logout of {known_name} from 127.0.0.2"),
    ]
    assert not {WRONG, PASSWORD} & set(re.findall(f"{WRONG}|{PASSWORD}", server.log))


@pytest.mark.parametrize("name", SERVERS_WITH_PROCESSES)
def test_failed_logins_are_throttled_across_worker_processes(
    name: str, tmp_path: Path, database_url: str, redis_url: str
) -> None:
    answers = all_on(name)
    service = render_with_hasher(answers, tmp_path)
    with served(service, answers, database_url, redis_url, WEB_CONCURRENCY="2") as server:
        browsers: dict[int, Browser] = {}
        opened: list[Browser] = []
        try:
            while len(browsers) < 2:
                assert len(opened) < 200, "one process takes all connections"
                opened.append(Browser(server.url))
                browsers.setdefault(process_of(server, opened[-1].get(LOGIN)), opened[-1])
            first, second = browsers.values()
            assert [fail_login(first).status_code for _ in range(5)] == [200] * 5
            assert fail_login(second).status_code == 429
        finally:
            for browser in opened:
                browser.close()


def process_of(server: Server, response: httpx.Response) -> int:
    """Return the ID of the server process that has sent a response."""
    port = response.extensions["network_stream"].get_extra_info("client_addr")[1]
    pids: list[int] = [
        process.pid
        for process in processes(server)
        for connection in psutil.Process(process.pid).net_connections(kind="tcp")
        if connection.raddr and connection.raddr.port == port
    ]
    assert len(pids) == 1
    return pids[0]
