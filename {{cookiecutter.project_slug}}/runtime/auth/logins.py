"""Logs each login, failed login and logout in one line."""

import logging
from ipaddress import ip_address
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from runtime.auth.login_refusals import get_refusal
from runtime.conf import conf

logger = logging.getLogger(__name__)


@receiver(user_logged_in)
def log_login(request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    """Log a login."""
    logger.info("Login of %s from %s", quoted(user.get_username()), client_address(request))


@receiver(user_logged_out)
def log_logout(request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    """Log the logout of a user."""
    if user is not None:
        logger.info("Logout of %s from %s", quoted(user.get_username()), client_address(request))


@receiver(user_login_failed)
def log_failed_login(credentials: dict[str, Any], request: HttpRequest | None, **kwargs: Any) -> None:
    """Log a login that the authentication backends refused."""
    username = credentials.get(get_user_model().USERNAME_FIELD, credentials.get("username", ""))
    refusal = get_refusal(request)
    log_refused_login(request, username, refusal.reason if refusal else "wrong credentials")


def log_refused_login(request: HttpRequest | None, username: object, reason: str) -> None:
    """Log a failed login and its reason. The client does not learn the reason."""
    logger.warning("Failed login of %s from %s: %s", quoted(username), client_address(request), reason)


def quoted(username: object) -> str:
    """Return a user name in quotes. Control characters are escaped, so that they cannot forge a log line."""
    name = str(username)
    return repr(name if len(name) <= conf.MAX_LOGGED_NAME else f"{name[: conf.MAX_LOGGED_NAME]}…")


def client_address(request: HttpRequest | None) -> str:
    """Return the IP address of the client, or `-` without one, as on a Unix socket."""
    try:
        return str(ip_address(request.META.get("REMOTE_ADDR", "") if request is not None else ""))
    except ValueError:
        return "-"
