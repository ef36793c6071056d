"""The database connections of a server: how long they wait, and their part in starting and stopping."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import psycopg
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper
from psycopg.abc import RV, PQGen
from psycopg_pool import ConnectionPool

from runtime.compat import require
from runtime.conf import conf

require(psycopg.errors, "_WaitTimeout")
require(psycopg.Connection, "_pool")
require(ConnectionPool, "_lock", "_waiting")


class TimeoutConnection(psycopg.Connection[Any]):
    """A connection that is closed when the server does not answer, though it is there: it hangs, or packets are lost.

    Nothing else ends such a wait, for PostgreSQL measures its own timeouts itself.
    """

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Do what is to be done on the connection. Raises OperationalError when the server does not answer in time."""
        limit = settings.DATABASE_STATEMENT_TIMEOUT + conf.STATEMENT_GRACE
        try:
            return super().wait(gen, interval=interval, timeout=limit if timeout is None else min(limit, timeout))
        except psycopg.errors._WaitTimeout:
            self.close()
            raise psycopg.OperationalError(f"PostgreSQL has not answered within {limit:g} s") from None


def check_connection(connection: TimeoutConnection) -> None:
    """Raise OperationalError for a connection from the pool that is broken."""
    try:
        ConnectionPool.check_connection(connection)
    except psycopg.OperationalError:
        # The server has restarted, it may be: try none of the others, between which the pool would wait.
        cast(ConnectionPool, connection._pool).drain()
        raise


def fail_waiters(pool: ConnectionPool) -> None:
    """Fail the requests that wait for a connection, because the server has just refused one."""
    with pool._lock:
        while pool._waiting:
            pool._waiting.popleft().fail(psycopg.OperationalError("PostgreSQL cannot be reached"))


@asynccontextmanager
async def connection_pools() -> AsyncIterator[None]:
    """Limit how long a server's connections wait, and close their pools when it stops (see `runtime.server.lifespan`).

    Commands have no such limits: a migration may take hours. So they are not in settings.DATABASES.
    """
    configured = {alias: database["OPTIONS"] for alias, database in connections.settings.items()}
    for alias, options in configured.items():
        if options.get("pool"):
            connections.settings[alias]["OPTIONS"] = with_server_options(connections.settings[alias])
    try:
        yield
    finally:
        await sync_to_async(close_pools)()
        for alias, options in configured.items():
            connections.settings[alias]["OPTIONS"] = options


def with_server_options(database: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a database, with the limits of a server's connections."""
    options = database["OPTIONS"]
    # A connection that cannot be had is not tried for again in the background: the next request tries.
    pool = {
        "connection_class": TimeoutConnection,
        "check": check_connection,
        "reconnect_timeout": 0,
        "reconnect_failed": fail_waiters,
        # The URL may say `pool=true` and no more.
        **(options["pool"] if isinstance(options["pool"], dict) else {}),
    }
    if database["DISABLE_SERVER_SIDE_CURSORS"]:
        # PgBouncer refuses options: there they are set for the role.
        return {**options, "pool": pool}
    statement, lock = settings.DATABASE_STATEMENT_TIMEOUT, settings.DATABASE_LOCK_TIMEOUT
    ours = f"-c statement_timeout={int(statement * 1000)} -c lock_timeout={int(lock * 1000)}"
    # What the URL says comes last, and so wins.
    return {**options, "pool": pool, "options": f"{ours} {options.get('options', '')}".strip()}


def close_pools() -> None:
    """Close every pool that a request opened."""
    for connection in connections.all(initialized_only=True):
        if isinstance(connection, DatabaseWrapper):
            connection.close()
            connection.close_pool()
