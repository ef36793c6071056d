"""Graceful shutdown with active clients: requests finish, streams and sockets are notified, others are cut off."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from devtools.matrix import SERVERS, all_on
from devtools.production import served
from devtools.rendering import break_source
from devtools.servers import Server
from tests.support.probing import render_with_probe

STOP_TIMEOUT = 8  # seconds beyond the expected duration, for a busy machine
SERVICE_RESTART = 1012  # close code

each_server = pytest.mark.parametrize("name", SERVERS)
in_processes = pytest.mark.parametrize(
    ("name", "processes"), [("uvicorn", 1), ("uvicorn", 2), ("granian", 1), ("granian", 2), ("daphne", 1)]
)


@contextmanager
def serving(
    service: Path, name: str, redis_url: str, delay: float = 0, grace: float = 10, processes: int = 1
) -> Iterator[Server]:
    """Serve a service with the probe and the timeouts of a shutdown. Raises AssertionError as `served` does."""
    timeouts = {"SHUTDOWN_DELAY": f"{delay}", "SHUTDOWN_GRACE": f"{grace}", "WEB_CONCURRENCY": f"{processes}"}
    answers = all_on(name) | {"use_postgres": False}
    with served(service, answers, None, redis_url, port=None, **timeouts) as server:
        yield server


@pytest.fixture
def service(name: str, tmp_path: Path) -> Path:
    """Return a service with the probe, and every toggle on except for PostgreSQL."""
    return render_with_probe(all_on(name) | {"use_postgres": False}, tmp_path)


@asynccontextmanager
async def client(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a client session without a limit of connections, which it keeps alive."""
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(server.url, connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        yield session


async def read(session: aiohttp.ClientSession, path: str) -> bytes:
    """Return the whole body of a response with status 200."""
    async with session.get(path) as response:
        assert response.status == 200
        return await response.read()


async def close_code(server: Server) -> int | None:
    """Open a socket, wait until the service closes it, and return the close code."""
    url = f"{server.url.replace('http', 'ws')}/ws/products/"
    async with connect(url, origin=Origin(server.url), ping_interval=None) as socket:
        try:
            await socket.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None
    raise AssertionError


async def wait_for_exit(server: Server, within: float) -> float:
    """Wait until a server's process has exited; return the seconds. Raises AssertionError after `within` seconds."""
    started = time.monotonic()
    while server.process.poll() is None:
        assert time.monotonic() - started < within, f"has not stopped:\n{server.log}"
        await asyncio.sleep(0.05)
    return time.monotonic() - started


async def check_graceful_shutdown(server: Server, delay: float, sent: signal.Signals = signal.SIGTERM) -> None:
    """Stop a server with active requests, streams and sockets, and check that each of them ends as documented."""
    async with client(server) as session, asyncio.TaskGroup() as clients:
        slow = clients.create_task(read(session, f"/probe/sleep/?seconds={delay + 2}"))
        lines = int((delay + 2) * 20)
        stream = clients.create_task(read(session, f"/probe/stream/?lines={lines}"))
        endless = clients.create_task(read(session, "/probe/endless/"))
        sockets = [clients.create_task(close_code(server)) for _ in range(4)]
        await asyncio.sleep(1)

        os.kill(server.process.pid, sent)
        await asyncio.sleep(delay / 2)
        if delay and sent is signal.SIGTERM:
            # During the drain, only the load balancer is notified.
            assert not any(task.done() for task in (slow, stream, endless, *sockets))
            for _ in range(5):
                async with session.get("/health/ready") as response:
                    assert (response.status, await response.json()) == (503, {"status": "stopping"})
                async with session.get("/api/products/") as response:
                    assert (response.status, response.headers["Connection"]) == (200, "close")
        await wait_for_exit(server, within=delay + 2 + STOP_TIMEOUT)
    assert await slow == b"{}"
    assert await stream == b"tick\n" * lines
    assert set((await endless).splitlines()) == {b"tick"}
    assert [await socket for socket in sockets] == [SERVICE_RESTART] * 4


@in_processes
def test_sigterm_finishes_requests_and_notifies_streams_and_sockets(
    service: Path, name: str, redis_url: str, processes: int
) -> None:
    with serving(service, name, redis_url, delay=2, processes=processes) as server:
        asyncio.run(check_graceful_shutdown(server, delay=2))


@in_processes
def test_sigint_of_the_parent_skips_the_delay(service: Path, name: str, redis_url: str, processes: int) -> None:
    with serving(service, name, redis_url, delay=60, processes=processes) as server:
        asyncio.run(check_graceful_shutdown(server, delay=0, sent=signal.SIGINT))


@in_processes
def test_sigint_of_the_process_group_skips_the_delay(service: Path, name: str, redis_url: str, processes: int) -> None:
    async def interrupt(server: Server) -> None:
        async with client(server) as session, asyncio.TaskGroup() as clients:
            slow = clients.create_task(read(session, "/probe/sleep/?seconds=2"))
            socket = clients.create_task(close_code(server))
            await asyncio.sleep(1)
            os.killpg(server.process.pid, signal.SIGINT)
            await wait_for_exit(server, within=STOP_TIMEOUT)
        assert (await slow, await socket) == (b"{}", SERVICE_RESTART)

    with serving(service, name, redis_url, delay=60, processes=processes) as server:
        asyncio.run(interrupt(server))


@in_processes
def test_second_sigterm_skips_the_delay_and_third_the_grace_period(
    service: Path, name: str, redis_url: str, processes: int
) -> None:
    async def send_three_signals(server: Server) -> None:
        async with client(server) as session:
            stream = asyncio.create_task(read(session, "/probe/stream/?lines=inf"))
            socket = asyncio.create_task(close_code(server))
            await asyncio.sleep(1)
            server.process.terminate()
            await asyncio.sleep(3)
            assert not socket.done()
            server.process.terminate()
            assert await asyncio.wait_for(socket, STOP_TIMEOUT) == SERVICE_RESTART
            await asyncio.sleep(3)
            assert not stream.done()
            server.process.terminate()
            await wait_for_exit(server, within=STOP_TIMEOUT)
            with pytest.raises(aiohttp.ClientPayloadError):
                await stream

    with serving(service, name, redis_url, delay=60, grace=60, processes=processes) as server:
        asyncio.run(send_three_signals(server))


async def check_cut_off(server: Server, grace: float) -> None:
    """Stop a server with requests that do not end, and check that it cuts them off after the grace period."""
    async with client(server) as session:
        stream = asyncio.create_task(read(session, "/probe/stream/?lines=inf"))
        sleeper = asyncio.create_task(read(session, "/probe/sleep/?seconds=60"))
        # This client reads nothing of its response.
        async with session.get("/probe/flood/"):
            await asyncio.sleep(1)
            server.process.terminate()
            took = await wait_for_exit(server, within=grace + STOP_TIMEOUT)
        assert took > grace - 1
        with pytest.raises(aiohttp.ClientPayloadError):
            await stream
        with pytest.raises(aiohttp.ClientConnectionError):
            await sleeper


@in_processes
def test_requests_are_cut_off_after_the_grace_period(service: Path, name: str, redis_url: str, processes: int) -> None:
    with serving(service, name, redis_url, grace=3, processes=processes) as server:
        asyncio.run(check_cut_off(server, grace=3))


@pytest.mark.parametrize(("name", "processes"), [("uvicorn", 1), ("uvicorn", 2), ("granian", 2), ("daphne", 1)])
def test_server_exits_with_an_error_if_a_resource_cannot_be_opened(
    service: Path, name: str, redis_url: str, processes: int
) -> None:
    broken = '    raise OSError("broken")\n    if True:'
    break_source(service, "runtime/development/watchdog.py", "    if not settings.DEBUG:", broken)
    with (
        pytest.raises(AssertionError, match=r"exited [13] before it served[\s\S]*broken"),
        serving(service, name, redis_url, processes=processes),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "path", "old", "new"),
    [
        pytest.param(
            "granian",
            "runtime/server/shutdown.py",
            "    self.listeners.add(listener)",
            "    pass",
            id="listeners are not notified",
        ),
        pytest.param(
            "uvicorn", "runtime/requests/health.py", ".draining.is", ".deadline_passed.is", id="ready until the end"
        ),
        pytest.param(
            "uvicorn",
            "runtime/requests/handler.py",
            ".draining.is",
            ".deadline_passed.is",
            id="connections are kept alive",
        ),
        pytest.param(
            "uvicorn", "runtime/server/uvicorn.py", "await super().shutdown(sockets)", "return", id="requests are cut"
        ),
    ],
)
def test_shutdown_check_fails_for_a_broken_service(
    service: Path, name: str, redis_url: str, path: str, old: str, new: str
) -> None:
    break_source(service, path, old, new)
    with (
        pytest.raises((AssertionError, ExceptionGroup)),
        serving(service, name, redis_url, delay=2, grace=4) as server,
    ):
        asyncio.run(check_graceful_shutdown(server, delay=2))
