"""The service's application, with Django's own middleware in place of the service's subclasses of it."""

import django
from django.conf import settings
from django.utils.module_loading import import_string


def djangos_own(path: str) -> str:
    """Return the dotted path of the Django class that a middleware of the runtime extends.

    Returns other paths unchanged. Raises StopIteration if a middleware of the runtime extends no Django class.
    """
    if not path.startswith("runtime.requests.middleware."):
        return path
    ancestors = import_string(path).__mro__
    original = next(ancestor for ancestor in ancestors if ancestor.__module__.startswith("django."))
    return f"{original.__module__}.{original.__qualname__}"


# Middleware may import models, so the apps must be loaded first. The handler reads the setting later.
django.setup()
settings.MIDDLEWARE = [djangos_own(path) for path in settings.MIDDLEWARE]

from config.asgi import application  # noqa: E402, F401
