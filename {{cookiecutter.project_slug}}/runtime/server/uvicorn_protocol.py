"""uvicorn's HTTP connections with limits for headers, pipelined requests and clients that stop reading."""

import asyncio
import socket
from collections.abc import Iterable
from typing import Any, override

from django.conf import settings
from django.http import HttpRequest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from runtime.compat import require
from runtime.conf import conf
from runtime.requests.errors import as_http1, refusal
from runtime.server.tcp import RESET, tcp_info

require(HttpToolsProtocol, "_start_asgi_task", "cycle", "headers", "loop", "pipeline", "transport", "url")
require(RequestResponseCycle, "disconnected", "keep_alive", "message_event", "more_body")
require(RequestResponseCycle, "response_complete", "response_started")

# The statuses and messages of requests that are refused before the application is called.
REFUSALS = {
    400: "The request is malformed.",
    408: "The headers took too long to arrive.",
    431: "The headers are too long.",
}


class HeaderLimitProtocol(HttpToolsProtocol):
    """An HTTP connection with limits for headers, trailers, pipelined requests and slow readers.

    It counts all received bytes except those of bodies. A client can make the process keep at most
    conf.MAX_HEADER_SIZE bytes and one read.
    """

    # Bytes received since the last complete headers or part of a body.
    header_size = 0
    # Whether the current bytes complete headers or contain a part of a body.
    made_progress = False
    # Whether the headers of a request have started and are incomplete.
    reading_headers = False
    headers_too_large = False
    timer: asyncio.TimerHandle | None = None
    # The request that the application handles. `self.cycle` is the last request received.
    running: RequestResponseCycle | None = None
    # Set when the connection closes after earlier responses. Further input is discarded.
    ignores_input = False
    # The client's progress in bytes when it last changed, and the time of that change.
    delivered: tuple[int, int] | None = None
    delivered_at = 0.0

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.timer = self.loop.call_later(conf.HEADER_TIMEOUT, self.refuse_late_headers)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.stop_timer()
        super().connection_lost(exc)
        if self.running is not None and self.running is not self.cycle:
            # uvicorn sends a disconnect event only to the last of several pipelined requests.
            self.running.disconnected = True
            self.running.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Parse the bytes. Headers must end within HEADER_TIMEOUT seconds and MAX_HEADER_SIZE bytes."""
        if self.ignores_input:
            return
        self.header_size += len(data)
        self.made_progress = False
        super().data_received(data)
        if self.transport.get_protocol() is not self:
            # The connection is now a WebSocket.
            return
        if self.made_progress:
            self.header_size = 0
        elif self.header_size > conf.MAX_HEADER_SIZE:
            self.refuse(431)
        if self.handles_a_request():
            self.stop_timer()
        elif self.timer is None:
            self.timer = self.loop.call_later(conf.HEADER_TIMEOUT, self.refuse_late_headers)

    def handles_a_request(self) -> bool:
        """Tell whether a request has an incomplete response."""
        return self.running is not None and not self.running.response_complete

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.reading_headers = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header. Trailers are dropped, because uvicorn would add them to the headers."""
        if self.reading_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, unless its headers are too large or too many pipelined requests wait."""
        self.made_progress = True
        if self.header_size > conf.MAX_HEADER_SIZE:
            # `header_size` is an upper bound. This is the exact size.
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > conf.MAX_HEADER_SIZE:
                self.headers_too_large = True
                # An exception stops the parser, which then calls `send_400_response`.
                raise ValueError(size)
        if len(self.pipeline) >= conf.MAX_PIPELINED_REQUESTS:
            raise ValueError(len(self.pipeline))
        self.reading_headers = False
        super().on_headers_complete()

    @override
    def on_body(self, body: bytes) -> None:
        # The application limits the body.
        self.made_progress = True
        super().on_body(body)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that the parser rejects."""
        self.refuse(431 if self.headers_too_large else 400)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection to the WebSocket protocol. uvicorn would keep an invalid handshake open."""
        super().handle_websocket_upgrade()
        self.stop_timer()
        protocol = self.transport.get_protocol()
        if not getattr(protocol, "handshake_initiated", True):
            send_refusal(self.transport, 400, REFUSALS[400], self.headers)

    def refuse_late_headers(self) -> None:
        """Close the connection. A client that has sent a part of its headers gets a 408."""
        self.timer = None
        if self.header_size or self.reading_headers:
            self.refuse(408)
        else:
            self.transport.close()

    def refuse(self, status: int) -> None:
        """Send an error response, and close the connection.

        While the application handles an earlier request, the client would mistake the error for its response. Then no
        error is sent, and the connection closes after the responses to all complete requests.
        """
        if self.transport.is_closing():
            return
        running = self.running if self.handles_a_request() else None
        if running and (running.response_started or not running.more_body):
            self.ignores_input = True
            if self.pipeline and self.pipeline[0][0].more_body:
                self.pipeline.popleft()
            last = self.pipeline[0][0] if self.pipeline else running
            last.keep_alive = False
            return
        belongs_to_headers = running or self.reading_headers
        send_refusal(self.transport, status, REFUSALS[status], self.headers if belongs_to_headers else [])

    def stop_timer(self) -> None:
        """Stop the header timer, if it runs."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def check_progress(self) -> None:
        """Abort the connection if its client has not read anything for RESPONSE_WRITE_TIMEOUT seconds.

        The server calls it several times in that period. The unsent bytes are discarded.
        """
        buffered = self.transport.get_write_buffer_size()
        if not buffered:
            self.delivered = None
            return
        connection = self.transport.get_extra_info("socket")
        _, _, acknowledged, _ = tcp_info(connection)
        delivered = (acknowledged, buffered)
        if delivered != self.delivered:
            self.delivered, self.delivered_at = delivered, self.loop.time()
        elif self.loop.time() - self.delivered_at >= settings.RESPONSE_WRITE_TIMEOUT:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.transport.abort()


def send_refusal(
    transport: asyncio.Transport, status: int, message: str, headers: Iterable[tuple[bytes, bytes]]
) -> None:
    """Send an error response to a request with complete or incomplete headers, and close the connection."""
    request = HttpRequest()
    for name, value in headers:
        request.META[f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}"] = value.decode("latin-1")
    transport.write(as_http1(refusal(status, message, request)))
    transport.close()
