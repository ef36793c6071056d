"""The service's application on Django's own handler, which makes threads for a request and then destroys them."""

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from catalog.routing import websocket_urlpatterns  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from runtime.postgres.pool import connection_pools  # noqa: E402
from runtime.requests.http_client import shared_client  # noqa: E402
from runtime.server.lifespan import LifespanMiddleware  # noqa: E402

application = LifespanMiddleware(
    ProtocolTypeRouter(
        {
            "http": django_application,
            "websocket": AllowedHostsOriginValidator(URLRouter(websocket_urlpatterns)),
        }
    ),
    connection_pools,
    shared_client,
)
