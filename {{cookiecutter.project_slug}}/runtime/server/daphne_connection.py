"""Daphne's HTTP connections, with limits on headers, bodies and clients that stop reading."""

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
from runtime.requests.headers import RequestRefusedError, answer_refused, cannot_store, check_headers, check_size

require(WebRequest, "_response_started", "channel", "clientproto", "content")
require(HTTPChannel, "_buffer", "_dataBuffer", "_handlingRequest", "_networkProducer", "_optimisticEagerReadSize")
require(HTTPChannel, "_path", "_receivedHeaderCount", "_receivedHeaderSize", "_respondToBadRequestAndDisconnect")
require(HTTPChannel, "_send100Continue", "_version", "_waitingForTransport", "length", "line_mode", "maxHeaders")
require(HTTPChannel, "paused", "persistent", "requests", "timeOut", "totalHeadersSize")
require(FileDescriptor, "_tempDataLen", "dataBuffer", "offset", "writeSomeData")

TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", None)


class Outgoing:
    """What is on its way to a client, as Twisted tells it (an `IPushProducer`)."""

    def __init__(self) -> None:
        self.has_room = asyncio.Event()
        self.resumeProducing()

    def pauseProducing(self) -> None:  # noqa: N802
        """Note that the connection holds as much as it should."""
        self.has_room.clear()

    def resumeProducing(self) -> None:  # noqa: N802
        """Note that the client has taken it."""
        self.has_room.set()

    # Wake all waiting senders: there will never be room.
    stopProducing = resumeProducing  # noqa: N815


class LimitedRequest(WebRequest):
    """A request whose body Twisted does not parse, and whose response is cut off if the application fails."""

    def __init__(self, *args: Any, **options: Any) -> None:
        # Twisted would parse forms on the event loop, and Django parses them again.
        super().__init__(*args, parsePOSTFormSubmission=False, **options)

    def gotLength(self, length: int | None) -> None:  # noqa: N802
        """Expect a body: in memory, unless it is large."""
        most = settings.FILE_UPLOAD_MAX_MEMORY_SIZE
        fits = length is not None and length <= most
        # Twisted closes it when it has handled the request.
        self.content: Any = BytesIO() if fits else SpooledTemporaryFile(most)  # noqa: SIM115

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        """Store a part of the body."""
        if self.channel.refused:
            return
        try:
            super().handleContentChunk(data)
        except OSError as error:
            # It would write again what it could not.
            with suppress(OSError):
                self.content.close()
            self.content = None
            self.channel.refuse(cannot_store(error))

    def handle_reply(self, message: Any) -> None:
        """Send one message of the application; no body where HTTP allows none, of which Daphne would send all parts."""
        if message.get("body") and (self.method == b"HEAD" or self.code in NO_BODY_CODES):
            message = {**message, "body": b""}
        super().handle_reply(message)

    def handle_exception(self, exception: BaseException | None) -> None:
        """Answer 500. A response that has begun is left incomplete: the connection is closed."""
        if not self._response_started:
            self.basic_error(500, b"Internal Server Error", "The request could not be answered.")
        elif self.clientproto == b"HTTP/1.1":
            self.channel.loseConnection()
        else:
            # The end of the connection would be the end of the response.
            self.channel.transport.abortConnection()

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """Answer with an error that Daphne has found, and close the connection."""
        response = refusal(status, body, self.channel.read_headers())
        headers = [(name.encode(), value.encode()) for name, value in response.headers.items()]
        self.channel.persistent = False
        self.handle_reply({"type": "http.response.start", "status": status, "headers": headers})
        self.handle_reply({"type": "http.response.body", "body": response.content})


class LimitedConnection(cast(Any, HTTPChannel)):  # type: ignore[misc]
    """A connection that is answered and closed when a request does not end, or when its client does not read.

    Daphne itself would store all that is sent by or to such a client.
    """

    # Once it is answered, what still comes is thrown away.
    refused = False
    # Runs while a response waits for the client.
    write_timer: Any = None

    @override
    def connectionMade(self) -> None:
        """Expect headers."""
        # Daphne has set its own class after it made the connection.
        self.requestFactory = LimitedRequest
        self.outgoing = Outgoing()
        super().connectionMade()

    @override
    def connectionLost(self, reason: Any) -> None:
        """Let go of what waits for the client."""
        self.stop_write_timer()
        self.outgoing.stopProducing()
        super().connectionLost(reason)

    @override
    def loseConnection(self) -> None:
        """Close the connection once the client has read what is sent to it, if it reads at all."""
        super().loseConnection()
        if self.has_unsent_data():
            self.expect_reading()

    @override
    def resetTimeout(self) -> None:
        """Let a client that sends a byte now and then not begin its time anew."""

    @override
    def dataReceived(self, data: bytes) -> None:
        """Take what has come."""
        if not self.refused:
            super().dataReceived(data)

    @override
    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a line of the headers that does not end."""
        self.refuse_headers(431, "The headers are too long.")

    @override
    def allHeadersReceived(self) -> None:
        """Expect the body, unless it is too long."""
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
        """Ask for the body, unless the headers alone are a reason to refuse the request."""
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
        """Handle the request."""
        if not self.refused:
            # Twisted gives the next request's headers the time that this request's body had.
            self.timeOut = conf.HEADER_TIMEOUT
            super().allContentReceived()

    @override
    def rawDataReceived(self, data: bytes) -> None:
        """Take a part of the body, or of the next request."""
        if self.refused:
            return
        super().rawDataReceived(data)
        if self._handlingRequest:
            if sum(map(len, self._dataBuffer)) > self._optimisticEagerReadSize:
                # Twisted would go on reading if the response waits for the client.
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
        """Handle the next request, once the client has read the responses that wait for it."""
        if self._waitingForTransport:
            # Twisted would handle all that have come, and store their responses.
            self.paused = True
            self._networkProducer.pauseProducing()
        super().requestDone(request)

    @override
    def pauseProducing(self) -> None:
        """Have the application wait for the client."""
        super().pauseProducing()
        self.outgoing.pauseProducing()
        self.expect_reading()

    @override
    def resumeProducing(self) -> None:
        """Have the application go on, or handle the next request."""
        super().resumeProducing()
        self.outgoing.resumeProducing()
        if self.paused and not self.refused:
            self.paused = False
            self.dataReceived(b"")

    def has_unsent_data(self) -> bool:
        """Tell whether anything that was written to the connection is still to be sent."""
        transport = self.transport
        return bool(len(transport.dataBuffer) - transport.offset + transport._tempDataLen)

    def expect_reading(self) -> None:
        """Cut the connection off if the client reads nothing for a while, before everything is sent."""
        if self.write_timer is None:
            if TCP_NOTSENT_LOWAT is not None:
                self.transport.getHandle().setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, conf.SEND_BUFFER_SIZE)
            self.transport.writeSomeData = self.send_some
            self.write_timer = self.callLater(settings.RESPONSE_WRITE_TIMEOUT, self.cut)

    def send_some(self, data: bytes) -> Any:
        """Send what the client takes of some data; give it more time if it has taken any."""
        sent = type(self.transport).writeSomeData(self.transport, data)
        if sent == len(data) and not self.transport._tempDataLen:
            self.stop_write_timer()
        elif sent:
            self.write_timer.reset(settings.RESPONSE_WRITE_TIMEOUT)
        return sent

    def stop_write_timer(self) -> None:
        """Stop waiting for the client to read."""
        if self.write_timer is not None:
            self.write_timer.cancel()
            self.write_timer = None
            del self.transport.writeSomeData

    def cut(self) -> None:
        """Close the connection of a client that does not read, and throw away what is still to be sent."""
        self.write_timer = None
        del self.transport.writeSomeData
        self.transport.abortConnection()

    @override
    def timeoutConnection(self) -> None:
        """Close the connection; say why to a client that has sent a part of a request."""
        if self.refused:
            super().timeoutConnection()
        elif self.has_unsent_data():
            # The client cannot know yet that the next request is expected.
            self.expect_reading()
            self.setTimeout(conf.HEADER_TIMEOUT)
        elif not self.line_mode:
            self.refuse(RequestRefusedError(408, "The body took too long to arrive."))
        elif self.requests or self._buffer:
            self.refuse_headers(408, "The headers took too long to arrive.")
        else:
            super().timeoutConnection()

    @override
    def _respondToBadRequestAndDisconnect(self) -> None:
        """Refuse a request that Twisted does not accept."""
        if self._receivedHeaderSize > self.totalHeadersSize or self._receivedHeaderCount > self.maxHeaders:
            self.refuse_headers(431, "The headers are too long.")
        else:
            self.refuse_headers(400, "The request is malformed.")

    def refuse(self, refused: RequestRefusedError) -> None:
        """Answer a request whose headers are complete, log the reason, and close the connection."""
        if not self.refused:
            self.send_last(answer_refused(refused, self.read_headers()))

    def refuse_headers(self, status: int, message: str) -> None:
        """Answer a request whose headers are not complete, and close the connection. Clients cannot fill the log."""
        if not self.refused:
            self.send_last(refusal(status, message, self.read_headers()))

    def send_last(self, response: HttpResponse) -> None:
        """Send a response, and close the connection once the client has had time to read it."""
        self.refused = True
        # Nothing more of what has come is parsed.
        self.paused = True
        self.transport.write(as_http1(response))
        self.setTimeout(conf.LINGERING_CLOSE_TIMEOUT)

    def read_headers(self) -> HttpRequest:
        """Return what has come of the last request: its path and its headers."""
        request = HttpRequest()
        if self.requests:
            # Twisted keeps it here until the request is complete.
            uri: bytes = getattr(self, "_path", self.requests[-1].uri)
            request.path = uri.partition(b"?")[0].decode("latin-1")
            for name, values in self.requests[-1].requestHeaders.getAllRawHeaders():
                if b"_" not in name:
                    key = f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}"
                    request.META[key] = b",".join(values).decode("latin-1")
        return request
