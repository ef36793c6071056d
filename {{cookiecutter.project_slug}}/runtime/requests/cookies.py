"""Cookies with the prefix `__Host-`, which browsers accept only over TLS, from this host and for all of its paths.

Without the prefix, a page on another host of the same domain could set a user's session or CSRF cookie.
"""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.messages.storage.session import SessionStorage
from django.core import checks

HOST_PREFIX = "__Host-"


class HostCookieStorage(CookieStorage):
    """Django's cookie storage of messages, with a prefixed cookie name."""

    cookie_name = f"{HOST_PREFIX}messages"


class HostMessageStorage(FallbackStorage):
    """Django's default storage of messages, with a prefixed cookie. Messages that do not fit go to the session."""

    storage_classes = (HostCookieStorage, SessionStorage)


@checks.register("runtime")
def check_cookies(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """Report settings that make browsers ignore the session or CSRF cookie, so that no user can log in."""
    for cookie in ("SESSION_COOKIE", "CSRF_COOKIE"):
        name = getattr(settings, f"{cookie}_NAME")
        if not name.startswith(HOST_PREFIX):
            continue
        for setting, expected in ((f"{cookie}_DOMAIN", None), (f"{cookie}_PATH", "/"), (f"{cookie}_SECURE", True)):
            value = getattr(settings, setting)
            if value != expected:
                yield checks.Error(
                    f"{setting} is {value!r}: browsers ignore the cookie {name!r}, which needs {expected!r}.",
                    hint=f"Set {setting} to {expected!r}, or choose a {cookie}_NAME without {HOST_PREFIX}.",
                    id="runtime.E020",
                )
