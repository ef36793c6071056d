"""The answer of a service without WebSockets to a WebSocket handshake."""

from runtime.asgi import ASGIApp, Receive, Scope, Send


class RefuseWebSocketMiddleware:
    """Wrap an ASGI application that only speaks HTTP. A handshake is refused, where Django would raise ValueError."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a handshake; pass everything else on."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000, "reason": None})
        else:
            await self.app(scope, receive, send)
