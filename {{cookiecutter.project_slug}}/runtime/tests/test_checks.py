"""The system checks, each with a bad and a good setting."""

from typing import Any

import pytest
from django.core import checks
from django.core.signals import request_finished
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.test import override_settings
from django.utils.deprecation import MiddlewareMixin

from runtime.requests.middleware import InlineHooksMixin

MIDDLEWARE = [
    "runtime.requests.middleware.SecurityMiddleware",
    "runtime.requests.middleware.CsrfViewMiddleware",
    "runtime.requests.middleware.XFrameOptionsMiddleware",
]


def sync_only(get_response: Any) -> Any:
    return get_response


class Blocking(MiddlewareMixin):
    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return response


class NonBlocking(InlineHooksMixin, Blocking):
    pass


class BlockingView(InlineHooksMixin):
    def process_view(self, request: HttpRequest, *args: object) -> None:
        return None


class NonBlockingView(InlineHooksMixin):
    async def process_view(self, request: HttpRequest, *args: object) -> None:
        return None


def run_checks(deploy: bool = False, **settings: Any) -> dict[str, checks.CheckMessage]:
    """Return the messages of the checks with these settings, by ID."""
    with override_settings(**settings):
        messages = checks.run_checks(tags=["runtime", checks.Tags.security], include_deployment_checks=deploy)
    return {str(message.id): message for message in messages if not message.is_silenced()}


def test_checks_of_the_service_itself_find_nothing() -> None:
    assert not run_checks()


@pytest.mark.parametrize(
    ("bad", "good", "warning"),
    [
        ("sync_only", "NonBlockingView", "runtime.W001"),
        ("Blocking", "NonBlocking", "runtime.W002"),
        ("BlockingView", "NonBlockingView", "runtime.W002"),
    ],
)
def test_check_middleware_warns_about_blocking_middleware(bad: str, good: str, warning: str) -> None:
    message = run_checks(MIDDLEWARE=[*MIDDLEWARE, f"{__name__}.{bad}"])[warning]

    assert f"{__name__}.{bad}" in message.msg
    assert message.hint
    assert not run_checks(MIDDLEWARE=[*MIDDLEWARE, f"{__name__}.{good}"])


def test_check_middleware_names_the_subclass_of_djangos_middleware() -> None:
    message = run_checks(MIDDLEWARE=["django.middleware.locale.LocaleMiddleware"])["runtime.W002"]

    assert message.hint == "Use runtime.requests.middleware.LocaleMiddleware instead."
    assert not run_checks(MIDDLEWARE=["runtime.requests.middleware.LocaleMiddleware"])


def test_check_receivers_warns_about_a_receiver_of_request_finished() -> None:
    def receiver(**kwargs: object) -> None:
        pass

    request_finished.connect(receiver)
    try:
        assert "receiver receives request_finished" in run_checks()["runtime.W003"].msg
    finally:
        request_finished.disconnect(receiver)
    assert not run_checks()


def test_check_databases_warns_about_atomic_requests() -> None:
    # Django warns that its connections ignore an overridden DATABASES. The check reads the setting.
    with pytest.warns(UserWarning, match="DATABASES"):
        message = run_checks(DATABASES={"default": {"ATOMIC_REQUESTS": True}})["runtime.W004"]
    assert "DATABASES['default']" in message.msg
    with pytest.warns(UserWarning, match="DATABASES"):
        assert not run_checks(DATABASES={"default": {}})


def test_check_processes_warns_about_a_cache_in_memory_with_several_processes() -> None:
    def run_with(backend: str, **settings: Any) -> dict[str, checks.CheckMessage]:
        cache = {"BACKEND": f"django.core.cache.backends.{backend}", "LOCATION": "shared"}
        return run_checks(CACHES={"default": cache}, CHANNEL_LAYERS={}, **settings)

    local, shared = "locmem.LocMemCache", "db.DatabaseCache"
    assert "process" in run_with(local, WEB_CONCURRENCY=2)["runtime.W008"].msg
    assert not run_with(shared, WEB_CONCURRENCY=2)
    assert not run_with(local, WEB_CONCURRENCY=1)
    assert not run_with(local, WEB_CONCURRENCY=2, DEBUG=True)


def test_check_security_recognizes_subclasses_of_djangos_middleware() -> None:
    bad = run_checks(deploy=True, MIDDLEWARE=MIDDLEWARE, SECURE_HSTS_SECONDS=0, X_FRAME_OPTIONS="SAMEORIGIN")
    good = run_checks(deploy=True, MIDDLEWARE=MIDDLEWARE, SECURE_HSTS_SECONDS=60)

    assert {"security.W004", "security.W019"} <= bad.keys()
    assert not {"security.W004", "security.W019"} & good.keys()


@pytest.mark.parametrize("missing", MIDDLEWARE)
def test_check_security_warns_about_missing_middleware(missing: str) -> None:
    listed = [path for path in MIDDLEWARE if path != missing]

    assert run_checks(deploy=True, MIDDLEWARE=listed)["runtime.W009"].hint == f"List {missing} in MIDDLEWARE."


@pytest.mark.parametrize(
    ("setting", "bad", "warning"),
    [
        ("SECURE_CONTENT_TYPE_NOSNIFF", False, "security.W006"),
        ("SECURE_REFERRER_POLICY", None, "security.W022"),
        ("SECURE_CROSS_ORIGIN_OPENER_POLICY", "anything", "security.E024"),
        ("SESSION_COOKIE_SECURE", False, "security.W012"),
        ("SESSION_COOKIE_HTTPONLY", False, "security.W015"),
        ("CSRF_COOKIE_SECURE", False, "security.W016"),
        ("X_FRAME_OPTIONS", "SAMEORIGIN", "security.W019"),
    ],
)
def test_check_security_reports_a_setting_that_weakens_production(setting: str, bad: object, warning: str) -> None:
    production = {"DEBUG": False, "SESSION_COOKIE_SECURE": True, "CSRF_COOKIE_SECURE": True, "SECURE_HSTS_SECONDS": 60}

    assert warning not in run_checks(deploy=True, **production)
    assert warning in run_checks(deploy=True, **production | {setting: bad})


def test_check_preload_requires_a_year_and_all_subdomains() -> None:
    year = 365 * 24 * 60 * 60
    preload = {"SECURE_HSTS_PRELOAD": True, "SECURE_HSTS_INCLUDE_SUBDOMAINS": True, "SECURE_HSTS_SECONDS": year}

    assert "runtime.W010" not in run_checks(deploy=True, **preload)
    assert "runtime.W010" in run_checks(deploy=True, **preload | {"SECURE_HSTS_SECONDS": year - 1})
    assert "runtime.W010" in run_checks(deploy=True, **preload | {"SECURE_HSTS_INCLUDE_SUBDOMAINS": False})


@pytest.mark.parametrize(("hosts", "is_error"), [(["*"], True), (["shop.example", "*"], True), ([".example"], False)])
def test_check_hosts_reports_a_wildcard_in_production(hosts: list[str], is_error: bool) -> None:
    assert ("runtime.E001" in run_checks(deploy=True, ALLOWED_HOSTS=hosts)) is is_error
    assert "runtime.E001" not in run_checks(ALLOWED_HOSTS=hosts)
