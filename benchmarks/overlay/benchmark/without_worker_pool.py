"""The service's application on Django's own handler, which makes threads for a request and then destroys them."""

from django.core.asgi import get_asgi_application
from runtime import application as runtime_application

runtime_application.get_django_application = get_asgi_application
runtime_application.WorkerThreadMiddleware = lambda app: app

from config.asgi import application  # noqa: E402, F401
