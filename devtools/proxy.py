"""A TCP proxy between a service and a dependency. A test makes it refuse, hang, delay or reset connections."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from devtools.commands import TIMEOUT
from devtools.ports import free_port

CHUNK = 64 * 1024


class Proxy:
    """Passes bytes between its own port and a target. Its methods may be called from any thread."""

    def __init__(self, target: tuple[str, int] | str, port: int) -> None:
        # An address, or the path of a Unix socket.
        self.target = target
        self.port = port
        self.loop = asyncio.new_event_loop()
        # Cleared while the proxy hangs. Bytes that arrive meanwhile are kept and passed on later.
        self.passing = asyncio.Event()
        self.passing.set()
        self.latency = 0.0  # seconds, of each chunk
        self.listener: asyncio.Server | None = None
        self.open: set[asyncio.StreamWriter] = set()

    def hang(self) -> None:
        """Accept connections and bytes, and pass nothing on, as a frozen host does."""
        self.call(self._clear())

    def delay(self, seconds: float) -> None:
        """Delay every chunk, in both directions."""
        self.latency = seconds

    def cut(self) -> None:
        """Reset the open connections. New ones are accepted."""
        self.call(self._reset())

    def refuse(self) -> None:
        """Reset the open connections and refuse new ones, as a host without a running server does."""
        self.call(self._stop_listening())
        self.cut()

    def recover(self) -> None:
        """Pass everything on again, without a delay."""
        self.latency = 0.0
        self.call(self._recover())

    @property
    def connections(self) -> int:
        """The number of open connections from the service."""
        return len(self.open) // 2

    def call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine on the proxy's event loop, and wait for it."""
        asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout=TIMEOUT)

    async def _clear(self) -> None:
        self.passing.clear()

    async def _recover(self) -> None:
        self.passing.set()
        if self.listener is None:
            self.listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1024)

    async def _stop_listening(self) -> None:
        if self.listener is not None:
            self.listener.close()
            self.listener = None

    async def _reset(self) -> None:
        for writer in list(self.open):
            # With a linger time of 0, closing resets the connection.
            raw: socket.socket = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.add(writer)
        onward: asyncio.StreamWriter | None = None
        try:
            await self.passing.wait()
            if isinstance(self.target, str):
                back, onward = await asyncio.open_unix_connection(self.target)
            else:
                back, onward = await asyncio.open_connection(*self.target)
            self.open.add(onward)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, onward))
                group.create_task(self._pass(back, writer))
        except* OSError:
            pass  # the service or the target has closed its connection
        finally:
            for each in (writer, onward):
                if each is not None:
                    self.open.discard(each)
                    each.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK):
            if self.latency:
                await asyncio.sleep(self.latency)
            await self.passing.wait()
            writer.write(chunk)
            await writer.drain()
        raise ConnectionResetError("end of stream")


@contextmanager
def proxied(target: tuple[str, int] | str) -> Iterator[Proxy]:
    """Run a proxy in front of a target, which is an address or the path of a Unix socket."""
    proxy = Proxy(target, free_port())
    thread = threading.Thread(target=proxy.loop.run_forever, name="proxy", daemon=True)
    thread.start()
    try:
        proxy.recover()
        yield proxy
    finally:
        proxy.refuse()

        async def finish() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks, return_exceptions=True)

        proxy.call(finish())
        proxy.loop.call_soon_threadsafe(proxy.loop.stop)
        thread.join(timeout=TIMEOUT)
        proxy.loop.close()
