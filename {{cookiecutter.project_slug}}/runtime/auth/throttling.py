"""The login throttle, which limits the failed logins of a client. It refuses further logins before any hashing.

There are two limits within LOGIN_FAILURE_WINDOW seconds. LOGIN_FAILURES_PER_USER counts the failures of one user name
from one address, so that clients elsewhere cannot lock the user out. LOGIN_FAILURES_PER_ADDRESS counts the failures of
all user names from one address, against password spraying. It is higher, because an office may share an address.

All server processes share the attempts, which are rows in the database. A refused attempt adds no row, and each new row
deletes the old ones. The table stays small, because each row costs a password hash and there are few hashing threads.
"""

import math
from datetime import timedelta
from ipaddress import IPv6Address, ip_address
from typing import Any

from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from runtime.models import LoginAttempt


class TooManyFailedLoginsError(Exception):
    """The client has reached a limit. It may try again after `retry_after` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many failed logins. Retry after {retry_after} s.")
        self.retry_after = retry_after


def begin_attempt(request: HttpRequest, username: str) -> LoginAttempt:
    """Count a login as failed before its password is checked. The caller deletes the attempt if the login succeeds.

    Raises TooManyFailedLoginsError without counting the attempt if a limit is reached.
    """
    now = timezone.now()
    attempt = LoginAttempt(made_at=now, **throttle_keys(request, username))
    check_limits(attempt)
    attempt.save(force_insert=True)
    try:
        # Other threads and processes may have saved attempts in the meantime.
        check_limits(attempt)
    except TooManyFailedLoginsError:
        attempt.delete()
        raise
    LoginAttempt.objects.filter(made_at__lte=now - window()).delete()
    return attempt


def check_limits(attempt: LoginAttempt) -> None:
    """Raise TooManyFailedLoginsError if the other attempts reach a limit."""
    for field, limit in (
        ("user_key", settings.LOGIN_FAILURES_PER_USER),
        ("address_key", settings.LOGIN_FAILURES_PER_ADDRESS),
    ):
        others = LoginAttempt.objects.filter(
            **{field: getattr(attempt, field)}, made_at__gt=attempt.made_at - window()
        ).exclude(pk=attempt.pk)
        # The limit stays reached until the oldest of the last `limit` attempts leaves the window.
        oldest = others.order_by("-made_at").values_list("made_at", flat=True)[limit - 1 : limit]
        for made_at in oldest:
            raise TooManyFailedLoginsError(max(1, math.ceil((made_at + window() - attempt.made_at).total_seconds())))


def count_failure(request: HttpRequest, username: str) -> None:
    """Count a failed login whose password was right."""
    LoginAttempt.objects.create(made_at=timezone.now(), **throttle_keys(request, username))


@receiver(user_logged_in)
def delete_failures(request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    """Delete the failures of a user name at an address when the user logs in from there."""
    # Django's test client logs in with a request that has no address.
    if request is not None and "REMOTE_ADDR" in request.META:
        LoginAttempt.objects.filter(user_key=throttle_keys(request, user.get_username())["user_key"]).delete()


def throttle_keys(request: HttpRequest, username: str) -> dict[str, str]:
    """Return the keys by which attempts are counted, as fields of LoginAttempt."""
    address = client_network(request)
    # Some databases compare user names case-insensitively.
    return {"user_key": hmac_of(f"{address}\0{username.casefold()}"), "address_key": hmac_of(address)}


def hmac_of(value: str) -> str:
    """Return an HMAC, which does not reveal the value."""
    return salted_hmac(__name__, value.encode("utf-8", "surrogatepass"), algorithm="sha256").hexdigest()


def client_network(request: HttpRequest) -> str:
    """Return the client's IPv4 address or its IPv6 /64 network, because one client has all addresses of a /64."""
    text = request.META.get("REMOTE_ADDR", "")
    try:
        address = ip_address(text)
    except ValueError:
        # The server listens on a Unix socket, so that all clients count as one.
        return str(text)
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))
    return str(address)


def window() -> timedelta:
    """Return the time for which a failure counts."""
    return timedelta(seconds=settings.LOGIN_FAILURE_WINDOW)
