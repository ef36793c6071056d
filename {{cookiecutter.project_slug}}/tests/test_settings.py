"""The environment that the settings are read from, good and bad."""

import os
import runpy
import shutil
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

import pytest
from django.conf import settings

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
    """Run a copy of the settings, which has no `.env` beside it."""
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


def test_production_needs_no_more_than_is_required(read_settings: Reader[dict[str, Any]]) -> None:
    assert read_settings(**PRODUCTION)["DEBUG"] is False


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("blank", [True, False], ids=["blank", "missing"])
def test_production_does_not_start_without(name: str, blank: bool, refusal: Reader[str]) -> None:
    environment = {**PRODUCTION, name: ""}
    if not blank:
        del environment[name]

    assert name in refusal(**environment)


def test_every_bad_value_is_named_in_one_line(refusal: Reader[str]) -> None:
    line = refusal(DEBUG="maybe", LOG_LEVEL="loud")

    assert "DEBUG" in line
    assert "LOG_LEVEL" in line


def test_development_does_without_what_is_blank(read_settings: Reader[dict[str, Any]]) -> None:
    assert read_settings(DEBUG="true", **dict.fromkeys(REQUIRED, ""))["DEBUG"] is True


def test_spaces_in_a_list_do_not_matter(read_settings: Reader[dict[str, Any]]) -> None:
    hosts = read_settings(**PRODUCTION, ALLOWED_HOSTS="one.example, two.example")["ALLOWED_HOSTS"]

    assert hosts == ["one.example", "two.example"]
# {% if cookiecutter.use_channels %}


def test_redis_must_have_a_url(refusal: Reader[str]) -> None:
    assert "redis://localhost:6379/0" in refusal(**PRODUCTION | {"REDIS_URL": "localhost:6379"})
# {% endif %}
# {% if cookiecutter.use_async_views %}


@pytest.mark.parametrize("bad", ["bad.example", "https://user:password@bad.example"])
def test_a_supplier_must_have_a_url(bad: str, refusal: Reader[str]) -> None:
    assert f"'{bad}' is not a URL" in refusal(DEBUG="true", SUPPLIER_URLS=f"https://good.example/quote,{bad}")
# {% endif %}
