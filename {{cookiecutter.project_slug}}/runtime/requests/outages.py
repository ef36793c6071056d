"""What a client is told when something that its request needs is down or too slow: 503 or 504, instead of 500."""

import errno
import sqlite3
from collections.abc import Awaitable

from django.conf import settings
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.log import log_response

from runtime.conf import conf
from runtime.requests.errors import error_response, with_headers

# No space left on a device, or none left for this user.
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


async def answer_outages(request: HttpRequest, response: Awaitable[HttpResponseBase]) -> HttpResponseBase:
    """Return a response that is being made; or a 503 when the database or the disk fails meanwhile.

    That is when the database cannot be reached, is busy or gives up, and when there is no space left on a disk.
    """
    try:
        return await response
    except OperationalError as error:
        if not is_outage(error):
            raise
        reason = str(error).partition("\n")[0]
        return explain(request, 503, "The database is not available. Try again in a moment.", reason)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        return explain(request, 503, "The service cannot store data. Try again in a moment.", str(error))


def answer_timeout(request: HttpRequest) -> HttpResponse:
    """Return a 504 for a request that was not answered within REQUEST_TIMEOUT.

    A blocking call goes on in its thread, so what it writes may be saved nevertheless.
    """
    reason = f"not done in {settings.REQUEST_TIMEOUT:g} s"
    response = explain(request, 504, "The request took too long.", reason)
    response["Content-Length"] = str(len(response.content))
    # The middleware was cancelled with the view.
    return with_headers(request, response)


def is_outage(error: OperationalError) -> bool:
    """Tell whether the database failed, rather than refused SQL that is wrong, which SQLite reports in the same way."""
    return getattr(error.__cause__, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR


def explain(request: HttpRequest, status: int, message: str, reason: str) -> HttpResponse:
    """Return the response that says what is wrong, as JSON or as a page, and log the reason."""
    response = error_response(request, status, message)
    if status == 503:
        response["Retry-After"] = str(conf.OUTAGE_RETRY_AFTER)
    # No traceback for each of what may be thousands: the fault is elsewhere.
    log_response(
        "%s: %s: %s", response.reason_phrase, request.path, reason, response=response, request=request, level="warning"
    )
    return response
