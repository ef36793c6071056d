"""The environment that the settings are read from, good and bad."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest
from django.conf import settings

PRODUCTION = {
    "DEBUG": "false",
    "SECRET_KEY": "x" * 50,
    # {% if cookiecutter.use_postgres %}
    "DATABASE_URL": "postgresql://user:password@db.example:5432/name",
    # {% endif %}
    # {% if cookiecutter.use_channels %}
    "REDIS_URL": "redis://valkey.example:6379/0",
    # {% endif %}
}
REQUIRED = sorted(PRODUCTION.keys() - {"DEBUG"})


class Settings(Protocol):
    """Imports the settings in a new process with an environment."""

    def __call__(self, **environment: str) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def load_settings(tmp_path: Path) -> Settings:
    """Import a copy of the settings, which has no `.env` beside it."""
    shutil.copytree(settings.BASE_DIR / "config", tmp_path / "config")

    def load(**environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from config import settings; print(settings.ALLOWED_HOSTS)"],
            env={"PATH": os.environ["PATH"], **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return load


def test_production_needs_no_more_than_is_required(load_settings: Settings) -> None:
    result = load_settings(**PRODUCTION)

    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("blank", [True, False], ids=["blank", "missing"])
def test_production_does_not_start_without(name: str, blank: bool, load_settings: Settings) -> None:
    environment = {**PRODUCTION, name: ""}
    if not blank:
        del environment[name]

    result = load_settings(**environment)

    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert name in line


def test_every_bad_value_is_named_in_one_line(load_settings: Settings) -> None:
    result = load_settings(DEBUG="maybe", LOG_LEVEL="loud")

    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert "DEBUG" in line
    assert "LOG_LEVEL" in line


def test_development_does_without_what_is_blank(load_settings: Settings) -> None:
    result = load_settings(DEBUG="true", **dict.fromkeys(REQUIRED, ""))

    assert (result.returncode, result.stderr) == (0, "")


def test_spaces_in_a_list_do_not_matter(load_settings: Settings) -> None:
    result = load_settings(**PRODUCTION, ALLOWED_HOSTS="one.example, two.example")

    assert result.stdout == "['one.example', 'two.example']\n"
# {% if cookiecutter.use_channels %}


def test_redis_must_have_a_url(load_settings: Settings) -> None:
    result = load_settings(**PRODUCTION | {"REDIS_URL": "localhost:6379"})

    [line] = result.stderr.splitlines()
    assert "redis://localhost:6379/0" in line
# {% endif %}
# {% if cookiecutter.use_async_views %}


def test_a_supplier_must_have_a_url(load_settings: Settings) -> None:
    for bad in ("bad.example", "https://user:password@bad.example"):
        result = load_settings(DEBUG="true", SUPPLIER_URLS=f"https://good.example/quote,{bad}")

        [line] = result.stderr.splitlines()
        assert f"'{bad}' is not a URL" in line
# {% endif %}
