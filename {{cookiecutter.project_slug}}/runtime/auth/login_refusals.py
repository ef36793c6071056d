"""Why a login was refused: kept with its request for the log, and answered 429 if the client was throttled."""

from dataclasses import dataclass

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.log import log_response

from runtime.compat import require
from runtime.requests.errors import error_response

require(log_response, "_has_been_logged")


@dataclass(frozen=True)
class Refusal:
    """Why a login was refused, for the log. `retry_after` is set, in seconds, if the client was throttled."""

    reason: str
    retry_after: int | None = None


def note_refusal(request: HttpRequest | None, refusal: Refusal) -> None:
    """Keep the reason with the request, for the log line and the response that follow."""
    if request is not None:
        request._login_refusal = refusal  # type: ignore[attr-defined]


def refusal_of(request: HttpRequest | None) -> Refusal | None:
    """Return why the last login of a request was refused, if that is known."""
    return getattr(request, "_login_refusal", None)


def replace_if_throttled(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Return a view's response, or a 429 in its place if the login that the view tried was throttled."""
    refusal = refusal_of(request)
    if refusal is None or refusal.retry_after is None:
        return response
    minutes = -(-refusal.retry_after // 60)
    unit = "minute" if minutes == 1 else "minutes"
    refused = error_response(request, 429, f"Too many failed logins. Try again in {minutes} {unit}.")
    refused["Retry-After"] = str(refusal.retry_after)
    refused["Cache-Control"] = "no-store"
    # Django would log a second line.
    refused._has_been_logged = True  # type: ignore[attr-defined]
    return refused
