"""Health endpoints: `live` says that the process runs, `ready` that it can do its work."""

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
    """Query the database for nothing in particular."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


# The checks of the readiness probe, by the name of the dependency. A check raises when its dependency is down. An app
# adds its own in `AppConfig.ready`.
DEPENDENCIES: dict[str, Callable[[], Awaitable[None]]] = {"database": database}


async def answers(name: str) -> bool:
    """Tell whether a dependency is up; log why not."""
    try:
        async with asyncio.timeout(conf.HEALTH_TIMEOUT):
            await DEPENDENCIES[name]()
    except Exception as error:  # whatever it is, the answer is "not ready"
        logger.warning("%s is down: %s", name, str(error) or type(error).__name__)
        return False
    return True


@never_cache
async def live(request: HttpRequest) -> JsonResponse:
    """Answer 200 as long as the process can answer at all; touch nothing else."""
    return JsonResponse({"status": "ok"})


@never_cache
async def ready(request: HttpRequest) -> JsonResponse:
    """Answer 200 when every dependency is up, 503 when one is not, and say which; or that the service is stopping."""
    if get_shutdown_state().draining.is_set():
        return report("stopping")
    states = await asyncio.gather(*map(answers, DEPENDENCIES))
    dependencies = {name: "ok" if up else "down" for name, up in zip(DEPENDENCIES, states, strict=True)}
    return report("ok" if all(states) else "unavailable", dependencies=dependencies)


def report(status: str, **details: object) -> JsonResponse:
    """Return the answer for a status."""
    response = JsonResponse({"status": status, **details}, status=200 if status == "ok" else 503)
    # What is down has been: Django would log each answer that is no 200 as an error, once more.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response
