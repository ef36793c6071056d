"""The login throttle: how many failed logins a client may have before its next one is refused unchecked.

There are two limits within LOGIN_FAILURE_WINDOW seconds. LOGIN_FAILURES_PER_USER counts the failures of one user name
from one address, so strangers elsewhere cannot lock a user out. LOGIN_FAILURES_PER_ADDRESS counts those of all user
names from one address, which bounds password spraying; it is higher, as an office may share an address.

Attempts are rows in the database, so all server processes share them. A refused attempt adds no row, and old rows are
deleted with each new one. As every row costs a password hash, and few threads hash, the table stays small.
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
    """The client has used up its failures. `retry_after` is the number of seconds until it may try again."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"again in {retry_after} s")
        self.retry_after = retry_after


def begin_attempt(request: HttpRequest, username: str) -> LoginAttempt:
    """Count a login as failed before its password is checked: its caller deletes the attempt if the login succeeds.

    Raises TooManyFailedLoginsError, and counts nothing, if a limit is reached.
    """
    now = timezone.now()
    attempt = LoginAttempt(made_at=now, **keys(request, username))
    refuse_if_too_many(attempt)
    attempt.save(force_insert=True)
    try:
        # Other threads and processes may have counted theirs since.
        refuse_if_too_many(attempt)
    except TooManyFailedLoginsError:
        attempt.delete()
        raise
    LoginAttempt.objects.filter(made_at__lte=now - window()).delete()
    return attempt


def refuse_if_too_many(attempt: LoginAttempt) -> None:
    """Raise TooManyFailedLoginsError if there are as many other attempts as a limit allows."""
    for field, limit in (
        ("user_key", settings.LOGIN_FAILURES_PER_USER),
        ("address_key", settings.LOGIN_FAILURES_PER_ADDRESS),
    ):
        others = LoginAttempt.objects.filter(
            **{field: getattr(attempt, field)}, made_at__gt=attempt.made_at - window()
        ).exclude(pk=attempt.pk)
        # There is room again when the oldest one that fills the limit is no longer counted.
        decisive = others.order_by("-made_at").values_list("made_at", flat=True)[limit - 1 : limit]
        for made_at in decisive:
            raise TooManyFailedLoginsError(max(1, math.ceil((made_at + window() - attempt.made_at).total_seconds())))


def count_failure(request: HttpRequest, username: str) -> None:
    """Count a login whose password was right and that was refused nevertheless."""
    LoginAttempt.objects.create(made_at=timezone.now(), **keys(request, username))


@receiver(user_logged_in)
def forget_failures(request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    """Forget the failures of a user name from an address when its user logs in from there."""
    # Django's test client logs in with a request that has no address.
    if request is not None and "REMOTE_ADDR" in request.META:
        LoginAttempt.objects.filter(user_key=keys(request, user.get_username())["user_key"]).delete()


def keys(request: HttpRequest, username: str) -> dict[str, str]:
    """Return the keys of a user name and of a client's address."""
    address = client_network(request)
    # Databases may compare user names without regard to case.
    return {"user_key": hashed(f"{address}\0{username.casefold()}"), "address_key": hashed(address)}


def hashed(value: str) -> str:
    """Return a key that tells nothing about the value."""
    return salted_hmac(__name__, value.encode("utf-8", "surrogatepass"), algorithm="sha256").hexdigest()


def client_network(request: HttpRequest) -> str:
    """Return the address of the client; for IPv6 its /64 network, of which one client has all addresses."""
    sent = request.META.get("REMOTE_ADDR", "")
    try:
        address = ip_address(sent)
    except ValueError:
        # The server listens on a Unix socket: all clients behind it count as one.
        return str(sent)
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))
    return str(address)


def window() -> timedelta:
    """Return how long a failure counts."""
    return timedelta(seconds=settings.LOGIN_FAILURE_WINDOW)
