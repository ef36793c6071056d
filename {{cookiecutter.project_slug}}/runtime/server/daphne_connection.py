"""Daphne's HTTP connections with limits for headers, bodies and clients that stop reading."""

import asyncio
import socket
import time
from contextlib import suppress
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import Any, cast, override

from daphne.http_protocol import WebRequest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from twisted.internet.abstract import FileDescriptor
from twisted.web.http import NO_BODY_CODES, HTTPChannel

from runtime.compat import require
from runtime.conf import conf
from runtime.requests.errors import as_http1, refusal
from runtime.requests.headers import RequestRefusedError, check_headers, check_size, logged_refusal, storage_error

require(WebRequest, "_response_started", "channel", "clientproto", "content")
require(HTTPChannel, "_buffer", "_dataBuffer", "_handlingRequest", "_networkProducer", "_optimisticEagerReadSize")
require(HTTPChannel, "_path", "_receivedHeaderCount", "_receivedHeaderSize", "_respondToBadRequestAndDisconnect")
require(HTTPChannel, "_send100Continue", "_version", "_waitingForTransport", "length", "line_mode", "maxHeaders")
require(HTTPChannel, "paused", "persistent", "requests", "timeOut", "totalHeadersSize")
require(FileDescriptor, "_tempDataLen", "dataBuffer", "offset", "writeSomeData")

TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", None)


class FlowControl:
    """Tells whether a connection accepts more data. Twisted calls it as an `IPushProducer`."""

    def __init__(self) -> None:
        self.writable = asyncio.Event()
        self.resumeProducing()

    def pauseProducing(self) -> None:  # noqa: N802
        """Pause the senders, because the write buffer is full."""
        self.writable.clear()

    def resumeProducing(self) -> None:  # noqa: N802
        """Resume the senders, because the client has read the write buffer."""
        self.writable.set()

    # A closed connection wakes its senders, because the write buffer never empties.
    stopProducing = resumeProducing  # noqa: N815


class LimitedRequest(WebRequest):
    """A request that keeps a large body on disk, and aborts its response if the application fails."""

    def __init__(self, *args: Any, **options: Any) -> None:
        # Twisted would parse forms on the event loop, and Django parses them again.
        super().__init__(*args, parsePOSTFormSubmission=False, **options)

    @override
    def gotLength(self, length: int | None) -> None:
        limit = settings.FILE_UPLOAD_MAX_MEMORY_SIZE
        fits = length is not None and length <= limit
        # Twisted closes it when it has handled the request.
        self.content: Any = BytesIO() if fits else SpooledTemporaryFile(limit)  # noqa: SIM115

    @override
    def handleContentChunk(self, data: bytes) -> None:
        if self.channel.refused:
            return
        try:
            super().handleContentChunk(data)
        except OSError as error:
            # Closing flushes the buffer, which fails again on a full disk.
            with suppress(OSError):
                self.content.close()
            self.content = None
            self.channel.refuse(storage_error(error))

    def handle_reply(self, message: Any) -> None:
        """Send one message of the application. Daphne itself would send a body even after HEAD and with a 204."""
        if message.get("body") and (self.method == b"HEAD" or self.code in NO_BODY_CODES):
            message = {**message, "body": b""}
        super().handle_reply(message)

    def handle_exception(self, exception: BaseException | None) -> None:
        """Send a 500, or close the connection if the response has already started."""
        if not self._response_started:
            self.basic_error(500, b"Internal Server Error", "Internal server error.")
        elif self.clientproto == b"HTTP/1.1":
            self.channel.loseConnection()
        else:
            # In HTTP/1.0, a regular close would mark the response as complete.
            self.channel.transport.abortConnection()

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """Send an error response, and close the connection."""
        response = refusal(status, body, self.channel.partial_request())
        headers = [(name.encode(), value.encode()) for name, value in response.headers.items()]
        self.channel.persistent = False
        self.handle_reply({"type": "http.response.start", "status": status, "headers": headers})
        self.handle_reply({"type": "http.response.body", "body": response.content})


class LimitedConnection(cast(Any, HTTPChannel)):  # type: ignore[misc]
    """A connection that times out when a request does not end or when its client does not read.

    Daphne itself would buffer everything that such a client sends, and everything that it does not read.
    """

    # After a refusal, further input is discarded.
    refused = False
    # Runs while the client has not read a response.
    write_timer: Any = None

    @override
    def connectionMade(self) -> None:
        # Daphne sets its own class after it has created the connection.
        self.requestFactory = LimitedRequest
        self.flow = FlowControl()
        super().connectionMade()

    @override
    def connectionLost(self, reason: Any) -> None:
        self.stop_write_timer()
        self.flow.stopProducing()
        super().connectionLost(reason)

    @override
    def loseConnection(self) -> None:
        """Close the connection when the client has read the response, or when the write timer expires."""
        super().loseConnection()
        if self.has_unsent_data():
            self.start_write_timer()

    @override
    def resetTimeout(self) -> None:
        """Do not restart the timeout at every byte, because a slow client could then keep the connection."""

    @override
    def dataReceived(self, data: bytes) -> None:
        if not self.refused:
            super().dataReceived(data)

    @override
    def lineLengthExceeded(self, line: bytes) -> None:
        self.refuse_headers(431, "The headers are too long.")

    @override
    def allHeadersReceived(self) -> None:
        try:
            check_size(self.length or 0)
        except RequestRefusedError as refused:
            self.refuse(refused)
            return
        super().allHeadersReceived()
        if self.length != 0 and not self.refused:
            self.body_started = time.monotonic()
            self.setTimeout(settings.REQUEST_BODY_TIMEOUT)

    @override
    def _send100Continue(self) -> None:
        """Ask for the body, unless the request is refused by its headers."""
        request = self.requests[-1]
        headers = [
            (name.lower(), value) for name, values in request.requestHeaders.getAllRawHeaders() for value in values
        ]
        path = self._path.partition(b"?")[0].decode("latin-1")
        try:
            check_headers(path, self._version.partition(b"/")[2].decode("latin-1"), headers)
        except RequestRefusedError as refused:
            self.refuse(refused)
        else:
            super()._send100Continue()

    @override
    def allContentReceived(self) -> None:
        if not self.refused:
            # Otherwise Twisted would apply this request's body timeout to the headers of the next request.
            self.timeOut = conf.HEADER_TIMEOUT
            super().allContentReceived()

    @override
    def rawDataReceived(self, data: bytes) -> None:
        """Receive a part of the body or of the next request, within the limits of size and time."""
        if self.refused:
            return
        super().rawDataReceived(data)
        if self._handlingRequest:
            if sum(map(len, self._dataBuffer)) > self._optimisticEagerReadSize:
                # Twisted would continue to read while the response waits for the client.
                self._networkProducer.pauseProducing()
        elif self.requests and not self.refused:
            size = self.requests[-1].content.tell()
            try:
                check_size(size)
            except RequestRefusedError as refused:
                self.refuse(refused)
                return
            lag = max(0.0, time.monotonic() - self.body_started - size / conf.MIN_BYTES_PER_SECOND)
            self.setTimeout(max(0.0, settings.REQUEST_BODY_TIMEOUT - lag))

    @override
    def requestDone(self, request: Any) -> None:
        """Handle the next request when the client has read the earlier responses."""
        if self._waitingForTransport:
            # Twisted would handle all pipelined requests at once, and buffer their responses.
            self.paused = True
            self._networkProducer.pauseProducing()
        super().requestDone(request)

    @override
    def pauseProducing(self) -> None:
        """Make the application wait for the client."""
        super().pauseProducing()
        self.flow.pauseProducing()
        self.start_write_timer()

    @override
    def resumeProducing(self) -> None:
        """Resume the application, or handle the next request."""
        super().resumeProducing()
        self.flow.resumeProducing()
        if self.paused and not self.refused:
            self.paused = False
            self.dataReceived(b"")

    def has_unsent_data(self) -> bool:
        """Tell whether the write buffer holds data."""
        transport = self.transport
        return bool(len(transport.dataBuffer) - transport.offset + transport._tempDataLen)

    def start_write_timer(self) -> None:
        """Abort the connection if the client reads nothing for RESPONSE_WRITE_TIMEOUT seconds while data is unsent."""
        if self.write_timer is None:
            if TCP_NOTSENT_LOWAT is not None:
                self.transport.getHandle().setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, conf.SEND_BUFFER_SIZE)
            self.transport.writeSomeData = self.send_some
            self.write_timer = self.callLater(settings.RESPONSE_WRITE_TIMEOUT, self.abort)

    def send_some(self, data: bytes) -> Any:
        """Send as much of the data as the client takes. Any progress restarts the write timer."""
        sent = type(self.transport).writeSomeData(self.transport, data)
        if sent == len(data) and not self.transport._tempDataLen:
            self.stop_write_timer()
        elif sent:
            self.write_timer.reset(settings.RESPONSE_WRITE_TIMEOUT)
        return sent

    def stop_write_timer(self) -> None:
        """Stop the write timer, if it runs."""
        if self.write_timer is not None:
            self.write_timer.cancel()
            self.write_timer = None
            del self.transport.writeSomeData

    def abort(self) -> None:
        """Abort the connection of a client that does not read, and discard the unsent data."""
        self.write_timer = None
        del self.transport.writeSomeData
        self.transport.abortConnection()

    @override
    def timeoutConnection(self) -> None:
        """Close the connection. A client that has sent a part of a request gets a 408."""
        if self.refused:
            super().timeoutConnection()
        elif self.has_unsent_data():
            # A client sends its next request only after it has read the response.
            self.start_write_timer()
            self.setTimeout(conf.HEADER_TIMEOUT)
        elif not self.line_mode:
            self.refuse(RequestRefusedError(408, "The body took too long to arrive."))
        elif self.requests or self._buffer:
            self.refuse_headers(408, "The headers took too long to arrive.")
        else:
            super().timeoutConnection()

    @override
    def _respondToBadRequestAndDisconnect(self) -> None:
        """Refuse a request that Twisted rejects."""
        if self._receivedHeaderSize > self.totalHeadersSize or self._receivedHeaderCount > self.maxHeaders:
            self.refuse_headers(431, "The headers are too long.")
        else:
            self.refuse_headers(400, "The request is malformed.")

    def refuse(self, refused: RequestRefusedError) -> None:
        """Refuse a request with complete headers, log the reason, and close the connection."""
        if not self.refused:
            self.send_final_response(logged_refusal(refused, self.partial_request()))

    def refuse_headers(self, status: int, message: str) -> None:
        """Refuse a request with incomplete headers, and close the connection. A log line could flood the log."""
        if not self.refused:
            self.send_final_response(refusal(status, message, self.partial_request()))

    def send_final_response(self, response: HttpResponse) -> None:
        """Send a response, and close the connection after LINGERING_CLOSE_TIMEOUT, so that the client can read it."""
        self.refused = True
        # Stops the parser.
        self.paused = True
        self.transport.write(as_http1(response))
        self.setTimeout(conf.LINGERING_CLOSE_TIMEOUT)

    def partial_request(self) -> HttpRequest:
        """Return the last request with the path and the headers that have arrived."""
        request = HttpRequest()
        if self.requests:
            # Twisted keeps the URI in `_path` until the request is complete.
            uri: bytes = getattr(self, "_path", self.requests[-1].uri)
            request.path = uri.partition(b"?")[0].decode("latin-1")
            for name, values in self.requests[-1].requestHeaders.getAllRawHeaders():
                if b"_" not in name:
                    key = f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}"
                    request.META[key] = b",".join(values).decode("latin-1")
        return request
