"""Headers that never end, and headers that are too long."""

# {% if cookiecutter.asgi_server == "uvicorn" %}
import asyncio
# {% endif %}
# {% if cookiecutter.asgi_server != "daphne" %}
from unittest import mock

# {% endif %}
# {% if cookiecutter.asgi_server == "uvicorn" %}
import pytest
from uvicorn import Config
from uvicorn.server import ServerState

# {% elif cookiecutter.asgi_server == "daphne" %}
from django.test import override_settings
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

# {% endif %}
from runtime import (
    limits,
    # {% if cookiecutter.asgi_server == "granian" %}
    server,
    # {% endif %}
)
# {% if cookiecutter.asgi_server == "uvicorn" %}

LIVE = b"GET /health/live HTTP/1.1\r\nHost: testserver\r\n"


async def answer(*parts: bytes) -> bytes:
    """Send the parts of a request, one by one; return what comes until the connection is closed."""
    config = Config("config.asgi:application", log_config=None)
    state = ServerState()
    listener = await asyncio.get_running_loop().create_server(
        lambda: limits.LimitedProtocol(config, state, {}), "127.0.0.1"
    )
    async with listener, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.01)
        received = await reader.read()
        writer.close()
        return received


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
# {% elif cookiecutter.asgi_server == "daphne" %}

POST = b"POST / HTTP/1.1\r\nHost: testserver\r\n"


def answered(*parts: bytes) -> bytes:
    """Send the parts of a request, a second apart, and nothing for a minute; return what comes until it is closed."""
    clock, transport = Clock(), StringTransport()
    connection = limits.LimitedConnection()
    connection.callLater, connection.timeOut = clock.callLater, limits.HEADER_TIMEOUT
    connection.makeConnection(transport)
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
# {% else %}


def test_the_server_is_told() -> None:
    with mock.patch.object(server, "MainProcess") as granian:
        server.serve("config.asgi:application", "127.0.0.1", 8000)

    told = granian.call_args.kwargs
    assert told["http1_settings"].header_read_timeout == limits.HEADER_TIMEOUT * 1000
# {% endif %}
