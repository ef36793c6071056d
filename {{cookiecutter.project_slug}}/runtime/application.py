"""Builds the ASGI application from these middleware, the outermost first.

LifespanMiddleware            opens the process's resources before the first request, closes them after the last
  TrustedProxiesMiddleware    takes the client's address and scheme from trusted proxies, before other code uses them
    WorkerThreadMiddleware    runs the blocking calls of all code inside in worker threads
      http                    Django: `settings.MIDDLEWARE`, URLs, views
      websocket               `runtime.websockets.application` and the consumers, or a refusal
"""

from collections.abc import Iterable

from django.utils.module_loading import import_string

from runtime.asgi import ASGIApp
from runtime.development.watchdog import watched_loop
from runtime.requests.handler import get_django_application
from runtime.requests.proxies import TrustedProxiesMiddleware
from runtime.server.lifespan import RESOURCES, LifespanMiddleware
from runtime.threads.middleware import WorkerThreadMiddleware
from runtime.threads.pool import worker_pools
from runtime.websockets.refusal import RefuseWebSocketMiddleware


def get_asgi_application(websocket_urlpatterns: str | None = None, resources: Iterable[str] = ()) -> LifespanMiddleware:
    """Set Django up, and return the ASGI application.

    `websocket_urlpatterns` is the dotted path of the routes to the consumers. Without it, every WebSocket handshake is
    refused. `resources` are dotted paths of the service's own context managers (see `LifespanMiddleware`). Both are
    paths because code that uses models can only be imported once Django is set up.
    """
    http = get_django_application()
    protocols: ASGIApp = RefuseWebSocketMiddleware(http)
    if websocket_urlpatterns is not None:
        with_websockets = import_string("runtime.websockets.application.with_websockets")
        protocols = with_websockets(http, import_string(websocket_urlpatterns))
    app = TrustedProxiesMiddleware(WorkerThreadMiddleware(protocols))
    return LifespanMiddleware(app, *RESOURCES, worker_pools, *map(import_string, resources), watched_loop)
