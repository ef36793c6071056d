"""granian: the header timeout, and clients that stop reading."""

import socket
from contextlib import suppress
from unittest import mock

import pytest

from runtime.conf import conf
from runtime.server import granian
from runtime.server.granian_write_timeout import WriteTimeouts


def test_serve_passes_the_header_timeout_in_milliseconds() -> None:
    with mock.patch.object(granian, "MainProcess") as main_process:
        granian.serve("config.asgi:application", "127.0.0.1", 8000)

    options = main_process.call_args.kwargs
    assert options["http1_settings"].header_read_timeout == conf.HEADER_TIMEOUT * 1000


def test_connection_of_a_client_that_stops_reading_is_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        connection, _ = listener.accept()
        connection.setblocking(False)
        timeouts = WriteTimeouts(listener.getsockname()[1])

        with connection:
            fill(connection)
            timeouts.check(now=0)
            # The client reads a part, and then nothing.
            client.recv(1_000_000)
            fill(connection)
            timeouts.check(now=29)
            timeouts.check(now=58)
            fill(connection)
            # The last acknowledgment may arrive after the first of these checks.
            for now in (60, 90, 120):
                timeouts.check(now)
            with pytest.raises(BrokenPipeError):
                connection.send(b"x")
        with pytest.raises(ConnectionResetError):
            drain(client)


def fill(connection: socket.socket) -> None:
    """Send until the connection's buffers are full."""
    with suppress(BlockingIOError):
        while connection.send(b"x" * 1_000_000):
            pass


def drain(connection: socket.socket) -> None:
    """Receive until the other end closes."""
    while connection.recv(1_000_000):
        pass
