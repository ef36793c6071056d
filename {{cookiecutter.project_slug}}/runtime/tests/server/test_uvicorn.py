"""uvicorn's HTTP connections: slow and large headers, pipelined requests, and clients that stop reading."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest import mock

import pytest
from django.test import override_settings
from uvicorn import Config
from uvicorn.server import ServerState

from runtime.asgi import Receive, Scope, Send
from runtime.conf import conf
from runtime.server import uvicorn_protocol

LIVE = b"GET /health/live HTTP/1.1\r\nHost: testserver\r\n"


@asynccontextmanager
async def connected(
    application: Any = "config.asgi:application", **options: Any
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, ServerState]]:
    """Serve an application. Yield the reader and writer of a connection to it, and the state of the server."""
    config = Config(application, log_config=None, **options)
    state = ServerState()
    listener = await asyncio.get_running_loop().create_server(
        lambda: uvicorn_protocol.HeaderLimitProtocol(config, state, {}), "127.0.0.1"
    )
    async with listener, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
        try:
            yield reader, writer, state
        finally:
            # The listener waits for the end of its connections.
            writer.close()


async def response_to(*parts: bytes, application: Any = "config.asgi:application") -> bytes:
    """Send the parts of a request one by one. Return the bytes received until the connection closes."""
    async with connected(application) as (reader, writer, _):
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.01)
        return await reader.read()


@pytest.mark.parametrize("parts", [[b"GET /hea"], [LIVE], [LIVE + b"\r\n", b"GET /hea"], [LIVE + b"\r\n", b"\r\n"]])
async def test_late_headers_are_408(parts: list[bytes]) -> None:
    with mock.patch.object(conf, "HEADER_TIMEOUT", 0.1):
        assert (await response_to(*parts)).split(b"HTTP/1.1 ")[-1].startswith(b"408")


async def test_silent_client_is_disconnected_without_a_response() -> None:
    with mock.patch.object(conf, "HEADER_TIMEOUT", 0.05):
        assert await response_to() == b""


async def test_headers_above_the_limit_are_431() -> None:
    with mock.patch.object(conf, "MAX_HEADER_SIZE", 100):
        for parts in ([LIVE, b"X-A: " + b"a" * 100], [LIVE + b"X-A: " + b"a" * 100 + b"\r\n\r\n"]):
            assert (await response_to(*parts)).startswith(b"HTTP/1.1 431 ")


async def test_trailers_are_not_added_to_the_headers() -> None:
    request = b"POST / HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    for parts in ([request, b"1\r\nx\r\n0\r\nX-A: b\r\n\r\n"], [request + b"0\r\n", b"X-A: b\r\n", b"\r\n"]):
        assert (await response_to(*parts, application=list_headers)).endswith(b"connection transfer-encoding")


async def list_headers(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond with the names of the headers after the end of the body."""
    while (await receive())["more_body"]:
        pass
    body = b" ".join(name for name, _ in scope["headers"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def test_trailers_above_the_limit_are_431() -> None:
    with mock.patch.object(conf, "MAX_HEADER_SIZE", 100):
        request = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        received = await response_to(request, b"0\r\nX-A: ", b"a" * 200, application=list_headers)
    assert received.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("waiting", [b"GET /?" + b"a" * 200, b"GET / HTTP/1.1\r\n\r\n" * 3])
async def test_too_much_input_during_a_response_closes_the_connection_after_it(waiting: bytes) -> None:
    proceed = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await proceed.wait()
        await list_headers(scope, receive, send)

    with override_settings(RUNTIME_MAX_HEADER_SIZE=100, RUNTIME_MAX_PIPELINED_REQUESTS=1):
        async with connected(slow) as (reader, writer, _):
            for part in (b"GET / HTTP/1.1\r\nA: b\r\n\r\n", waiting):
                writer.write(part)
                await asyncio.sleep(0.01)
            proceed.set()
            received = await reader.read()
    # The second of the three pipelined requests is within the limit, so it gets a response too.
    assert received.count(b"HTTP/1.1 200 OK") == (2 if waiting.endswith(b"\n") else 1)
    assert b"HTTP/1.1 4" not in received


async def test_client_that_stops_reading_is_disconnected() -> None:
    ended = asyncio.Event()

    async def flood(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        disconnected = asyncio.ensure_future(receive())
        while not disconnected.done():
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
