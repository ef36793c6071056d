"""The service's settings, but for connections that stay open in the thread that has opened them, without a pool."""

from tests.settings import *  # noqa: F403

DATABASES["default"] |= {"CONN_MAX_AGE": 3600, "CONN_HEALTH_CHECKS": True}  # noqa: F405
DATABASES["default"].get("OPTIONS", {}).pop("pool", None)  # noqa: F405
