"""Stores with a request why its login was refused, for the log line and for the 429 of a throttled client."""

from dataclasses import dataclass

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.log import log_response

from runtime.compat import require
from runtime.requests.errors import error_response

require(log_response, "_has_been_logged")


@dataclass(frozen=True)
class Refusal:
    """The reason why a login was refused. `retry_after` (seconds) is set if the client was throttled."""

    reason: str
    retry_after: int | None = None


def set_refusal(request: HttpRequest | None, refusal: Refusal) -> None:
    """Store why the login of a request was refused."""
    if request is not None:
        request._login_refusal = refusal  # type: ignore[attr-defined]


def get_refusal(request: HttpRequest | None) -> Refusal | None:
    """Return why the last login of a request was refused, or None."""
    return getattr(request, "_login_refusal", None)


def replace_if_throttled(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Return a view's response, or a 429 if the login that the view tried was throttled."""
    refusal = get_refusal(request)
    if refusal is None or refusal.retry_after is None:
        return response
    minutes = -(-refusal.retry_after // 60)
    unit = "minute" if minutes == 1 else "minutes"
    refused = error_response(request, 429, f"Too many failed logins. Try again in {minutes} {unit}.")
    refused["Retry-After"] = str(refusal.retry_after)
    refused["Cache-Control"] = "no-store"
    # `runtime.auth.logins` has logged the refusal. Django would log the 429 as well.
    refused._has_been_logged = True  # type: ignore[attr-defined]
    return refused
