"""uvicorn's WebSocket connections, which close cleanly when a client violates the protocol."""

from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from runtime.compat import require
from runtime.server.uvicorn_protocol import send_refusal

require(WebSocketsSansIOProtocol, "close_sent", "conn", "curr_msg_data_type", "frames", "transport", "writable")
require(WebSocketsSansIOProtocol, "handshake_complete", "handshake_initiated")


class WebSocketLimitProtocol(WebSocketsSansIOProtocol):
    """A WebSocket that handles protocol violations of the client for which uvicorn itself logs a traceback."""

    def data_received(self, data: bytes) -> None:
        """Parse the bytes. Close the connection of a client that sends frames before the handshake is complete."""
        if self.handshake_initiated and not self.handshake_complete:
            self.transport.close()
        else:
            super().data_received(data)

    def handle_connect(self, event: Request) -> None:
        """Start the application, or refuse an invalid handshake."""
        response = self.conn.accept(event)
        if response.status_code == 101:
            super().handle_connect(event)
            return
        self.handshake_initiated = self.handshake_complete = self.close_sent = True
        message = response.body.decode().partition("\n")[0]
        headers = [(name.encode(), value.encode("latin-1")) for name, value in event.headers.raw_items()]
        send_refusal(self.transport, response.status_code, message, headers)

    async def send(self, message: Any) -> None:
        """Send a message. Raises ClientDisconnected if the connection is closing.

        After an invalid frame, uvicorn itself raises RuntimeError until the application has received the disconnect.
        """
        await self.writable.wait()
        if self.close_sent or self.transport.is_closing():
            raise ClientDisconnected
        await super().send(message)

    def send_receive_event_to_app(self) -> None:
        """Pass a message to the application. Text that is not UTF-8 closes the socket with code 1007."""
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
