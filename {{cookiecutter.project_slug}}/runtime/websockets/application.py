"""The ASGI application of a service with WebSockets."""

from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter

from runtime.asgi import ASGIApp
from runtime.websockets.auth import WebSocketAuthMiddleware
from runtime.websockets.consumers import on_event_loop
from runtime.websockets.guard import WebSocketGuardMiddleware
from runtime.websockets.origins import OriginMiddleware


def with_websockets(http: ASGIApp, urlpatterns: list[Any]) -> ProtocolTypeRouter:
    """Return the application that passes HTTP requests to `http`, and WebSockets to consumers.

    A handshake passes the check of its origin first, then the limits of the guard, then the session of its user.
    """
    router = URLRouter([on_event_loop(route) for route in urlpatterns])
    websocket = OriginMiddleware(WebSocketGuardMiddleware(WebSocketAuthMiddleware(router)))
    return ProtocolTypeRouter({"http": http, "websocket": websocket})
