"""What `manage.py check` warns of, each with a wrong setting and a right one."""

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


def found(deploy: bool = False, **settings: Any) -> dict[str, checks.CheckMessage]:
    """Return what the checks find with some settings, by id."""
    with override_settings(**settings):
        messages = checks.run_checks(tags=["runtime", checks.Tags.security], include_deployment_checks=deploy)
    return {str(message.id): message for message in messages if not message.is_silenced()}


def test_nothing_is_wrong_with_the_service_itself() -> None:
    assert not found()


@pytest.mark.parametrize(
    ("faulty", "right", "warning"),
    [
        ("sync_only", "NonBlockingView", "runtime.W001"),
        ("Blocking", "NonBlocking", "runtime.W002"),
        ("BlockingView", "NonBlockingView", "runtime.W002"),
    ],
)
def test_middleware_that_goes_to_a_thread(faulty: str, right: str, warning: str) -> None:
    message = found(MIDDLEWARE=[*MIDDLEWARE, f"{__name__}.{faulty}"])[warning]

    assert f"{__name__}.{faulty}" in message.msg
    assert message.hint
    assert not found(MIDDLEWARE=[*MIDDLEWARE, f"{__name__}.{right}"])


def test_djangos_own_middleware_has_a_counterpart() -> None:
    faulty = "django.middleware.locale.LocaleMiddleware"

    assert found(MIDDLEWARE=[faulty])["runtime.W002"].hint == "Use runtime.requests.middleware.LocaleMiddleware instead."
    assert not found(MIDDLEWARE=["runtime.requests.middleware.LocaleMiddleware"])


def test_a_receiver_that_is_called_with_every_request() -> None:
    def receiver(**kwargs: object) -> None:
        pass

    request_finished.connect(receiver)
    try:
        assert "receiver receives request_finished" in found()["runtime.W003"].msg
    finally:
        request_finished.disconnect(receiver)
    assert not found()


def test_atomic_requests_are_reported() -> None:
    # Django warns that a test should not override DATABASES, since its connections ignore that. The check reads it.
    with pytest.warns(UserWarning, match="DATABASES"):
        assert "DATABASES['default']" in found(DATABASES={"default": {"ATOMIC_REQUESTS": True}})["runtime.W004"].msg
    with pytest.warns(UserWarning, match="DATABASES"):
        assert not found(DATABASES={"default": {}})


def test_a_cache_in_memory_is_reported_when_several_processes_should_share_it() -> None:
    def found_with(backend: str, **settings: Any) -> dict[str, checks.CheckMessage]:
        cache = {"BACKEND": f"django.core.cache.backends.{backend}", "LOCATION": "shared"}
        return found(CACHES={"default": cache}, CHANNEL_LAYERS={}, **settings)

    local, shared = "locmem.LocMemCache", "db.DatabaseCache"
    assert "process" in found_with(local, WEB_CONCURRENCY=2)["runtime.W008"].msg
    assert not found_with(shared, WEB_CONCURRENCY=2)
    assert not found_with(local, WEB_CONCURRENCY=1)
    assert not found_with(local, WEB_CONCURRENCY=2, DEBUG=True)


def test_djangos_own_checks_know_the_middleware_by_its_parent() -> None:
    faulty = found(deploy=True, MIDDLEWARE=MIDDLEWARE, SECURE_HSTS_SECONDS=0, X_FRAME_OPTIONS="SAMEORIGIN")
    right = found(deploy=True, MIDDLEWARE=MIDDLEWARE, SECURE_HSTS_SECONDS=60)

    assert {"security.W004", "security.W019"} <= faulty.keys()
    assert not {"security.W004", "security.W019"} & right.keys()


@pytest.mark.parametrize("missing", MIDDLEWARE)
def test_middleware_that_protects_is_missed(missing: str) -> None:
    listed = [path for path in MIDDLEWARE if path != missing]

    assert found(deploy=True, MIDDLEWARE=listed)["runtime.W009"].hint == f"List {missing} in MIDDLEWARE."


@pytest.mark.parametrize(
    ("setting", "faulty", "warning"),
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
def test_a_setting_that_weakens_production_is_reported(setting: str, faulty: object, warning: str) -> None:
    production = {"DEBUG": False, "SESSION_COOKIE_SECURE": True, "CSRF_COOKIE_SECURE": True, "SECURE_HSTS_SECONDS": 60}

    assert warning not in found(deploy=True, **production)
    assert warning in found(deploy=True, **production | {setting: faulty})


def test_a_preload_list_wants_a_year_and_all_subdomains() -> None:
    year = 365 * 24 * 60 * 60
    preload = {"SECURE_HSTS_PRELOAD": True, "SECURE_HSTS_INCLUDE_SUBDOMAINS": True, "SECURE_HSTS_SECONDS": year}

    assert "runtime.W010" not in found(deploy=True, **preload)
    assert "runtime.W010" in found(deploy=True, **preload | {"SECURE_HSTS_SECONDS": year - 1})
    assert "runtime.W010" in found(deploy=True, **preload | {"SECURE_HSTS_INCLUDE_SUBDOMAINS": False})


@pytest.mark.parametrize(("hosts", "is_wrong"), [(["*"], True), (["shop.example", "*"], True), ([".example"], False)])
def test_every_host_allowed_is_an_error_in_production(hosts: list[str], is_wrong: bool) -> None:
    assert ("runtime.E001" in found(deploy=True, ALLOWED_HOSTS=hosts)) is is_wrong
    assert "runtime.E001" not in found(ALLOWED_HOSTS=hosts)
