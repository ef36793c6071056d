"""The locks around migrations of a PostgreSQL database. `make faults` of the template tries them with processes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import psycopg
import pytest
from django.core.management.base import CommandError
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import CaptureQueriesContext

from runtime.postgres.advisory_lock import LOCK_ID, advisory_lock, table_lock_timeout

TIMEOUT = 10  # seconds
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def connection() -> BaseDatabaseWrapper:
    return connections["default"]


@contextmanager
def behind_pgbouncer(connection: BaseDatabaseWrapper, value: bool) -> Iterator[None]:
    """Have the settings say whether PgBouncer is there."""
    with mock.patch.dict(connection.settings_dict, {"DISABLE_SERVER_SIDE_CURSORS": value}):
        yield


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


def test_each_connection_of_a_migration_has_the_limit(connection: BaseDatabaseWrapper, settings: Any) -> None:
    settings.DATABASE_MIGRATION_LOCK_TIMEOUT = 1.5

    with (
        behind_pgbouncer(connection, False),
        CaptureQueriesContext(connection) as executed,
        table_lock_timeout(connection),
    ):
        # A migration may close it.
        connection.close()
        connection.ensure_connection()

    limited = "SELECT set_config('lock_timeout', '1500ms', false)"
    assert [query["sql"] for query in executed] == [limited, limited, "RESET lock_timeout"]


@pytest.mark.parametrize(("seconds", "bouncer"), [(0, False), (1.5, True)])
def test_otherwise_postgresql_decides(
    seconds: float, bouncer: bool, connection: BaseDatabaseWrapper, settings: Any
) -> None:
    settings.DATABASE_MIGRATION_LOCK_TIMEOUT = seconds

    with (
        behind_pgbouncer(connection, bouncer),
        CaptureQueriesContext(connection) as executed,
        table_lock_timeout(connection),
    ):
        pass

    assert not executed.captured_queries


def test_the_error_names_the_variable(connection: BaseDatabaseWrapper) -> None:
    with behind_pgbouncer(connection, False):
        with pytest.raises(CommandError, match="DATABASE_MIGRATION_LOCK_TIMEOUT"), table_lock_timeout(connection):
            raise OperationalError("canceled") from psycopg.errors.LockNotAvailable()
        with pytest.raises(OperationalError, match="away"), table_lock_timeout(connection):
            raise OperationalError("away") from psycopg.OperationalError()
