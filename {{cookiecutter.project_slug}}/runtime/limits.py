"""What {{ cookiecutter.asgi_server }} takes from a client before the application hears of it, beside its own limits."""

# {% if cookiecutter.asgi_server == "uvicorn" or cookiecutter.asgi_server == "daphne" and cookiecutter.use_channels %}
import asyncio
# {% endif %}
# {% if cookiecutter.asgi_server == "daphne" %}
import json
import time
from http import HTTPStatus
from typing import Any, cast, override
# {% endif %}
# {% if cookiecutter.asgi_server == "uvicorn" %}

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
# {% if cookiecutter.use_channels %}
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
# {% endif %}

# {% elif cookiecutter.asgi_server == "daphne" %}

from daphne.server import Server
from django.conf import settings
from twisted.web.http import HTTPChannel

from runtime.bodies import LINGER, SLOWEST
# {% if cookiecutter.use_channels %}
from runtime.sockets import TOO_MANY_FRAMES
# {% endif %}

# {% endif %}
# Seconds that the headers of a request may take, from the first of the connection or the end of the last request.
HEADER_TIMEOUT = 10
# {% if cookiecutter.asgi_server == "uvicorn" %}
# Bytes that they may have.
MAX_HEADER_SIZE = 64 * 1024
# {% endif %}
# {% if cookiecutter.asgi_server == "uvicorn" %}


class LimitedProtocol(HttpToolsProtocol):
    """A connection that is closed when headers do not end: uvicorn itself waits for ever, and keeps them all."""

    # Bytes that have come since the last request, but for those that came with its end.
    header_size = 0
    timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect headers."""
        super().connection_made(transport)
        self.timer = self.loop.call_later(HEADER_TIMEOUT, self.give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self.stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come; see whether headers are still to come."""
        if not self.handles_a_request():
            self.header_size += len(data)
        super().data_received(data)
        # {% if cookiecutter.use_channels %}
        if self.transport.get_protocol() is not self:
            # It has become a socket's.
            return
        # {% endif %}
        if self.handles_a_request():
            self.header_size = 0
            self.stop_timer()
        elif self.header_size > MAX_HEADER_SIZE:
            self.refuse(b"431 Request Header Fields Too Large")
        elif self.timer is None:
            self.timer = self.loop.call_later(HEADER_TIMEOUT, self.give_up)

    def handles_a_request(self) -> bool:
        """Tell whether there is a request whose response is not complete."""
        return self.cycle is not None and not self.cycle.response_complete

    def on_headers_complete(self) -> None:
        """Refuse headers that are too large though they came at once."""
        if self.header_size > MAX_HEADER_SIZE:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > MAX_HEADER_SIZE:
                # Makes the parser stop, which says that the request is invalid.
                raise ValueError(size)
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Say that a request is invalid, or that its headers are too large."""
        if self.header_size > MAX_HEADER_SIZE:
            self.refuse(b"431 Request Header Fields Too Large")
        else:
            super().send_400_response(msg)

    # {% if cookiecutter.use_channels %}
    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over; refuse a handshake that is not understood, which uvicorn would leave open."""
        super().handle_websocket_upgrade()
        self.stop_timer()
        protocol = self.transport.get_protocol()
        if isinstance(protocol, WebSocketsSansIOProtocol) and not protocol.handshake_initiated:
            self.refuse(b"400 Bad Request")

    # {% endif %}
    def give_up(self) -> None:
        """Close the connection; say why to a client that has sent a part of its headers."""
        self.timer = None
        if self.header_size:
            self.refuse(b"408 Request Timeout")
        else:
            self.transport.close()

    def refuse(self, status: bytes) -> None:
        """Answer with a status and nothing else, and close the connection."""
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % status)
            self.transport.close()

    def stop_timer(self) -> None:
        """Wait for the end of headers no longer."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
# {% if cookiecutter.use_channels %}


class LimitedSocket(WebSocketsSansIOProtocol):
    """A WebSocket whose client may break the rules in ways of which uvicorn itself logs a traceback."""

    def data_received(self, data: bytes) -> None:
        """Take what has come; leave a client that does not wait until it is accepted."""
        if self.handshake_initiated and not self.handshake_complete:
            self.transport.close()
        else:
            super().data_received(data)

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
# {% elif cookiecutter.asgi_server == "daphne" %}


# {% if cookiecutter.use_channels %}
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


# {% endif %}
class LimitedServer(Server):
    """Daphne, which puts these limits on its clients."""

    def limit(self) -> None:
        """Put them on all to come, once the server has what it makes connections with."""
        self.http_factory.protocol = LimitedConnection
        self.http_factory.timeOut = HEADER_TIMEOUT
        # A frame that breaks the rules is answered with the code that says which.
        self.ws_factory.setProtocolOptions(failByDrop=False)
    # {% if cookiecutter.use_channels %}

    async def handle_reply(self, protocol: Any, message: Any) -> None:
        """Send one message of the application's, and wait until its client takes more.

        Daphne itself takes what it is given, and keeps it for a client that is slow, without bound.
        """
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


class LimitedConnection(cast(Any, HTTPChannel)):  # type: ignore[misc]
    """A connection that is answered and closed when a request does not end: Daphne itself would store all of it."""

    # Once it is answered, what still comes is thrown away.
    refused = False

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
        self.refuse(431, "The headers are too long.")

    @override
    def allHeadersReceived(self) -> None:
        """Expect the body, unless it is too long."""
        if self.length is not None and self.length > settings.REQUEST_MAX_SIZE:
            self.refuse(413, f"The body is longer than {settings.REQUEST_MAX_SIZE} bytes.")
            return
        super().allHeadersReceived()
        self.body_started = time.monotonic()
        self.setTimeout(settings.REQUEST_BODY_TIMEOUT)

    @override
    def rawDataReceived(self, data: bytes) -> None:
        """Take a part of the body, or of the next request."""
        if self.refused:
            return
        super().rawDataReceived(data)
        if self.requests and not self._handlingRequest:
            size = self.requests[-1].content.tell()
            if size > settings.REQUEST_MAX_SIZE:
                self.refuse(413, f"The body is longer than {settings.REQUEST_MAX_SIZE} bytes.")
            else:
                behind = max(0.0, time.monotonic() - self.body_started - size / SLOWEST)
                self.setTimeout(max(0.0, settings.REQUEST_BODY_TIMEOUT - behind))

    @override
    def timeoutConnection(self) -> None:
        """Close the connection; say why to a client that has sent a part of a request."""
        if not self.refused and (self.requests or self._buffer):
            self.refuse(408, "The request took too long to arrive.")
        else:
            super().timeoutConnection()

    def refuse(self, status: int, message: str) -> None:
        """Say why, and close the connection once the client has had time to read it."""
        self.refused = True
        content = json.dumps({"error": message}).encode()
        self.transport.write(
            b"HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (status, HTTPStatus(status).phrase.encode(), len(content), content)
        )
        self.setTimeout(LINGER)
# {% endif %}
