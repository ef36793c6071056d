"""The service whose runtime is tested."""

from django.conf import settings
from django.utils.module_loading import import_string

from runtime.lifespan import Lifespan

application: Lifespan = import_string(settings.ASGI_APPLICATION)
