"""What a client is told when something that its request needs is down or too slow: 503 or 504, instead of 500."""

import asyncio
# {% if not cookiecutter.use_postgres %}
import sqlite3
# {% endif %}
from collections.abc import Awaitable

from django.conf import settings
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.log import log_response

from runtime.errors import error_response

# Seconds after which a client may as well try again.
RETRY_AFTER = 5


async def answer(request: HttpRequest, response: Awaitable[HttpResponseBase]) -> HttpResponseBase:
    """Return a response that is being made, or one that says why there is none.

    All that is made for a request has REQUEST_TIMEOUT seconds together: then it is cancelled, and the answer is 504. A
    blocking call goes on in its thread, so what it writes may be saved nevertheless. When the database cannot be
    reached, is busy or gives up, the answer is 503.
    """
    try:
        async with asyncio.timeout_at(deadline(request)) as patience:
            return await response
    except TimeoutError:
        if not patience.expired():
            raise
        return explain(request, 504, "The request took too long.", f"not done in {settings.REQUEST_TIMEOUT:g} s")
    except OperationalError as error:
        # {% if not cookiecutter.use_postgres %}
        if not is_outage(error):
            raise
        # {% endif %}
        reason = str(error).partition("\n")[0]
        return explain(request, 503, "The database is not available. Try again in a moment.", reason)


def deadline(request: HttpRequest) -> float | None:
    """Return when a request must have been answered, in seconds of the event loop: counted from the first call."""
    if settings.REQUEST_TIMEOUT is None:
        return None
    now = asyncio.get_running_loop().time()
    latest: float = request.__dict__.setdefault("deadline", now + settings.REQUEST_TIMEOUT)
    return latest


# {% if not cookiecutter.use_postgres %}
def is_outage(error: OperationalError) -> bool:
    """Tell whether SQLite could not do what it was asked to, rather than did not understand it: a missing table."""
    return getattr(error.__cause__, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR


# {% endif %}
def explain(request: HttpRequest, status: int, message: str, reason: str) -> HttpResponse:
    """Return the response that says what is wrong, as JSON or as a page, and log the reason."""
    response = error_response(request, status, message)
    if status == 503:
        response["Retry-After"] = str(RETRY_AFTER)
    # No traceback for each of what may be thousands: the fault is elsewhere.
    log_response(
        "%s: %s: %s", response.reason_phrase, request.path, reason, response=response, request=request, level="warning"
    )
    return response
