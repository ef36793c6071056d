"""Turns outages and timeouts into 503 and 504 instead of 500."""

import errno
import sqlite3
from collections.abc import Awaitable

from django.conf import settings
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.log import log_response

from runtime.conf import conf
from runtime.requests.errors import add_middleware_headers, error_response

# The disk is full, or the quota of the service's user is exceeded.
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


async def with_error_responses(request: HttpRequest, response: Awaitable[HttpResponseBase]) -> HttpResponseBase:
    """Return the awaited response, or a 503 if the database or the disk fails.

    The database fails when it is unreachable, is busy or cancels a query. The disk fails when it is full.
    """
    try:
        return await response
    except OperationalError as error:
        if not is_outage(error):
            raise
        reason = str(error).partition("\n")[0]
        return logged_error(request, 503, "The database is not available. Try again in a moment.", reason)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        return logged_error(request, 503, "The service cannot store data. Try again in a moment.", str(error))


def timeout_response(request: HttpRequest) -> HttpResponse:
    """Return a 504 for a request that exceeded REQUEST_TIMEOUT.

    A blocking call still runs in its thread, so its changes may be saved after all.
    """
    reason = f"no response within {settings.REQUEST_TIMEOUT:g} s (REQUEST_TIMEOUT)"
    response = logged_error(request, 504, "The request took too long.", reason)
    response["Content-Length"] = str(len(response.content))
    # The middleware was cancelled with the view.
    return add_middleware_headers(request, response)


def is_outage(error: OperationalError) -> bool:
    """Tell whether the database failed. SQLite raises the same exception for wrong SQL, which is not an outage."""
    return getattr(error.__cause__, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR


def logged_error(request: HttpRequest, status: int, message: str, reason: str) -> HttpResponse:
    """Return an error response with a message for the client, and log the reason in one line."""
    response = error_response(request, status, message)
    if status == 503:
        response["Retry-After"] = str(conf.OUTAGE_RETRY_AFTER)
    # An outage may fail thousands of requests, and a traceback would not show its cause.
    log_response(
        "%s: %s: %s", response.reason_phrase, request.path, reason, response=response, request=request, level="warning"
    )
    return response
