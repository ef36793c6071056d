"""The ASGI application: what the server runs."""

import os

# {% if cookiecutter.use_channels %}
from channels.routing import ProtocolTypeRouter, URLRouter

# {% endif %}
from runtime.handler import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Sets Django up; what uses models can only be imported after it.
django_application = get_asgi_application()

# {% if cookiecutter.use_channels %}
from catalog.routing import websocket_urlpatterns  # noqa: E402
# {% endif %}
# {% if cookiecutter.use_postgres %}
from runtime.database import connection_pools  # noqa: E402
# {% endif %}
# {% if cookiecutter.use_async_views %}
from runtime.http import shared_client  # noqa: E402
# {% endif %}
from runtime.lifespan import Lifespan  # noqa: E402
# {% if cookiecutter.use_channels %}
from runtime.origins import AllowedOrigin  # noqa: E402
# {% else %}
from runtime.protocols import HTTPOnly  # noqa: E402
# {% endif %}
from runtime.proxies import TrustedProxiesMiddleware  # noqa: E402
# {% if cookiecutter.use_channels %}
from runtime.sessions import Sessions  # noqa: E402
from runtime.sockets import Sockets  # noqa: E402
# {% endif %}
from runtime.threads import LentThreads, drained_threads  # noqa: E402
from runtime.watchdog import watched_loop  # noqa: E402

# {% if cookiecutter.use_channels %}
protocols = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": AllowedOrigin(Sockets(Sessions(URLRouter(websocket_urlpatterns)))),
    }
)
# {% else %}
protocols = HTTPOnly(django_application)
# {% endif %}
application = Lifespan(
    TrustedProxiesMiddleware(LentThreads(protocols)),
    # {% if cookiecutter.use_postgres %}
    connection_pools,
    # {% endif %}
    drained_threads,
    # {% if cookiecutter.use_async_views %}
    shared_client,
    # {% endif %}
    watched_loop,
)
