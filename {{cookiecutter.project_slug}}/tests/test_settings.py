"""The settings, read from good and bad environments."""

import os
import re
import runpy
import shutil
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

import pytest
from django.conf import settings
from django.core import checks
from django.test import override_settings

PRODUCTION = {
    "DEBUG": "false",
    "SECRET_KEY": "only these tests know it, and it has fifty characters",
    # {% if cookiecutter.use_postgres %}
    "DATABASE_URL": "postgresql://user:password@db.example:5432/name",
    # {% endif %}
    # {% if cookiecutter.use_channels %}
    "REDIS_URL": "redis://valkey.example:6379/0",
    # {% endif %}
}
REQUIRED = sorted(PRODUCTION.keys() - {"DEBUG"})


class Reader[Result](Protocol):
    """Reads the settings anew from an environment."""

    def __call__(self, **environment: str) -> Result: ...


@pytest.fixture
def read_settings(tmp_path: Path) -> Reader[dict[str, Any]]:
    """Run a copy of the settings, which has no `.env`."""
    copy = tmp_path / "config" / "settings.py"
    copy.parent.mkdir()
    shutil.copy(settings.BASE_DIR / "config" / "settings.py", copy)

    def read(**environment: str) -> dict[str, Any]:
        with mock.patch.dict(os.environ, environment, clear=True):
            return runpy.run_path(str(copy))

    return read


@pytest.fixture
def refusal(read_settings: Reader[dict[str, Any]]) -> Reader[str]:
    """Return the one line with which the settings stop the start."""

    def refuse(**environment: str) -> str:
        with pytest.raises(SystemExit) as stopped:
            read_settings(**environment)
        [line] = str(stopped.value).splitlines()
        return line

    return refuse


def test_production_starts_with_the_required_variables(read_settings: Reader[dict[str, Any]]) -> None:
    assert read_settings(**PRODUCTION)["DEBUG"] is False


def test_cookies_have_the_host_prefix_only_in_production(read_settings: Reader[dict[str, Any]]) -> None:
    production, development = read_settings(**PRODUCTION), read_settings(DEBUG="true")

    for cookie, name in (("SESSION", "sessionid"), ("CSRF", "csrftoken")):
        assert production[f"{cookie}_COOKIE_NAME"] == f"__Host-{name}"
        assert production[f"{cookie}_COOKIE_SECURE"] is True
        assert development[f"{cookie}_COOKIE_NAME"] == name


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("blank", [True, False], ids=["blank", "missing"])
def test_production_without_a_required_variable_does_not_start(name: str, blank: bool, refusal: Reader[str]) -> None:
    environment = {**PRODUCTION, name: ""}
    if not blank:
        del environment[name]

    assert name in refusal(**environment)


@pytest.mark.parametrize("name", REQUIRED)
def test_secret_in_a_file_is_read(name: str, tmp_path: Path, read_settings: Reader[dict[str, Any]]) -> None:
    (tmp_path / "secret").write_text(f"{PRODUCTION[name]}\n")
    others = {key: value for key, value in PRODUCTION.items() if key != name}

    from_file = read_settings(**others, **{f"{name}_FILE": f"{tmp_path}/secret"})

    names = ["SECRET_KEY", "DATABASES"]
    # {% if cookiecutter.use_channels %}
    names.append("CHANNEL_LAYERS")
    # {% endif %}
    from_environment = read_settings(**PRODUCTION)
    assert [from_file[name] for name in names] == [from_environment[name] for name in names]


@pytest.mark.parametrize("name", REQUIRED)
def test_missing_file_of_a_secret_stops_the_start(name: str, refusal: Reader[str]) -> None:
    others = {key: value for key, value in PRODUCTION.items() if key != name}

    assert f"'{name}_FILE': ['Cannot read /nowhere: No such file or directory.']" in refusal(
        **others, **{f"{name}_FILE": "/nowhere"}
    )


@pytest.mark.parametrize("name", ["SECRET_KEY", "SECRET_KEY_FALLBACKS"])
def test_weak_key_stops_production(name: str, refusal: Reader[str], read_settings: Reader[dict[str, Any]]) -> None:
    weak = {name: "development only"}
    line = refusal(**PRODUCTION | weak)

    assert f"'{name}': ['Too weak: 16 characters, where at least 50 are needed." in line
    assert 'python -c "import secrets; print(secrets.token_urlsafe(50))"' in line
    assert "development only" not in line
    assert "development only" in read_settings(**PRODUCTION | weak | {"DEBUG": "true"})[name]


def test_fallback_keys_are_read(read_settings: Reader[dict[str, Any]]) -> None:
    old = [f"{number} of the keys that this service has signed with before" for number in range(2)]

    assert read_settings(**PRODUCTION, SECRET_KEY_FALLBACKS=", ".join(old))["SECRET_KEY_FALLBACKS"] == old


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (31_536_000, False, False)),
        ({"DEBUG": "true"}, (0, False, False)),
        ({"SECURE_HSTS_SECONDS": "3600"}, (3600, False, False)),
        ({"SECURE_HSTS_INCLUDE_SUBDOMAINS": "true", "SECURE_HSTS_PRELOAD": "true"}, (31_536_000, True, True)),
    ],
)
def test_hsts_includes_other_hosts_only_if_configured(
    environment: dict[str, str], expected: tuple[int, bool, bool], read_settings: Reader[dict[str, Any]]
) -> None:
    read = read_settings(**PRODUCTION | environment)

    names = ("SECURE_HSTS_SECONDS", "SECURE_HSTS_INCLUDE_SUBDOMAINS", "SECURE_HSTS_PRELOAD")
    assert tuple(read[name] for name in names) == expected


# The faults of an environment that `check --deploy` reports; all others stop the start, as the tests above show.
@pytest.mark.parametrize(
    ("fault", "reported"),
    [
        ({}, None),
        ({"SECURE_HSTS_INCLUDE_SUBDOMAINS": "true", "SECURE_HSTS_PRELOAD": "true"}, None),
        ({"DEBUG": "true"}, "security.W018"),
        ({"ALLOWED_HOSTS": ""}, "security.W020"),
        ({"SECURE_HSTS_SECONDS": "0"}, "security.W004"),
        ({"SECURE_HSTS_PRELOAD": "true"}, "runtime.W010"),
        ({"CSRF_TRUSTED_ORIGINS": "shop.example.com"}, "4_0.E001"),
    ],
)
def test_deployment_check_reports_a_fault(
    fault: dict[str, str], reported: str | None, read_settings: Reader[dict[str, Any]]
) -> None:
    read = read_settings(**PRODUCTION | fault)
    names = re.compile(r"DEBUG|ALLOWED_HOSTS|MIDDLEWARE|SILENCED_SYSTEM_CHECKS|X_FRAME_OPTIONS|(CSRF|SE[CS])\w+")

    with override_settings(**{name: value for name, value in read.items() if names.fullmatch(name)}):
        tags = [checks.Tags.security, checks.Tags.compatibility]
        found = checks.run_checks(tags=tags, include_deployment_checks=True)

    ids = {message.id for message in found if not message.is_silenced()}
    assert reported in ids if reported else not ids


def test_bad_values_are_named_in_one_line(refusal: Reader[str]) -> None:
    line = refusal(DEBUG="maybe", LOG_LEVEL="loud")

    assert "DEBUG" in line
    assert "LOG_LEVEL" in line


def test_development_starts_with_blank_variables(read_settings: Reader[dict[str, Any]]) -> None:
    assert read_settings(DEBUG="true", **dict.fromkeys(REQUIRED, ""))["DEBUG"] is True


@pytest.mark.parametrize("path", ["back-office/", "/back-office", "back-office"])
def test_admin_path_without_a_slash_gets_one(path: str, read_settings: Reader[dict[str, Any]]) -> None:
    assert read_settings(**PRODUCTION)["ADMIN_PATH"] == "admin/"
    assert read_settings(**PRODUCTION, ADMIN_PATH=path)["ADMIN_PATH"] == "back-office/"


@pytest.mark.parametrize("path", ["", "/", "a//b", "a b", "<int:pk>/", "../x", "api/", "/health", "static/admin/"])
def test_invalid_or_used_admin_path_is_refused(path: str, refusal: Reader[str]) -> None:
    assert f"{path!r} " in refusal(**PRODUCTION, ADMIN_PATH=path).partition("ADMIN_PATH")[2]


def test_spaces_in_a_list_are_ignored(read_settings: Reader[dict[str, Any]]) -> None:
    hosts = read_settings(**PRODUCTION, ALLOWED_HOSTS="one.example, two.example")["ALLOWED_HOSTS"]

    assert hosts == ["one.example", "two.example"]


def test_no_proxy_is_trusted_by_default(read_settings: Reader[dict[str, Any]]) -> None:
    assert read_settings(**PRODUCTION)["TRUSTED_PROXIES"] == []
    assert read_settings(**PRODUCTION, TRUSTED_PROXIES="")["TRUSTED_PROXIES"] == []
    assert read_settings(**PRODUCTION, TRUSTED_PROXIES="10.0.0.0/8, ::1")["TRUSTED_PROXIES"] == ["10.0.0.0/8", "::1"]


def test_proxy_that_is_not_an_address_is_named(refusal: Reader[str]) -> None:
    line = refusal(**PRODUCTION, TRUSTED_PROXIES="10.0.0.0/8,proxy.example")

    assert "TRUSTED_PROXIES" in line
    assert "'proxy.example' is not an IP address such as 192.0.2.10, nor a network" in line
# {% if cookiecutter.use_channels %}


def test_redis_url_without_a_scheme_is_refused(refusal: Reader[str]) -> None:
    assert "redis://localhost:6379/0" in refusal(**PRODUCTION | {"REDIS_URL": "localhost:6379"})
# {% endif %}
# {% if cookiecutter.use_async_views %}


@pytest.mark.parametrize("bad", ["bad.example", "https://user:password@bad.example"])
def test_supplier_that_is_not_a_url_is_refused(bad: str, refusal: Reader[str]) -> None:
    assert f"'{bad}' is not a URL" in refusal(DEBUG="true", SUPPLIER_URLS=f"https://good.example/quote,{bad}")
# {% endif %}
