"""What the service answers to protocols that it does not speak."""

from runtime.asgi import Application, Receive, Scope, Send


class HTTPOnly:
    """Wrap an ASGI application without WebSockets: a handshake is refused, where Django would raise ValueError."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a handshake; pass everything else on."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000, "reason": None})
        else:
            await self.application(scope, receive, send)
