"""The application and the user model of the service in which the tests run."""

from django.conf import settings
from django.contrib.auth import get_user_model
from django.utils.module_loading import import_string

from runtime.server.lifespan import LifespanMiddleware

application: LifespanMiddleware = import_string(settings.ASGI_APPLICATION)
User = get_user_model()
