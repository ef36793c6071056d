"""Minimal WebSocket clients. A library would take longer to decode a message than a server to send it."""

import asyncio
import base64
import json
import time
from urllib.parse import urlsplit

from benchmarks.clients import get, new_session
from benchmarks.processes import MeasuredServer

# The opcode of a text frame.
TEXT = 1
TIMEOUT = 60  # seconds until all listeners are open, or have received a text


class Audience:
    """Counts the listeners that have received a text, and collects the texts. `complete` is set when all have it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.complete = asyncio.Event()
        self.texts: set[bytes] = set()
        self.reset()

    def reset(self) -> None:
        """Start counting for the next text."""
        self.count = 0
        self.complete.clear()

    def add(self, text: bytes) -> None:
        """Count one more listener."""
        self.texts.add(text)
        self.count += 1
        if self.count == self.size:
            self.complete.set()


class Listener(asyncio.Protocol):
    """One WebSocket: does the handshake, then counts the texts that it receives. Texts are shorter than 126 bytes."""

    def __init__(self, url: str, path: str, audience: Audience) -> None:
        self.url = url
        self.path = path
        self.audience = audience
        self.received = bytearray()
        self.open = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Request the upgrade."""
        key = base64.b64encode(bytes(16)).decode()
        lines = [
            f"GET {self.path} HTTP/1.1",
            f"Host: {urlsplit(self.url).netloc}",
            f"Origin: {self.url}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
        ]
        transport.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode())

    def data_received(self, data: bytes) -> None:
        """Count each text among the frames that have arrived in full."""
        self.received += data
        if not self.open.done():
            head, ended, rest = self.received.partition(b"\r\n\r\n")
            if not ended:
                return
            if b" 101 " not in head.split(b"\r\n")[0]:
                self.open.set_exception(ConnectionError(f"refused: {head!r}"))
                return
            self.open.set_result(None)
            self.received = rest
        while len(self.received) >= 2 and len(self.received) >= (length := 2 + self.received[1]):
            if self.received[0] & 0x0F == TEXT:
                self.audience.add(bytes(self.received[2:length]))
            del self.received[:length]

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the handshake if it is not done."""
        if not self.open.done():
            self.open.set_exception(ConnectionError("closed during the handshake"))


async def broadcast_seconds(
    server: MeasuredServer, path: str, answer: object, listeners: int, times: int
) -> tuple[list[float], float]:
    """Open WebSockets at a path, and `GET /publish` `times` times after one request to warm up.

    Returns the time until the last WebSocket has each text, and the CPU time of the server per text. Raises
    ConnectionError if the server refuses a WebSocket, TimeoutError if it takes too long, and ValueError if a text is
    not the JSON of `answer`.
    """
    loop = asyncio.get_running_loop()
    audience = Audience(listeners)
    url = server.url
    host, port = urlsplit(url).hostname, urlsplit(url).port
    transports, taken = [], []
    cpu_before = 0.0
    async with new_session() as session:
        try:
            async with asyncio.timeout(TIMEOUT):
                for _ in range(listeners):
                    connecting = loop.create_connection(lambda: Listener(url, path, audience), host, port)
                    transport, listener = await connecting
                    transports.append(transport)
                    await listener.open
            for number in range(1 + times):
                if number == 1:
                    cpu_before = server.cpu_time()
                audience.reset()
                started = time.perf_counter()
                publishing = asyncio.create_task(get(session, f"{url}/publish"))
                async with asyncio.timeout(TIMEOUT):
                    await audience.complete.wait()
                taken.append(time.perf_counter() - started)
                await publishing
            cpu = server.cpu_time() - cpu_before
        finally:
            for transport in transports:
                transport.abort()
    if any(json.loads(text) != answer for text in audience.texts):
        raise ValueError(f"sent {audience.texts}, not {answer}")
    return taken[1:], cpu / times
