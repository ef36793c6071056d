"""A lock around migrations of a PostgreSQL database, and a limit to how long they wait for tables."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import CommandError
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from runtime.conf import conf

# PostgreSQL has a lock of this number in each database. The number is "migrate" in ASCII.
LOCK_ID = int.from_bytes(b"migrate")

# While the lock is held its transaction is idle, for as long as the migrations take: no timeout of the role may end it.
# Some are missing in older releases of PostgreSQL. The name is what other processes report while they wait.
PREPARE = """
    SELECT set_config(name, '0', true) FROM pg_settings
    WHERE name IN ('idle_in_transaction_session_timeout', 'statement_timeout', 'transaction_timeout')
    UNION ALL SELECT set_config('application_name', %s, true)
"""
HOLDER = """
    SELECT application_name, to_char(xact_start, 'HH24:MI:SS TZ') FROM pg_stat_activity JOIN pg_locks USING (pid)
    WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid = %s AND objid = %s AND objsubid = 1 AND granted
"""


@contextmanager
def migration_lock(connection: BaseDatabaseWrapper, report: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a database, and limit how long a migration waits for a table."""
    with advisory_lock(connection, report), table_lock_timeout(connection):
        yield


@contextmanager
def advisory_lock(connection: BaseDatabaseWrapper, report: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a database. Waits as long as another process has it, and reports once which one that is.

    A transaction on a second connection holds the lock: it also works through PgBouncer, which lends a connection for
    one transaction, and it does not end if a migration closes the first connection. PostgreSQL ends the transaction of
    a process that is killed.
    """
    if connection.vendor != "postgresql":
        yield
        return
    # Not from the pool, which may have one connection only.
    options = {name: value for name, value in connection.settings_dict["OPTIONS"].items() if name != "pool"}
    second = type(connection)({**connection.settings_dict, "OPTIONS": options}, connection.alias)
    try:
        second.set_autocommit(False)
        reported = False
        while (holder := try_lock(second)) is not None:
            if not reported:
                report(holder)
                reported = True
            # A transaction that waited for the lock would block the holder's CREATE INDEX CONCURRENTLY, and take one of
            # PgBouncer's connections.
            second.rollback()
            time.sleep(conf.MIGRATION_LOCK_POLL_INTERVAL)
        yield
    finally:
        second.close()


def try_lock(connection: BaseDatabaseWrapper) -> str | None:
    """Take the lock for the connection's transaction, and return None; or return which process has it."""
    with connection.cursor() as cursor:
        cursor.execute(PREPARE, [f"process {os.getpid()} on {socket.gethostname()}"])
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK_ID])
        if cursor.fetchone() == (True,):
            return None
        cursor.execute(HOLDER, [LOCK_ID >> 32, LOCK_ID & 0xFFFFFFFF])
        name, since = cursor.fetchone() or ("another process", None)
    return f"{name} (since {since})" if since else str(name)


@contextmanager
def table_lock_timeout(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Raise CommandError if a migration waits for a lock for more than DATABASE_MIGRATION_LOCK_TIMEOUT seconds.

    While a migration waits for a table, every later query of that table waits behind it.
    """
    seconds = settings.DATABASE_MIGRATION_LOCK_TIMEOUT
    # PgBouncer would keep the setting for the next client: behind it, the role has one.
    if connection.vendor != "postgresql" or not seconds or connection.settings_dict["DISABLE_SERVER_SIDE_CURSORS"]:
        yield
        return

    def limit(connection: Any, **kwargs: Any) -> None:
        if connection is migrated:
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{int(seconds * 1000)}ms"])

    migrated = connection
    connection_created.connect(limit)
    try:
        if connection.connection is not None:
            limit(connection)
        yield
    except OperationalError as error:
        if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
            raise CommandError(
                f"The migration waited {seconds:g} s for a lock that another transaction has. If the migration is "
                "atomic, its changes are rolled back. Run migrate again, or set DATABASE_MIGRATION_LOCK_TIMEOUT to "
                "more seconds, or to 0 for no limit."
            ) from error
        raise
    finally:
        connection_created.disconnect(limit)
        # The pool may lend the connection again.
        if connection.connection is not None and connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("RESET lock_timeout")
