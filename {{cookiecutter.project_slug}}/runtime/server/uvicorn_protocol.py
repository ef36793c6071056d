"""uvicorn's HTTP connections, with limits on headers, pipelined requests and clients that stop reading."""

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

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

# Errors that are found before the application is called, and what the client is told.
REFUSALS = {
    400: "The request is malformed.",
    408: "The headers took too long to arrive.",
    431: "The headers are too long.",
}


class HeaderLimitProtocol(HttpToolsProtocol):
    """An HTTP connection with the limits that uvicorn lacks: on headers, trailers, pipelined requests and slow readers.

    What is received is counted, unless it is the body of a request: a client cannot make the process keep more of it
    than conf.MAX_HEADER_SIZE and what one read returns.
    """

    # Bytes received since the last complete headers or part of a body.
    header_size = 0
    # Whether the bytes that are being parsed completed headers, or held a part of a body.
    made_progress = False
    # Whether a request has begun whose headers are not complete.
    reading_headers = False
    headers_too_large = False
    timer: asyncio.TimerHandle | None = None
    # The request that the application is handling. `self.cycle` is the one that was received last.
    running: RequestResponseCycle | None = None
    # Set when an error must wait for earlier responses: the rest of the input is dropped.
    ignores_input = False
    # What the client had received when that last changed, and the time of that change.
    delivered: tuple[int, int] | None = None
    delivered_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect the headers of a request."""
        super().connection_made(transport)
        self.timer = self.loop.call_later(conf.HEADER_TIMEOUT, self.refuse_late_headers)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application that its client has left."""
        self.stop_timer()
        super().connection_lost(exc)
        if self.running is not None and self.running is not self.cycle:
            # uvicorn tells only the last of several pipelined requests.
            self.running.disconnected = True
            self.running.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Parse the bytes; expect the end of the headers within HEADER_TIMEOUT and MAX_HEADER_SIZE."""
        if self.ignores_input:
            return
        self.header_size += len(data)
        self.made_progress = False
        super().data_received(data)
        if self.transport.get_protocol() is not self:
            # The connection has become a WebSocket.
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
        """Tell whether there is a request whose response is not complete."""
        return self.running is not None and not self.running.response_complete

    def on_message_begin(self) -> None:
        """Expect the headers of a request."""
        super().on_message_begin()
        self.reading_headers = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; drop a trailer, which uvicorn would add to the headers of a request that has begun."""
        if self.reading_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, unless its headers are too large or too many requests wait for their turn."""
        self.made_progress = True
        if self.header_size > conf.MAX_HEADER_SIZE:
            # An upper bound; this is exact.
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > conf.MAX_HEADER_SIZE:
                self.headers_too_large = True
                # Makes the parser stop, which says that the request is invalid.
                raise ValueError(size)
        if len(self.pipeline) >= conf.MAX_PIPELINED_REQUESTS:
            raise ValueError(len(self.pipeline))
        self.reading_headers = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body, which the application bounds."""
        self.made_progress = True
        super().on_body(body)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser refuses."""
        self.refuse(431 if self.headers_too_large else 400)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over; refuse a handshake that is not understood, which uvicorn would leave open."""
        super().handle_websocket_upgrade()
        self.stop_timer()
        protocol = self.transport.get_protocol()
        if not getattr(protocol, "handshake_initiated", True):
            send_refusal(self.transport, 400, REFUSALS[400], self.headers)

    def refuse_late_headers(self) -> None:
        """Close the connection; say why to a client that has sent a part of its headers."""
        self.timer = None
        if self.header_size or self.reading_headers:
            self.refuse(408)
        else:
            self.transport.close()

    def refuse(self, status: int) -> None:
        """Answer with an error, and close the connection.

        Behind a response that is on its way the error would be taken for a part of it, or for its beginning. Then no
        error is sent, and the connection is closed after the responses to all requests that are complete.
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
        """Wait for the end of headers no longer."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def check_progress(self) -> None:
        """Abort the connection if its client has not read anything for RESPONSE_WRITE_TIMEOUT seconds.

        Call it several times in that period. Of what the connection holds, nothing is delivered any more.
        """
        waiting = self.transport.get_write_buffer_size()
        if not waiting:
            self.delivered = None
            return
        connection = self.transport.get_extra_info("socket")
        _, _, acknowledged, _ = tcp_info(connection)
        delivered = (acknowledged, waiting)
        if delivered != self.delivered:
            self.delivered, self.delivered_at = delivered, self.loop.time()
        elif self.loop.time() - self.delivered_at >= settings.RESPONSE_WRITE_TIMEOUT:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.transport.abort()


def send_refusal(
    transport: asyncio.Transport, status: int, message: str, headers: Iterable[tuple[bytes, bytes]]
) -> None:
    """Send the response to a request that has got no further than to its headers, or a part of them, and hang up."""
    request = HttpRequest()
    for name, value in headers:
        request.META[f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}"] = value.decode("latin-1")
    transport.write(as_http1(refusal(status, message, request)))
    transport.close()
