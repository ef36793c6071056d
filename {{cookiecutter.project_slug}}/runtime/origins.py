"""The page that opens a WebSocket: its server compares it with ALLOWED_HOSTS."""

from urllib.parse import urlsplit

from channels.security.websocket import AllowedHostsOriginValidator

from runtime.asgi import Application, Receive, Scope, Send


class AllowedOrigin:
    """Wrap an ASGI application so that sockets are for the pages of ALLOWED_HOSTS alone.

    Channels does that. Of several origins it would take the last one, and it would raise ValueError for some that are
    no URL: no browser sends those, and they are refused.
    """

    def __init__(self, application: Application) -> None:
        self.validated: Application = AllowedHostsOriginValidator(application)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a handshake from elsewhere; pass on every other."""
        origins = [value.decode("latin1") for name, value in scope["headers"] if name == b"origin"]
        if len(origins) <= 1 and all(map(is_url, origins)):
            await self.validated(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008})


def is_url(origin: str) -> bool:
    """Tell whether an origin can be taken apart; `null`, which has no parts, can."""
    try:
        urlsplit(origin).port  # noqa: B018 (it raises)
    except ValueError:
        return False
    return True
