"""Services that are told to stop while clients are at it: who finishes, who is told, who is cut off."""

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

# Seconds within which a machine that is busy gets round to something.
PATIENCE = 8
RESTART = 1012

each_server = pytest.mark.parametrize("name", SERVERS)
in_processes = pytest.mark.parametrize(
    ("name", "processes"), [("uvicorn", 1), ("uvicorn", 2), ("granian", 1), ("granian", 2), ("daphne", 1)]
)


@contextmanager
def serving(
    service: Path, name: str, redis_url: str, delay: float = 0, grace: float = 10, processes: int = 1
) -> Iterator[Server]:
    """Serve a service with the probe. Fails in the end if it logs anything alarming or exits with an error."""
    timetable = {"SHUTDOWN_DELAY": f"{delay}", "SHUTDOWN_GRACE": f"{grace}", "WEB_CONCURRENCY": f"{processes}"}
    answers = all_on(name) | {"use_postgres": False}
    with served(service, answers, None, redis_url, port=None, **timetable) as server:
        yield server


@pytest.fixture
def service(name: str, tmp_path: Path) -> Path:
    """Return a service with nearly every toggle on, and the probe."""
    return render_with_probe(all_on(name) | {"use_postgres": False}, tmp_path)


@asynccontextmanager
async def client(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    """Open as many connections as there are requests at once, and keep them where the service does."""
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(server.url, connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        yield session


async def read(session: aiohttp.ClientSession, path: str) -> bytes:
    """Return the whole body of what a path answers."""
    async with session.get(path) as response:
        assert response.status == 200
        return await response.read()


async def closed_with(server: Server) -> int | None:
    """Open a socket, wait until it is closed, and return the code that the service has sent."""
    url = f"{server.url.replace('http', 'ws')}/ws/products/"
    async with connect(url, origin=Origin(server.url), ping_interval=None) as socket:
        try:
            await socket.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None
    raise AssertionError


async def ended(server: Server, within: float) -> float:
    """Wait until a server's process has ended; return how many seconds it took."""
    started = time.monotonic()
    while server.process.poll() is None:
        assert time.monotonic() - started < within, f"has not stopped:\n{server.log}"
        await asyncio.sleep(0.05)
    return time.monotonic() - started


async def stop_politely(server: Server, delay: float, sent: signal.Signals = signal.SIGTERM) -> None:
    """Tell a server to stop while each kind of client is at it, and check what becomes of them."""
    async with client(server) as session, asyncio.TaskGroup() as clients:
        slow = clients.create_task(read(session, f"/probe/sleep/?seconds={delay + 2}"))
        lines = int((delay + 2) * 20)
        stream = clients.create_task(read(session, f"/probe/stream/?lines={lines}"))
        endless = clients.create_task(read(session, "/probe/endless/"))
        sockets = [clients.create_task(closed_with(server)) for _ in range(4)]
        await asyncio.sleep(1)

        os.kill(server.process.pid, sent)
        await asyncio.sleep(delay / 2)
        if delay and sent is signal.SIGTERM:
            # Nobody else need know yet.
            assert not any(task.done() for task in (slow, stream, endless, *sockets))
            for _ in range(5):
                async with session.get("/health/ready") as response:
                    assert (response.status, await response.json()) == (503, {"status": "stopping"})
                async with session.get("/api/products/") as response:
                    assert (response.status, response.headers["Connection"]) == (200, "close")
        await ended(server, within=delay + 2 + PATIENCE)
    assert await slow == b"{}"
    assert await stream == b"tick\n" * lines
    assert set((await endless).splitlines()) == {b"tick"}
    assert [await socket for socket in sockets] == [RESTART] * 4


@in_processes
def test_requests_finish_and_streams_and_sockets_are_told(
    service: Path, name: str, redis_url: str, processes: int
) -> None:
    with serving(service, name, redis_url, delay=2, processes=processes) as server:
        asyncio.run(stop_politely(server, delay=2))


@in_processes
def test_an_interrupt_skips_the_delay(service: Path, name: str, redis_url: str, processes: int) -> None:
    with serving(service, name, redis_url, delay=60, processes=processes) as server:
        asyncio.run(stop_politely(server, delay=0, sent=signal.SIGINT))


@in_processes
def test_an_interrupt_of_a_terminal_does_too(service: Path, name: str, redis_url: str, processes: int) -> None:
    async def interrupt(server: Server) -> None:
        async with client(server) as session, asyncio.TaskGroup() as clients:
            slow = clients.create_task(read(session, "/probe/sleep/?seconds=2"))
            socket = clients.create_task(closed_with(server))
            await asyncio.sleep(1)
            os.killpg(server.process.pid, signal.SIGINT)
            await ended(server, within=PATIENCE)
        assert (await slow, await socket) == (b"{}", RESTART)

    with serving(service, name, redis_url, delay=60, processes=processes) as server:
        asyncio.run(interrupt(server))


@in_processes
def test_a_second_signal_skips_the_delay_and_a_third_the_grace(
    service: Path, name: str, redis_url: str, processes: int
) -> None:
    async def insist(server: Server) -> None:
        async with client(server) as session:
            stream = asyncio.create_task(read(session, "/probe/stream/?lines=inf"))
            socket = asyncio.create_task(closed_with(server))
            await asyncio.sleep(1)
            server.process.terminate()
            await asyncio.sleep(3)
            assert not socket.done()
            server.process.terminate()
            assert await asyncio.wait_for(socket, PATIENCE) == RESTART
            await asyncio.sleep(3)
            assert not stream.done()
            server.process.terminate()
            await ended(server, within=PATIENCE)
            with pytest.raises(aiohttp.ClientPayloadError):
                await stream

    with serving(service, name, redis_url, delay=60, grace=60, processes=processes) as server:
        asyncio.run(insist(server))


async def cut_off(server: Server, grace: float) -> None:
    """Tell a server to stop while clients are at what does not end, and check that it stops all the same."""
    async with client(server) as session:
        stream = asyncio.create_task(read(session, "/probe/stream/?lines=inf"))
        sleeper = asyncio.create_task(read(session, "/probe/sleep/?seconds=60"))
        # A client that reads nothing of what it is sent.
        async with session.get("/probe/flood/"):
            await asyncio.sleep(1)
            server.process.terminate()
            took = await ended(server, within=grace + PATIENCE)
        assert took > grace - 1
        with pytest.raises(aiohttp.ClientPayloadError):
            await stream
        with pytest.raises(aiohttp.ClientConnectionError):
            await sleeper


@in_processes
def test_what_does_not_finish_in_time_is_cut_off(service: Path, name: str, redis_url: str, processes: int) -> None:
    with serving(service, name, redis_url, grace=3, processes=processes) as server:
        asyncio.run(cut_off(server, grace=3))


@pytest.mark.parametrize(("name", "processes"), [("uvicorn", 1), ("uvicorn", 2), ("granian", 2), ("daphne", 1)])
def test_a_resource_that_cannot_be_opened_is_an_error(service: Path, name: str, redis_url: str, processes: int) -> None:
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
            "uvicorn", "runtime/requests/health.py", ".draining.is", ".deadline_passed.is", id="ready to the last"
        ),
        pytest.param(
            "uvicorn", "runtime/requests/handler.py", ".draining.is", ".deadline_passed.is", id="connections stay"
        ),
        pytest.param(
            "uvicorn", "runtime/server/uvicorn.py", "await super().shutdown(sockets)", "return", id="requests are cut"
        ),
    ],
)
def test_an_impolite_service_is_noticed(
    service: Path, name: str, redis_url: str, path: str, old: str, new: str
) -> None:
    break_source(service, path, old, new)
    with (
        pytest.raises((AssertionError, ExceptionGroup)),
        serving(service, name, redis_url, delay=2, grace=4) as server,
    ):
        asyncio.run(stop_politely(server, delay=2))
