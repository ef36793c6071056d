"""What the service answers to protocols that it does not speak."""

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope


class HTTPOnly:
    """Wrap an ASGI application without WebSockets: a handshake is refused, where Django would raise ValueError."""

    def __init__(self, application: ASGI3Application) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Refuse a handshake; pass everything else on."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000, "reason": None})
        else:
            await self.application(scope, receive, send)
