"""A client that sends raw bytes, for requests that no HTTP library would send."""

import socket
import struct
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager

from devtools.servers import Server, processes

HOST = b"Host: localhost\r\n"
# Of WebSocket frames.
MASK = b"\1\2\3\4"


class Connection:
    """A TCP connection to a server. The timeout is in seconds."""

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        parts = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=timeout)

    def send(self, data: bytes) -> bool:
        """Send bytes; return False if the server has closed the connection."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def receive(self, until: bytes | None = None) -> bytes:
        """Return the bytes until the server closes or resets the connection, or until some bytes are among them.

        Raises TimeoutError with the bytes so far.
        """
        received = b""
        deadline = time.monotonic() + (self.socket.gettimeout() or 0)
        while not (until and until in received):
            if time.monotonic() > deadline:
                raise TimeoutError(received)
            try:
                part = self.socket.recv(65_536)
            except ConnectionResetError:
                break
            if not part:
                break
            received += part
        return received

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()


@contextmanager
def connected(url: str, timeout: float = 5.0) -> Iterator[Connection]:
    """Connect to a server, and close the connection afterwards."""
    connection = Connection(url, timeout)
    try:
        yield connection
    finally:
        connection.close()


def outcome(response: bytes) -> int | str:
    """Return the status of a response, or "closed" if there is none."""
    return int(response.split(b" ", 2)[1]) if response.startswith(b"HTTP/1.") else "closed"


def send_request(url: str, request: bytes, timeout: float = 5.0) -> int | str:
    """Send the bytes of a request; return the status of the response, "closed" or "silence" (a timeout)."""
    with connected(url, timeout) as connection:
        connection.send(request)
        try:
            return outcome(connection.receive(until=b"\r\n\r\n"))
        except TimeoutError:
            return "silence"


def handshake(
    path: bytes = b"/ws/products/",
    *,
    method: bytes = b"GET",
    headers: dict[str, bytes | None] | None = None,
    extra: bytes = b"",
) -> bytes:
    """Return a WebSocket handshake. Headers replace the default ones; None removes a header."""
    sent: dict[str, bytes | None] = {
        "Host": b"localhost",
        "Upgrade": b"websocket",
        "Connection": b"Upgrade",
        "Sec-WebSocket-Key": b"dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": b"13",
        "Origin": b"http://localhost",
    }
    sent |= headers or {}
    lines = [method + b" " + path + b" HTTP/1.1"]
    lines += [name.encode() + b": " + value for name, value in sent.items() if value is not None]
    return b"\r\n".join([*lines, extra, b""]) if extra else b"\r\n".join([*lines, b"", b""])


def frame(opcode: int, payload: bytes = b"", *, last: bool = True, reserved: int = 0, masked: bool = True) -> bytes:
    """Return a WebSocket frame."""
    size = len(payload)
    mask = 0x80 if masked else 0
    if size < 126:
        length = struct.pack("!B", mask | size)
    elif size < 65_536:
        length = struct.pack("!BH", mask | 126, size)
    else:
        length = struct.pack("!BQ", mask | 127, size)
    if masked:
        payload = MASK + bytes(byte ^ MASK[index % 4] for index, byte in enumerate(payload))
    return bytes([(0x80 if last else 0) | reserved << 4 | opcode]) + length + payload


def memory(server: Server) -> int:
    """Return the resident memory of a server's processes in bytes."""
    return sum(process.memory_info().rss for process in processes(server))


def descriptors(server: Server) -> int:
    """Return the number of open file descriptors of a server's processes."""
    return sum(process.num_fds() for process in processes(server))
