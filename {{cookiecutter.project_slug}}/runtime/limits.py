"""What {{ cookiecutter.asgi_server }} takes from a client before the application hears of it, beside its own limits."""

import asyncio
# {% if cookiecutter.asgi_server == "daphne" %}
import logging
# {% elif cookiecutter.asgi_server == "granian" %}
import os
# {% endif %}
import socket
# {% if cookiecutter.asgi_server == "granian" %}
import stat
# {% endif %}
# {% if cookiecutter.asgi_server != "daphne" %}
import struct
import sys
# {% else %}
import time
# {% endif %}
# {% if cookiecutter.asgi_server == "uvicorn" %}
from collections.abc import Iterable
# {% elif cookiecutter.asgi_server == "granian" %}
from pathlib import Path
# {% else %}
from contextlib import suppress
from functools import partial
from io import BytesIO
from tempfile import SpooledTemporaryFile
# {% endif %}
# {% if cookiecutter.asgi_server != "granian" %}
from typing import (
    Any,
    # {% if cookiecutter.asgi_server == "daphne" %}
    cast,
    override,
    # {% endif %}
)
# {% endif %}

# {% if cookiecutter.asgi_server == "daphne" %}
from daphne.http_protocol import WebRequest
from daphne.server import Server
# {% endif %}
from django.conf import settings
# {% if cookiecutter.asgi_server != "granian" %}
from django.http import (
    HttpRequest,
    # {% if cookiecutter.asgi_server == "daphne" %}
    HttpResponse,
    # {% endif %}
)
# {% endif %}
# {% if cookiecutter.asgi_server == "daphne" %}
from twisted.web.http import NO_BODY_CODES, HTTPChannel

from runtime.requests.body import LINGER, SLOWEST
# {% elif cookiecutter.asgi_server == "uvicorn" %}
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
# {% if cookiecutter.use_channels %}
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
# {% endif %}

# {% endif %}
# {% if cookiecutter.asgi_server != "granian" %}
from runtime.requests.errors import as_http1, refusal
# {% endif %}
# {% if cookiecutter.asgi_server == "daphne" %}
from runtime.requests.headers import RequestRefusedError, answer_refused, cannot_store, check_headers, check_size
# {% if cookiecutter.use_channels %}
from runtime.websockets.guard import TOO_MANY_FRAMES
# {% endif %}
# {% endif %}

# Seconds that the headers of a request may take, from the first of the connection or the end of the last request.
HEADER_TIMEOUT = 10
# {% if cookiecutter.asgi_server == "uvicorn" %}
# Bytes that they may have.
MAX_HEADER_SIZE = 64 * 1024
# Requests of a connection that may wait while an earlier one is answered.
MAX_PIPELINED = 100
# Errors that are found before the application is called, and what the client is told.
REFUSALS = {
    400: "The request is malformed.",
    408: "The headers took too long to arrive.",
    431: "The headers are too long.",
}
# {% endif %}
# {% if cookiecutter.asgi_server != "daphne" %}
# Value of SO_LINGER with which a closed connection is reset: the kernel does not keep the bytes that it has not sent.
RESET = struct.pack("ii", 1, 0)
# Fields of Linux's `struct tcp_info`: tcpi_state, tcpi_unacked, tcpi_bytes_acked, tcpi_notsent_bytes.
TCP_INFO = struct.Struct("=B23xI92xQ16xI")
TCP_LISTEN = 10
# {% if cookiecutter.asgi_server == "granian" %}
# The files and connections of this process.
DESCRIPTORS = Path("/proc/self/fd")
# {% endif %}


def tcp_info(connection: socket.socket) -> tuple[int, int, int, int]:
    """Return the state of a TCP connection, and what has been acknowledged: see TCP_INFO. Zeros on other systems."""
    if sys.platform != "linux":
        return 0, 0, 0, 0
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO.size)
    return TCP_INFO.unpack(info.ljust(TCP_INFO.size, b"\0"))
# {% endif %}
# {% if cookiecutter.asgi_server == "uvicorn" %}


class LimitedProtocol(HttpToolsProtocol):
    """An HTTP connection with the limits that uvicorn lacks: on headers, trailers, pipelined requests and slow readers.

    What is received is counted, unless it is the body of a request: a client cannot make the process keep more of it
    than MAX_HEADER_SIZE and what one read returns.
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
        self.timer = self.loop.call_later(HEADER_TIMEOUT, self.give_up)

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
        # {% if cookiecutter.use_channels %}
        if self.transport.get_protocol() is not self:
            # The connection has become a WebSocket.
            return
        # {% endif %}
        if self.made_progress:
            self.header_size = 0
        elif self.header_size > MAX_HEADER_SIZE:
            self.refuse(431)
        if self.handles_a_request():
            self.stop_timer()
        elif self.timer is None:
            self.timer = self.loop.call_later(HEADER_TIMEOUT, self.give_up)

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
        if self.header_size > MAX_HEADER_SIZE:
            # An upper bound; this is exact.
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > MAX_HEADER_SIZE:
                self.headers_too_large = True
                # Makes the parser stop, which says that the request is invalid.
                raise ValueError(size)
        if len(self.pipeline) >= MAX_PIPELINED:
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

    # {% if cookiecutter.use_channels %}
    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over; refuse a handshake that is not understood, which uvicorn would leave open."""
        super().handle_websocket_upgrade()
        self.stop_timer()
        protocol = self.transport.get_protocol()
        if isinstance(protocol, LimitedSocket) and not protocol.handshake_initiated:
            send_refusal(self.transport, 400, REFUSALS[400], self.headers)

    # {% endif %}
    def give_up(self) -> None:
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
# {% if cookiecutter.use_channels %}


class LimitedSocket(WebSocketsSansIOProtocol):
    """A WebSocket whose client may break the rules in ways of which uvicorn itself logs a traceback."""

    def data_received(self, data: bytes) -> None:
        """Take what has come; leave a client that does not wait until it is accepted."""
        if self.handshake_initiated and not self.handshake_complete:
            self.transport.close()
        else:
            super().data_received(data)

    def handle_connect(self, event: Request) -> None:
        """Start the application; refuse a handshake that breaks the rules."""
        response = self.conn.accept(event)
        if response.status_code == 101:
            super().handle_connect(event)
            return
        self.handshake_initiated = self.handshake_complete = self.close_sent = True
        message = response.body.decode().partition("\n")[0]
        headers = [(name.encode(), value.encode("latin-1")) for name, value in event.headers.raw_items()]
        send_refusal(self.transport, response.status_code, message, headers)

    async def send(self, message: Any) -> None:
        """Send a message; raise ClientDisconnected once the connection is closing, for whatever reason.

        uvicorn raises RuntimeError after a frame that breaks the rules, until the application has received the event.
        """
        await self.writable.wait()
        if self.close_sent or self.transport.is_closing():
            raise ClientDisconnected
        await super().send(message)

    def send_receive_event_to_app(self) -> None:
        """Pass a message on; close the socket for text that is not UTF-8."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                self.frames = [b"".join(self.frames)]
                self.frames[0].decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(1007)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()
# {% endif %}
# {% elif cookiecutter.asgi_server == "granian" %}


class WriteTimeouts:
    """Cuts connections whose clients have not read anything for RESPONSE_WRITE_TIMEOUT seconds.

    granian has no such limit, and an application does not see its connections. Linux lists them, and tells how many
    bytes the client has acknowledged. (TCP_USER_TIMEOUT also cuts clients that read slowly but steadily.)
    """

    def __init__(self, port: int) -> None:
        # The port where granian listens, which is that of the connections it has accepted.
        self.port = port
        # For each connection with bytes that are not acknowledged, by its inode: those that are, and since when.
        self.waiting: dict[int, tuple[int, float]] = {}

    async def watch(self) -> None:
        """Cut connections until cancelled. Looking at thousands of them would block the event loop."""
        while sys.platform == "linux":
            await asyncio.sleep(settings.RESPONSE_WRITE_TIMEOUT / 8)
            await asyncio.to_thread(self.check, asyncio.get_running_loop().time())

    def check(self, now: float) -> None:
        """Note what has been acknowledged; cut the connections on which that has not changed for too long."""
        before, self.waiting = self.waiting, {}
        for entry in DESCRIPTORS.iterdir():
            try:
                # granian's threads may close it at any time, and its number may be that of another connection then.
                descriptor = os.dup(int(entry.name))
            except OSError:
                continue
            status = os.fstat(descriptor)
            if not stat.S_ISSOCK(status.st_mode):
                os.close(descriptor)
                continue
            with socket.socket(fileno=descriptor) as connection:
                if connection.family not in (socket.AF_INET, socket.AF_INET6):
                    continue
                if connection.type != socket.SOCK_STREAM or connection.getsockname()[1] != self.port:
                    continue
                state, unacknowledged, acknowledged, unsent = tcp_info(connection)
                if state == TCP_LISTEN or not (unacknowledged or unsent):
                    continue
                was_acknowledged, since = before.get(status.st_ino, (-1, now))
                if acknowledged != was_acknowledged:
                    since = now
                elif now - since >= settings.RESPONSE_WRITE_TIMEOUT:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    connection.shutdown(socket.SHUT_RDWR)
                    continue
                self.waiting[status.st_ino] = acknowledged, since
# {% elif cookiecutter.asgi_server == "daphne" %}
# Bytes that the operating system takes before the client has room for them. By default it takes megabytes, and while a
# slow client reads those, no progress would be seen.
SEND_BUFFER_SIZE = 128 * 1024
TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", None)

logger = logging.getLogger(__name__)


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

    # There will never be room, and nobody need wait for it.
    stopProducing = resumeProducing  # noqa: N815


class LimitedServer(Server):
    """Daphne, which puts these limits on its clients."""

    def limit(self) -> None:
        """Put them on all to come, once the server has what it makes connections with."""
        self.http_factory.protocol = LimitedConnection
        self.http_factory.timeOut = HEADER_TIMEOUT
        # A frame that breaks the rules is answered with the code that says which.
        self.ws_factory.setProtocolOptions(failByDrop=False)

    def create_application(self, protocol: Any, scope: Any) -> Any:
        """Start the application, and return the queue of what it receives."""
        queue = super().create_application(protocol, scope)
        if queue is not None:
            application = self.connections[protocol]["application_instance"]
            application.add_done_callback(partial(self.application_done, protocol))
        return queue

    def application_done(self, protocol: Any, application: asyncio.Future[None]) -> None:
        """Log the error that an application has raised, and end the response that it has not completed.

        Daphne does this in `application_checker`, which ends for good when the error comes after the first part of a
        response. Without it, Daphne keeps each connection in memory for ever.
        """
        details = self.connections.get(protocol, {})
        if details.pop("application_instance", None) is None:
            return
        error = None if application.cancelled() else application.exception()
        if error is not None:
            logger.error("Exception inside application: %s", error, exc_info=error)
        if "disconnected" not in details and (error is not None or isinstance(protocol, LimitedRequest)):
            protocol.handle_exception(error)

    async def handle_reply(self, protocol: Any, message: Any) -> None:
        """Send one message of the application, and wait until the client has room for the next.

        Daphne itself does not wait, and stores without limit what a slow client does not read.
        """
        if "disconnected" in self.connections.get(protocol, {"disconnected": True}):
            # An application that waits for nothing else can be cancelled here.
            await asyncio.sleep(0)
            return
        if not isinstance(protocol, LimitedRequest):
            # {% if cookiecutter.use_channels %}
            await self.send_to_socket(protocol, message)
            # {% else %}
            # A handshake, which is refused.
            await super().handle_reply(protocol, message)
            # {% endif %}
            return
        connection, more = protocol.channel, message.get("more_body", False)
        if more and connection.has_unsent_data():
            connection.expect_reading()
        await super().handle_reply(protocol, message)
        if more:
            await connection.outgoing.has_room.wait()
    # {% if cookiecutter.use_channels %}

    async def send_to_socket(self, protocol: Any, message: Any) -> None:
        """Send one message to a WebSocket, and wait until the client has room for the next."""
        if message["type"] == "websocket.close" and hasattr(protocol, "outgoing"):
            if message.get("code") == TOO_MANY_FRAMES:
                # The many that are on their way would keep everybody waiting.
                protocol.transport.pauseProducing()
            protocol.sendCloseFrame(code=message.get("code", 1000))
            return
        await super().handle_reply(protocol, message)
        if "disconnected" in self.connections.get(protocol, {"disconnected": True}):
            return
        if message["type"] == "websocket.accept":
            protocol.outgoing = Outgoing()
            # Until the handshake this was the protocol of HTTP.
            protocol.unregisterProducer()
            protocol.registerProducer(protocol.outgoing, True)
        elif message["type"] == "websocket.send":
            await protocol.outgoing.has_room.wait()
    # {% endif %}


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
            self.timeOut = HEADER_TIMEOUT
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
            behind = max(0.0, time.monotonic() - self.body_started - size / SLOWEST)
            self.setTimeout(max(0.0, settings.REQUEST_BODY_TIMEOUT - behind))

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
                self.transport.getHandle().setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, SEND_BUFFER_SIZE)
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
            self.setTimeout(HEADER_TIMEOUT)
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
        self.setTimeout(LINGER)

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
# {% endif %}
