"""The service whose runtime is tested."""

from django.conf import settings
from django.utils.module_loading import import_string

from runtime.server.lifespan import LifespanMiddleware

application: LifespanMiddleware = import_string(settings.ASGI_APPLICATION)
