"""Daphne's connections: slow and large requests, clients that stop reading, and failing applications."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from unittest import mock

import pytest
from daphne.http_protocol import HTTPFactory
from django.test import override_settings
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from runtime.conf import conf
from runtime.server import daphne
from runtime.server.daphne_connection import LimitedConnection

POST = b"POST / HTTP/1.1\r\nHost: testserver\r\n"
GET = b"GET / HTTP/1.1\r\nHost: testserver\r\n\r\n"


class Transport(StringTransport):
    """A transport whose `_tempDataLen` a test sets to the number of unsent bytes."""

    dataBuffer, offset, _tempDataLen = b"", 0, 0  # noqa: N815

    def getHandle(self) -> mock.Mock:  # noqa: N802
        return mock.Mock()

    def writeSomeData(self, data: bytes) -> int:  # noqa: N802
        return len(data) // 2


def connect(application: Any = None, clock: Clock | None = None) -> tuple[Any, Any]:
    """Return a connection and its transport."""
    server = daphne.BackpressureServer(application, endpoints=["tcp:0"])
    server.connections = {}
    connection, transport = LimitedConnection(), Transport()
    connection.factory = HTTPFactory(server)
    connection.callLater, connection.timeOut = (clock or Clock()).callLater, conf.HEADER_TIMEOUT
    connection.makeConnection(transport)
    return connection, transport


def response_to(*parts: bytes) -> bytes:
    """Send the parts of a request, one each second, and then nothing for a minute. Return the response."""
    clock = Clock()
    connection, transport = connect(clock=clock)
    for part in parts:
        connection.dataReceived(part)
        clock.advance(1)
    for _ in range(60):
        clock.advance(1)
    assert transport.disconnecting
    return bytes(transport.value())


def test_late_headers_are_408_and_a_silent_client_is_disconnected() -> None:
    assert response_to(b"POST /").startswith(b"HTTP/1.1 408 ")
    # A byte each second does not extend the timeout.
    assert response_to(POST, b"X-A: ", *[b"a"] * 20).startswith(b"HTTP/1.1 408 ")
    assert response_to() == b""


def test_late_body_is_408() -> None:
    assert response_to(POST + b"Content-Length: 10\r\n\r\n", b"hello").startswith(b"HTTP/1.1 408 ")


def test_long_headers_are_431() -> None:
    assert response_to(POST + b"X-A: " + b"a" * 20_000).startswith(b"HTTP/1.1 431 ")


def test_body_above_the_limit_is_413() -> None:
    with override_settings(REQUEST_MAX_SIZE=100):
        assert response_to(POST + b"Content-Length: 101\r\n\r\n").startswith(b"HTTP/1.1 413 ")
        chunk = b"40\r\n" + b"x" * 64 + b"\r\n"
        assert response_to(POST + b"Transfer-Encoding: chunked\r\n\r\n", chunk, chunk).startswith(b"HTTP/1.1 413 ")


def test_malformed_request_is_400_and_ends_the_parsing() -> None:
    for malformed in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\nHost: testserver\r\n\r\n"):
        received = response_to(malformed + GET)
        assert received.startswith(b"HTTP/1.1 400 ")
        assert received.count(b"HTTP/1.1") == 1


def test_body_that_cannot_be_stored_is_503() -> None:
    with (
        override_settings(FILE_UPLOAD_MAX_MEMORY_SIZE=10),
        mock.patch("tempfile.TemporaryFile", side_effect=FileNotFoundError("no directory")),
    ):
        assert response_to(POST + b"Content-Length: 20\r\n\r\n", b"a" * 15, b"a" * 5).startswith(b"HTTP/1.1 503 ")


async def settle() -> None:
    """Let the application run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_application_waits_for_a_slow_client_until_the_write_timeout() -> None:
    events: list[Any] = []

    async def application(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        await send({"type": "http.response.start", "status": 200})
        for number in range(3):
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            events.append(number)
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        events.append("disconnected")

    clock = Clock()
    connection, transport = connect(application, clock)
    connection.dataReceived(GET)
    connection.pauseProducing()
    transport._tempDataLen = 10
    await settle()
    assert events == []
    # The client has read a part.
    transport._tempDataLen = 0
    connection.resumeProducing()
    await settle()
    assert events == [0, 1, 2]
    # The client reads another part, and then nothing.
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
    assert events == [0, 1, 2, "disconnected"]


async def test_pipelined_request_waits_until_the_client_has_read_the_response() -> None:
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


@pytest.mark.parametrize("started", [True, False])
async def test_exception_of_an_application_ends_its_response(started: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def application(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        if started:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        raise ValueError("broken")

    connection, transport = connect(application)
    server = connection.factory.server
    connection.dataReceived(GET)
    await settle()
    assert transport.disconnecting
    assert transport.value().startswith(b"HTTP/1.1 200 " if started else b"HTTP/1.1 500 ")
    assert not transport.value().endswith(b"0\r\n\r\n")
    connection.connectionLost(Failure(ConnectionDone()))
    with mock.patch("daphne.server.reactor") as reactor:
        server.application_checker()
    assert reactor.callLater.called
    assert server.connections == {}
    assert [record.getMessage() for record in caplog.records] == ["Exception inside application: broken"]


def test_serve_refuses_several_worker_processes() -> None:
    with pytest.raises(ValueError, match="workers=2: Daphne runs a single process"):
        daphne.serve("config.asgi:application", "127.0.0.1", 8000, 2)
