"""Daphne's WebSockets with the client's address in the handshake log and with backpressure from slow clients."""

from typing import Any, override

from django.conf import settings

from runtime.requests.proxies import TrustedProxies
from runtime.server.daphne import DrainedServer
from runtime.server.daphne_connection import FlowControl
from runtime.websockets.guard import POLICY_VIOLATION


class WebSocketServer(DrainedServer):
    """The Daphne server of a service with Channels."""

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
        """Send one message to a WebSocket, and wait until the connection accepts the next."""
        if message["type"] == "websocket.close" and hasattr(protocol, "flow"):
            if message.get("code") == POLICY_VIOLATION:
                # Reading the client's further frames would delay other clients.
                protocol.transport.pauseProducing()
            protocol.sendCloseFrame(code=message.get("code", 1000))
            return
        await super().send_to_websocket(protocol, message)
        if "disconnected" in self.connections.get(protocol, {"disconnected": True}):
            return
        if message["type"] == "websocket.accept":
            protocol.flow = FlowControl()
            # Before the handshake, the producer was the HTTP connection.
            protocol.unregisterProducer()
            protocol.registerProducer(protocol.flow, True)
        elif message["type"] == "websocket.send":
            await protocol.flow.writable.wait()
