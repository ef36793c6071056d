"""Daphne's WebSockets: the client's address in the handshake log, and backpressure for slow clients."""

from typing import Any, override

from django.conf import settings

from runtime.requests.proxies import TrustedProxies
from runtime.server.daphne import DrainedServer
from runtime.server.daphne_connection import Outgoing
from runtime.websockets.guard import POLICY_VIOLATION


class WebSocketServer(DrainedServer):
    """Daphne with WebSockets."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.proxies = TrustedProxies(settings.TRUSTED_PROXIES)

    @override
    def create_application(self, protocol: Any, scope: Any) -> Any:
        # TrustedProxiesMiddleware runs only after Daphne has logged the handshake.
        self.proxies.resolve(scope)
        return super().create_application(protocol, scope)

    @override
    async def send_to_websocket(self, protocol: Any, message: Any) -> None:
        """Send one message to a WebSocket, and wait until the client has room for the next."""
        if message["type"] == "websocket.close" and hasattr(protocol, "outgoing"):
            if message.get("code") == POLICY_VIOLATION:
                # Reading the frames that are on their way would delay other clients.
                protocol.transport.pauseProducing()
            protocol.sendCloseFrame(code=message.get("code", 1000))
            return
        await super().send_to_websocket(protocol, message)
        if "disconnected" in self.connections.get(protocol, {"disconnected": True}):
            return
        if message["type"] == "websocket.accept":
            protocol.outgoing = Outgoing()
            # Until the handshake this was the protocol of HTTP.
            protocol.unregisterProducer()
            protocol.registerProducer(protocol.outgoing, True)
        elif message["type"] == "websocket.send":
            await protocol.outgoing.has_room.wait()
