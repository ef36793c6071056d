"""One log line for each login, failed login and logout, and the 429 for a throttled one."""

import logging
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from runtime.errors import error_response

# Characters of a user name that a log line shows.
MAX_LOGGED_NAME = 150

logger = logging.getLogger(__name__)


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


@receiver(user_logged_in)
def log_login(request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    """Log a login."""
    logger.info("Login of %s from %s", shown(user.get_username()), client_address(request))


@receiver(user_logged_out)
def log_logout(request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    """Log a logout, unless nobody was logged in."""
    if user is not None:
        logger.info("Logout of %s from %s", shown(user.get_username()), client_address(request))


@receiver(user_login_failed)
def log_failed_login(credentials: dict[str, Any], request: HttpRequest | None, **kwargs: Any) -> None:
    """Log a login that the authentication backends refused."""
    username = credentials.get(get_user_model().USERNAME_FIELD, credentials.get("username", ""))
    refusal = refusal_of(request)
    log_refused_login(request, username, refusal.reason if refusal else "wrong credentials")


def log_refused_login(request: HttpRequest | None, username: object, reason: str) -> None:
    """Log a failed login and the reason, which the client is not told."""
    logger.warning("Failed login of %s from %s: %s", shown(username), client_address(request), reason)


def shown(username: object) -> str:
    """Return a user name in quotes, with control characters escaped, so that it cannot forge a log line."""
    name = str(username)
    return repr(name if len(name) <= MAX_LOGGED_NAME else f"{name[:MAX_LOGGED_NAME]}…")


def client_address(request: HttpRequest | None) -> str:
    """Return the address of the client, or `-` if there is none, as on a Unix socket."""
    try:
        return str(ip_address(request.META.get("REMOTE_ADDR", "") if request is not None else ""))
    except ValueError:
        return "-"
