"""A TCP proxy between a service and what it depends on, to be told to refuse, hang, delay or cut."""

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
    """Passes bytes between its own port and a target, until it is told otherwise. For threads: `proxied` makes one."""

    def __init__(self, target: tuple[str, int] | str, port: int) -> None:
        # An address, or the path of a Unix socket.
        self.target = target
        self.port = port
        self.loop = asyncio.new_event_loop()
        # Cleared while nothing may pass: what arrives meanwhile is kept, and passes later.
        self.passing = asyncio.Event()
        self.passing.set()
        # Seconds by which each chunk is late.
        self.lateness = 0.0
        self.listener: asyncio.Server | None = None
        self.open: set[asyncio.StreamWriter] = set()

    def hang(self) -> None:
        """Accept connections and bytes, and pass nothing on, as a host does that has stopped."""
        self.call(self._clear())

    def delay(self, seconds: float) -> None:
        """Pass everything on later, in both directions."""
        self.lateness = seconds

    def cut(self) -> None:
        """Reset the connections that are open; new ones are accepted."""
        self.call(self._reset())

    def refuse(self) -> None:
        """Reset the connections that are open, and refuse new ones, as a machine does whose server is not running."""
        self.call(self._stop_listening())
        self.cut()

    def recover(self) -> None:
        """Pass everything on again, at once."""
        self.lateness = 0.0
        self.call(self._recover())

    @property
    def connections(self) -> int:
        """How many connections are open from the service to here."""
        return len(self.open) // 2

    def call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the proxy's own thread, and wait for it."""
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
            # No orderly end: the next packet is answered by a reset.
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
            pass  # either side has gone
        finally:
            for each in (writer, onward):
                if each is not None:
                    self.open.discard(each)
                    each.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK):
            if self.lateness:
                await asyncio.sleep(self.lateness)
            await self.passing.wait()
            writer.write(chunk)
            await writer.drain()
        raise ConnectionResetError("it has ended")


@contextmanager
def proxied(target: tuple[str, int] | str) -> Iterator[Proxy]:
    """Hold a proxy open in front of a target: an address, or the path of a Unix socket."""
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
