"""Daphne's connections: slow and large requests, clients that stop reading, applications that fail."""

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
    """A connection to a client that may not read."""

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


def test_several_worker_processes_are_refused() -> None:
    with pytest.raises(ValueError, match="workers=2: Daphne runs a single process"):
        daphne.serve("config.asgi:application", "127.0.0.1", 8000, 2)
