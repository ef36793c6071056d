"""The locks around migrations of a PostgreSQL database. `make faults` of the template tries them with processes."""

import threading
from typing import Any

import psycopg
import pytest
from django.core.management.base import CommandError
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from runtime.advisory_lock import LOCK_ID, advisory_lock, table_lock_timeout

TIMEOUT = 10  # seconds
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def connection() -> BaseDatabaseWrapper:
    return connections["default"]


def lock_timeout(connection: BaseDatabaseWrapper) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        return str(cursor.fetchone()[0])


def test_a_process_waits_for_another_and_reports_it_once(connection: BaseDatabaseWrapper) -> None:
    reports: list[str] = []
    reported, locked = threading.Event(), threading.Event()

    def report(holder: str) -> None:
        reports.append(holder)
        reported.set()

    def wait() -> None:
        with advisory_lock(connection, report):
            locked.set()

    waiting = threading.Thread(target=wait)
    with advisory_lock(connection, pytest.fail):
        waiting.start()
        assert reported.wait(TIMEOUT)
        assert not locked.is_set()
    waiting.join(TIMEOUT)

    assert locked.is_set()
    [holder] = reports
    assert holder.startswith("process ")
    assert " (since " in holder


def test_the_lock_outlives_the_connection_that_migrates(connection: BaseDatabaseWrapper) -> None:
    with advisory_lock(connection, pytest.fail):
        connection.close()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK_ID])
            assert cursor.fetchone() == (False,)


def test_a_migration_waits_for_a_table_as_long_as_the_settings_say(
    connection: BaseDatabaseWrapper, settings: Any
) -> None:
    settings.DATABASE_MIGRATION_LOCK_TIMEOUT = 1.5
    before = lock_timeout(connection)

    with table_lock_timeout(connection):
        assert lock_timeout(connection) == "1500ms"
        # A migration may close it.
        connection.close()
        assert lock_timeout(connection) == "1500ms"

    assert lock_timeout(connection) == before


@pytest.mark.parametrize(("seconds", "behind_pgbouncer"), [(0, False), (1.5, True)])
def test_otherwise_postgresql_decides(
    seconds: float, behind_pgbouncer: bool, connection: BaseDatabaseWrapper, settings: Any
) -> None:
    settings.DATABASE_MIGRATION_LOCK_TIMEOUT = seconds
    before = lock_timeout(connection)
    configured = connection.settings_dict["DISABLE_SERVER_SIDE_CURSORS"]
    connection.settings_dict["DISABLE_SERVER_SIDE_CURSORS"] = behind_pgbouncer
    try:
        with table_lock_timeout(connection):
            assert lock_timeout(connection) == before
    finally:
        connection.settings_dict["DISABLE_SERVER_SIDE_CURSORS"] = configured


def test_the_error_names_the_variable(connection: BaseDatabaseWrapper) -> None:
    with pytest.raises(CommandError, match="DATABASE_MIGRATION_LOCK_TIMEOUT"), table_lock_timeout(connection):
        raise OperationalError("canceled") from psycopg.errors.LockNotAvailable()
    with pytest.raises(OperationalError, match="away"), table_lock_timeout(connection):
        raise OperationalError("away") from psycopg.OperationalError()
