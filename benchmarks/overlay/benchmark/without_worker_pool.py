"""The service's application on Django's own handler, which starts and ends threads for each request."""

from django.core.asgi import get_asgi_application
from runtime import application as runtime_application

runtime_application.get_django_application = get_asgi_application
runtime_application.WorkerThreadMiddleware = lambda app: app

from config.asgi import application  # noqa: E402, F401
