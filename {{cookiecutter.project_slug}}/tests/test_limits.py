"""Headers that never end, headers that are too long, and clients that break other rules of the server."""

# {% if cookiecutter.asgi_server != "granian" %}
import asyncio
# {% else %}
import socket
# {% endif %}
# {% if cookiecutter.asgi_server == "uvicorn" %}
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
# {% elif cookiecutter.asgi_server == "granian" %}
from contextlib import suppress
# {% else %}
from collections.abc import Awaitable, Callable
# {% endif %}
# {% if cookiecutter.asgi_server != "granian" %}
from typing import Any
# {% endif %}
from unittest import mock

import pytest
# {% if cookiecutter.asgi_server == "daphne" %}
from daphne.http_protocol import HTTPFactory
# {% endif %}
# {% if cookiecutter.asgi_server != "granian" %}
from django.test import override_settings
# {% endif %}
# {% if cookiecutter.asgi_server == "uvicorn" %}
from uvicorn import Config
from uvicorn.server import ServerState

# {% elif cookiecutter.asgi_server == "daphne" %}
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

# {% else %}

# {% endif %}
from runtime import (
    limits,
    # {% if cookiecutter.asgi_server == "granian" %}
    server,
    # {% endif %}
)
# {% if cookiecutter.asgi_server == "uvicorn" %}
from runtime.asgi import Receive, Scope, Send
# {% if cookiecutter.use_channels %}
from runtime.websockets.guard import Sockets
# {% endif %}

LIVE = b"GET /health/live HTTP/1.1\r\nHost: testserver\r\n"


@asynccontextmanager
async def connected(
    application: Any = "config.asgi:application", **options: Any
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, ServerState]]:
    """Serve an application, and yield the ends of a connection to it and the state of the server."""
    config = Config(application, log_config=None, **options)
    state = ServerState()
    listener = await asyncio.get_running_loop().create_server(
        lambda: limits.LimitedProtocol(config, state, {}), "127.0.0.1"
    )
    async with listener, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
        try:
            yield reader, writer, state
        finally:
            # The listener waits for the end of its connections.
            writer.close()


async def answer(*parts: bytes, application: Any = "config.asgi:application") -> bytes:
    """Send the parts of a request, one by one; return what comes until the connection is closed."""
    async with connected(application) as (reader, writer, _):
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.01)
        return await reader.read()


@pytest.mark.parametrize("parts", [[b"GET /hea"], [LIVE], [LIVE + b"\r\n", b"GET /hea"], [LIVE + b"\r\n", b"\r\n"]])
async def test_headers_that_do_not_end_are_not_waited_for(parts: list[bytes]) -> None:
    with mock.patch.object(limits, "HEADER_TIMEOUT", 0.1):
        assert (await answer(*parts)).split(b"HTTP/1.1 ")[-1].startswith(b"408")


async def test_nor_is_who_says_nothing() -> None:
    with mock.patch.object(limits, "HEADER_TIMEOUT", 0.05):
        assert await answer() == b""


async def test_headers_that_are_too_long_are_refused() -> None:
    with mock.patch.object(limits, "MAX_HEADER_SIZE", 100):
        for parts in ([LIVE, b"X-A: " + b"a" * 100], [LIVE + b"X-A: " + b"a" * 100 + b"\r\n\r\n"]):
            assert (await answer(*parts)).startswith(b"HTTP/1.1 431 ")


async def test_trailers_are_not_headers() -> None:
    request = b"POST / HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    for parts in ([request, b"1\r\nx\r\n0\r\nX-A: b\r\n\r\n"], [request + b"0\r\n", b"X-A: b\r\n", b"\r\n"]):
        assert (await answer(*parts, application=list_headers)).endswith(b"connection transfer-encoding")


async def list_headers(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the names of the headers, once the body is complete."""
    while (await receive())["more_body"]:
        pass
    body = b" ".join(name for name, _ in scope["headers"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def test_endless_trailers_are_refused() -> None:
    with mock.patch.object(limits, "MAX_HEADER_SIZE", 100):
        request = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        received = await answer(request, b"0\r\nX-A: ", b"a" * 200, application=list_headers)
    assert received.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("waiting", [b"GET /?" + b"a" * 200, b"GET / HTTP/1.1\r\n\r\n" * 3])
async def test_too_much_behind_an_unfinished_response_closes_the_connection_after_it(waiting: bytes) -> None:
    proceed = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await proceed.wait()
        await list_headers(scope, receive, send)

    with mock.patch.multiple(limits, MAX_HEADER_SIZE=100, MAX_PIPELINED=1):
        async with connected(slow) as (reader, writer, _):
            for part in (b"GET / HTTP/1.1\r\nA: b\r\n\r\n", waiting):
                writer.write(part)
                await asyncio.sleep(0.01)
            proceed.set()
            received = await reader.read()
    # The second of three is answered too, as it was complete in time.
    assert received.count(b"HTTP/1.1 200 OK") == (2 if waiting.endswith(b"\n") else 1)
    assert b"HTTP/1.1 4" not in received


async def test_a_client_that_stops_reading_is_disconnected() -> None:
    ended = asyncio.Event()

    async def flood(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        gone = asyncio.ensure_future(receive())
        while not gone.done():
            await send({"type": "http.response.body", "body": b"x" * 1_000_000, "more_body": True})
            await asyncio.sleep(0)
        ended.set()

    with override_settings(RESPONSE_WRITE_TIMEOUT=0.05):
        async with connected(flood) as (reader, writer, state):
            writer.write(LIVE + b"\r\n")
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
            [connection] = state.connections
            while not ended.is_set():
                connection.check_progress()  # type: ignore[union-attr]
                await asyncio.sleep(0.01)
# {% if cookiecutter.use_channels %}


async def test_a_message_after_a_malformed_frame_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    proceed = asyncio.Event()
    heard: list[str] = []

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await proceed.wait()
        await send({"type": "websocket.send", "text": "late"})
        heard.append((await receive())["type"])

    async with connected(Sockets(late), ws=limits.LimitedSocket) as (reader, writer, state):
        writer.write(
            b"GET / HTTP/1.1\r\nHost: testserver\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        [connection] = state.connections
        # The application continues before it can hear of the frame, which no client may send without a mask.
        proceed.set()
        connection.data_received(b"\x81\x01x")
        await reader.read()
        await asyncio.gather(*state.tasks)
    assert heard == ["websocket.disconnect"]
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
# {% endif %}
# {% elif cookiecutter.asgi_server == "daphne" %}

POST = b"POST / HTTP/1.1\r\nHost: testserver\r\n"
GET = b"GET / HTTP/1.1\r\nHost: testserver\r\n\r\n"


class Transport(StringTransport):
    """A connection to a client that may not read."""

    dataBuffer, offset, _tempDataLen = b"", 0, 0  # noqa: N815

    def getHandle(self) -> mock.Mock:  # noqa: N802
        return mock.Mock()

    def writeSomeData(self, data: bytes) -> int:  # noqa: N802
        return len(data) // 2


def connect(application: Any = None, clock: Clock | None = None) -> tuple[Any, Any]:
    """Return a connection and its transport."""
    server = limits.LimitedServer(application, endpoints=["tcp:0"])
    server.connections = {}
    connection, transport = limits.LimitedConnection(), Transport()
    connection.factory = HTTPFactory(server)
    connection.callLater, connection.timeOut = (clock or Clock()).callLater, limits.HEADER_TIMEOUT
    connection.makeConnection(transport)
    return connection, transport


def answered(*parts: bytes) -> bytes:
    """Send the parts of a request, a second apart, and nothing for a minute; return what comes until it is closed."""
    clock = Clock()
    connection, transport = connect(clock=clock)
    for part in parts:
        connection.dataReceived(part)
        clock.advance(1)
    for _ in range(60):
        clock.advance(1)
    assert transport.disconnecting
    return bytes(transport.value())


def test_a_request_that_does_not_end_is_not_waited_for() -> None:
    assert answered(b"POST /").startswith(b"HTTP/1.1 408 ")
    # Nor if they go on.
    assert answered(POST, b"X-A: ", *[b"a"] * 20).startswith(b"HTTP/1.1 408 ")
    assert answered() == b""


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    assert answered(POST + b"Content-Length: 10\r\n\r\n", b"hello").startswith(b"HTTP/1.1 408 ")


def test_what_is_too_long_is_refused() -> None:
    assert answered(POST + b"X-A: " + b"a" * 20_000).startswith(b"HTTP/1.1 431 ")
    with override_settings(REQUEST_MAX_SIZE=100):
        assert answered(POST + b"Content-Length: 101\r\n\r\n").startswith(b"HTTP/1.1 413 ")
        chunk = b"40\r\n" + b"x" * 64 + b"\r\n"
        assert answered(POST + b"Transfer-Encoding: chunked\r\n\r\n", chunk, chunk).startswith(b"HTTP/1.1 413 ")


def test_nothing_is_parsed_after_a_refusal() -> None:
    for sent in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\nHost: testserver\r\n\r\n"):
        received = answered(sent + GET)
        assert received.startswith(b"HTTP/1.1 400 ")
        assert received.count(b"HTTP/1.1") == 1


def test_a_body_that_cannot_be_stored_is_refused() -> None:
    with (
        override_settings(FILE_UPLOAD_MAX_MEMORY_SIZE=10),
        mock.patch("tempfile.TemporaryFile", side_effect=FileNotFoundError("no directory")),
    ):
        assert answered(POST + b"Content-Length: 20\r\n\r\n", b"a" * 15, b"a" * 5).startswith(b"HTTP/1.1 503 ")


async def settle() -> None:
    """Let the application run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_an_application_waits_for_its_client() -> None:
    sent: list[Any] = []

    async def application(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        await send({"type": "http.response.start", "status": 200})
        for number in range(3):
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            sent.append(number)
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        sent.append("left")

    clock = Clock()
    connection, transport = connect(application, clock)
    connection.dataReceived(GET)
    connection.pauseProducing()
    transport._tempDataLen = 10
    await settle()
    assert sent == []
    # The client has read a part.
    transport._tempDataLen = 0
    connection.resumeProducing()
    await settle()
    assert sent == [0, 1, 2]
    # It reads some more, and then nothing.
    transport._tempDataLen = 10
    connection.pauseProducing()
    clock.advance(29)
    transport.writeSomeData(b"xx")
    clock.advance(29)
    assert not transport.disconnected
    clock.advance(1)
    assert transport.disconnected
    connection.connectionLost(Failure(ConnectionDone()))
    await settle()
    assert sent == [0, 1, 2, "left"]


async def test_a_pipelined_request_waits_for_the_client() -> None:
    async def application(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    connection, transport = connect(application)
    connection.dataReceived(GET * 3)
    connection.pauseProducing()
    await settle()
    assert transport.value().count(b"HTTP/1.1 204 ") == 1
    connection.resumeProducing()
    await settle()
    assert transport.value().count(b"HTTP/1.1 204 ") == 3


@pytest.mark.parametrize("has_begun", [True, False])
async def test_the_error_of_an_application_ends_its_response(has_begun: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def application(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        if has_begun:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        raise ValueError("broken")

    connection, transport = connect(application)
    server = connection.factory.server
    connection.dataReceived(GET)
    await settle()
    assert transport.disconnecting
    assert transport.value().startswith(b"HTTP/1.1 200 " if has_begun else b"HTTP/1.1 500 ")
    assert not transport.value().endswith(b"0\r\n\r\n")
    connection.connectionLost(Failure(ConnectionDone()))
    with mock.patch("daphne.server.reactor") as reactor:
        server.application_checker()
    assert reactor.callLater.called
    assert server.connections == {}
    assert [record.getMessage() for record in caplog.records] == ["Exception inside application: broken"]
# {% else %}


def test_the_server_is_told() -> None:
    with mock.patch.object(server, "MainProcess") as granian:
        server.serve("config.asgi:application", "127.0.0.1", 8000)

    told = granian.call_args.kwargs
    assert told["http1_settings"].header_read_timeout == limits.HEADER_TIMEOUT * 1000


def test_a_connection_that_is_not_read_is_cut() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        connection, _ = listener.accept()
        connection.setblocking(False)
        timeouts = limits.WriteTimeouts(listener.getsockname()[1])

        with connection:
            fill(connection)
            timeouts.check(now=0)
            # It has read something, and then nothing more.
            client.recv(1_000_000)
            fill(connection)
            timeouts.check(now=29)
            timeouts.check(now=58)
            fill(connection)
            # The last acknowledgment may have come after the first of these.
            for now in (60, 90, 120):
                timeouts.check(now)
            with pytest.raises(BrokenPipeError):
                connection.send(b"x")
        with pytest.raises(ConnectionResetError):
            drain(client)


def fill(connection: socket.socket) -> None:
    """Send until the connection takes no more."""
    with suppress(BlockingIOError):
        while connection.send(b"x" * 1_000_000):
            pass


def drain(connection: socket.socket) -> None:
    """Receive until the other end closes."""
    while connection.recv(1_000_000):
        pass
# {% endif %}
