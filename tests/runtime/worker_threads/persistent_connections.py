"""The service's settings without a connection pool: a connection stays open in the thread that opened it."""

from tests.settings import *  # noqa: F403

DATABASES["default"] |= {"CONN_MAX_AGE": 3600, "CONN_HEALTH_CHECKS": True}  # noqa: F405
DATABASES["default"].get("OPTIONS", {}).pop("pool", None)  # noqa: F405
