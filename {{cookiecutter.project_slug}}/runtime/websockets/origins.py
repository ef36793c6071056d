"""The Origin header of a WebSocket handshake: which pages may open sockets."""

import re
from io import BytesIO

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.utils.http import is_same_domain

from runtime.asgi import ASGIApp, Receive, Scope, Send

# Scheme, host and port, and nothing else: no user, no path, no `null`.
ORIGIN = re.compile(r"([a-z][a-z\d+.-]*)://([^\s/@:?#\[\]*]+|\[[\da-f:.]+\])(?::(\d{1,5}))?", re.ASCII | re.IGNORECASE)
DEFAULT_PORTS = {"http": 80, "https": 443}
# In development a browser may know one server by any of these names.
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})

# Scheme, host and port. The port is None for a scheme without a default port.
type Origin = tuple[str, str, int | None]


class OriginMiddleware:
    """Wrap an ASGI application so that only pages of the service itself and of CSRF_TRUSTED_ORIGINS open sockets.

    The rule is that of Django's CsrfViewMiddleware, with default ports made explicit. In addition ALLOWED_HOSTS must
    allow the handshake's own host. A handshake without an Origin header is refused: it does not come from a browser.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a handshake from another origin; pass on every other."""
        if is_allowed(scope):
            await self.app(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008})


def is_allowed(scope: Scope) -> bool:
    """Return whether the page that opens a WebSocket may do so."""
    values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
    origin = parse_origin(values[0]) if len(values) == 1 else None
    own = own_origin(scope)
    if origin is None or own is None:
        return False
    if origin == own or any(matches(origin, trusted) for trusted in settings.CSRF_TRUSTED_ORIGINS):
        return True
    return settings.DEBUG and {origin[1], own[1]} <= LOCAL_HOSTS and origin == (own[0], origin[1], own[2])


def own_origin(scope: Scope) -> Origin | None:
    """Return the origin of the service as the handshake addresses it; None if ALLOWED_HOSTS does not allow its host."""
    scheme = "https" if scope.get("scheme") == "wss" else "http"
    request = ASGIRequest({**scope, "method": "GET", "scheme": scheme, "query_string": b""}, BytesIO())
    try:
        # Django also reads X-Forwarded-Host and X-Forwarded-Port here, if the settings say so.
        return parse_origin(f"{scheme}://{request.get_host()}")
    except DisallowedHost:
        return None


def parse_origin(text: str) -> Origin | None:
    """Return the parts of an origin such as https://shop.example.com; None if it is malformed, or `null`."""
    parts = ORIGIN.fullmatch(text.lower())
    if parts is None:
        return None
    scheme, host, port = parts.groups()
    return scheme, host, int(port) if port else DEFAULT_PORTS.get(scheme)


def matches(origin: Origin, trusted: str) -> bool:
    """Return whether an origin is a trusted one, which may be a pattern such as https://*.example.com."""
    pattern = parse_origin(trusted.replace("://*.", "://", 1))
    if pattern is None or (origin[0], origin[2]) != (pattern[0], pattern[2]):
        return False
    return is_same_domain(origin[1], f".{pattern[1]}" if "://*." in trusted else pattern[1])
