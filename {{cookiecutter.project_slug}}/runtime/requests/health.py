"""Health endpoints. `live` reports that the process runs, `ready` that its dependencies are up."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.utils.log import log_response
from django.views.decorators.cache import never_cache

from runtime.compat import require
from runtime.conf import conf
from runtime.server.shutdown import get_shutdown_state

require(log_response, "_has_been_logged")

logger = logging.getLogger(__name__)


async def database() -> None:
    """Raise unless the database answers a query."""
    await sync_to_async(select_one)()


def select_one() -> None:
    """Run the shortest query that reaches the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


# The checks of the readiness probe, by the name of the dependency. A check raises when its dependency is down. An app
# adds its own in `AppConfig.ready`.
DEPENDENCIES: dict[str, Callable[[], Awaitable[None]]] = {"database": database}


async def is_up(name: str) -> bool:
    """Tell whether a dependency is up. The reason is logged if it is down."""
    try:
        async with asyncio.timeout(conf.HEALTH_TIMEOUT):
            await DEPENDENCIES[name]()
    except Exception as error:  # every failure means "not ready"
        logger.warning("%s is down: %s", name, str(error) or type(error).__name__)
        return False
    return True


@never_cache
async def live(request: HttpRequest) -> JsonResponse:
    """Return 200 without using any dependency."""
    return JsonResponse({"status": "ok"})


@never_cache
async def ready(request: HttpRequest) -> JsonResponse:
    """Return 200 with every dependency up. Return 503 with a dependency down, or while the service shuts down."""
    if get_shutdown_state().draining.is_set():
        return status_response("stopping")
    states = await asyncio.gather(*map(is_up, DEPENDENCIES))
    dependencies = {name: "ok" if up else "down" for name, up in zip(DEPENDENCIES, states, strict=True)}
    return status_response("ok" if all(states) else "unavailable", dependencies=dependencies)


def status_response(status: str, **details: object) -> JsonResponse:
    """Return 200 for the status "ok", and 503 for all others."""
    response = JsonResponse({"status": status, **details}, status=200 if status == "ok" else 503)
    # `is_up` has logged the reason. Django would log the 503 again, as an error.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response
