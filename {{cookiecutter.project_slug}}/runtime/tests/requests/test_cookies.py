"""Cookies with the prefix `__Host-`."""

from typing import Any

import pytest
from django.contrib.messages import success
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.core import checks
from django.http import HttpResponse
from django.test import RequestFactory, override_settings

from runtime.requests.cookies import HostMessageStorage

PRODUCTION: dict[str, Any] = {
    "SESSION_COOKIE_NAME": "__Host-sessionid",
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_NAME": "__Host-csrftoken",
    "CSRF_COOKIE_SECURE": True,
}


def run_check(**settings: Any) -> list[str]:
    """Return the messages of the check with these settings."""
    with override_settings(**settings):
        return [message.msg for message in checks.run_checks(tags=["runtime"]) if message.id == "runtime.E020"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("SESSION_COOKIE_DOMAIN", "shop.example"),
        ("SESSION_COOKIE_PATH", "/shop/"),
        ("SESSION_COOKIE_SECURE", False),
        ("CSRF_COOKIE_DOMAIN", "shop.example"),
        ("CSRF_COOKIE_PATH", "/shop/"),
        ("CSRF_COOKIE_SECURE", False),
    ],
)
def test_check_cookies_reports_a_setting_that_contradicts_the_prefix(setting: str, value: object) -> None:
    [message] = run_check(**PRODUCTION | {setting: value})

    assert message.startswith(f"{setting} is {value!r}")
    assert not run_check(**PRODUCTION)
    assert not run_check(**{setting: value})


@override_settings(**PRODUCTION)
def test_host_message_storage_sets_a_prefixed_secure_cookie() -> None:
    request = RequestFactory().get("/")
    request.session = SessionStore()
    request._messages = HostMessageStorage(request)
    success(request, "Saved.")
    response = HttpResponse()
    request._messages.update(response)

    cookie = response.cookies["__Host-messages"]
    assert cookie["secure"]
    assert (cookie["path"], cookie["domain"]) == ("/", "")
