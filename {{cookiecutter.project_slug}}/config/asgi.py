"""The ASGI application that the server runs."""

import os

from runtime.application import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# {% if cookiecutter.use_channels or cookiecutter.use_async_views %}
application = get_asgi_application(
    # {% if cookiecutter.use_channels %}
    websocket_urlpatterns="catalog.routing.websocket_urlpatterns",
    # {% endif %}
    # {% if cookiecutter.use_async_views %}
    resources=["runtime.requests.http_client.shared_client"],
    # {% endif %}
)
# {% else %}
application = get_asgi_application()
# {% endif %}
