"""The database connections of a server: how long they wait, who gets one, and their part in starting and stopping."""

import asyncio
import logging
import select
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import psycopg
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper
from psycopg.abc import RV, PQGen
from psycopg.waiting import READY_NONE
from psycopg_pool import ConnectionPool, PoolTimeout
from psycopg_pool.pool import WaitingClient

from runtime.compat import require
from runtime.conf import conf
from runtime.postgres.greenlets import LoopGreenlet, current_greenlet

require(psycopg.errors, "_WaitTimeout")
require(psycopg.Connection, "_pool")
require(ConnectionPool, "_getconn_unchecked", "_getconn_with_check_loop")
require(ConnectionPool, "_get_ready_connection", "_lock", "_maybe_grow_pool", "_putconn", "_waiting")

logger = logging.getLogger(__name__)


class TimeoutConnection(psycopg.Connection[Any]):
    """A connection that is closed when the server does not answer, as when it hangs or packets are lost.

    PostgreSQL measures its own timeouts itself, so nothing else would end such a wait. In a greenlet, a connection
    waits on the event loop.
    """

    # The request to cancel the running statement.
    cancellation: asyncio.Future[None] | None = None

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Run psycopg's part of the protocol. Raises OperationalError if the server does not answer in time."""
        limit = settings.DATABASE_STATEMENT_TIMEOUT + conf.STATEMENT_GRACE
        timeout = limit if timeout is None else min(limit, timeout)
        current = current_greenlet()
        try:
            if current is None:
                return super().wait(gen, interval=interval, timeout=timeout)
            return self.wait_in_greenlet(gen, current, timeout)
        except psycopg.errors._WaitTimeout:
            self.close()
            raise psycopg.OperationalError(f"PostgreSQL has not answered within {limit:g} s") from None

    def wait_in_greenlet(self, gen: PQGen[RV], current: LoopGreenlet, timeout: float) -> RV:
        """Do as psycopg's `wait` does, but let the event loop go on until the socket is ready."""
        deadline = current.loop.time() + timeout
        interrupt = partial(self.cancel_statement, current)
        try:
            state = next(gen)
            while True:
                seconds = deadline - current.loop.time()
                ready = current.wait_for_socket(self.pgconn.socket, state, seconds, interrupt)
                if ready == READY_NONE:
                    raise psycopg.errors._WaitTimeout
                state = gen.send(ready)
        except StopIteration as stop:
            result: RV = stop.value
            return result
        except psycopg.errors.QueryCanceled:
            if self.cancellation is None:  # a timeout of the server's
                raise
            raise asyncio.CancelledError from None
        finally:
            if self.cancellation is not None:
                # The server would cancel the next statement instead, which may be another request's.
                current.wait_for(self.cancellation)
                self.cancellation = None

    def cancel_statement(self, current: LoopGreenlet) -> None:
        """Ask the server to cancel the running statement, which then fails."""
        self.cancellation = current.loop.run_in_executor(None, self.send_cancellation)

    def send_cancellation(self) -> None:
        """Open a connection that cancels the running statement. It runs to its timeout if that fails."""
        try:
            self.cancel_safe(timeout=conf.CANCEL_TIMEOUT)
        except psycopg.Error as error:
            logger.warning("Could not cancel a statement: %s", error)


class WaitingGreenlet(WaitingClient[TimeoutConnection]):
    """A greenlet in the queue for a connection."""

    def __init__(self, current: LoopGreenlet) -> None:
        super().__init__()
        self.current = current

    def wait(self, timeout: float) -> TimeoutConnection:
        """Return the connection that the pool passes on. Raises PoolTimeout if there is none in time."""
        late = PoolTimeout(f"couldn't get a connection after {timeout:.2f} sec")
        timer = self.current.loop.call_later(timeout, self.fail, late)
        self.current.pause(interrupt=partial(self.fail, asyncio.CancelledError()))
        timer.cancel()
        if self.error:
            raise self.error
        return cast(TimeoutConnection, self.conn)

    def set(self, conn: TimeoutConnection) -> bool:
        """Pass a connection to the greenlet, in any thread; return False if it no longer waits."""
        return super().set(conn) and self.resume()

    def fail(self, error: BaseException) -> bool:
        """Pass an exception to the greenlet, in any thread; return False if it no longer waits."""
        return super().fail(cast(Exception, error)) and self.resume()

    def resume(self) -> bool:
        """Have the greenlet go on."""
        self.current.resume_soon()
        return True


class Pool(ConnectionPool[TimeoutConnection]):
    """A pool whose connections worker threads and greenlets share, in the order in which they ask."""

    def _getconn_with_check_loop(self, deadline: float) -> TimeoutConnection:
        # psycopg's own loop sleeps after a broken connection. The event loop must not, and there is no need: `drain`.
        while True:
            connection = self._getconn_unchecked(deadline - time.monotonic())
            try:
                usable = is_usable(connection)
            except BaseException:
                # The request was cancelled meanwhile.
                self._putconn(connection, from_getconn=True)
                raise
            if usable:
                return connection
            # The server may have restarted, so the others are broken too.
            self.drain()
            self._putconn(connection, from_getconn=True)

    def _getconn_unchecked(self, timeout: float) -> TimeoutConnection:
        current = current_greenlet()
        if current is None:
            return super()._getconn_unchecked(timeout)
        with self._lock:
            connection = self._get_ready_connection(timeout)
            if connection is None:
                client = WaitingGreenlet(current)
                self._waiting.append(client)
                self._maybe_grow_pool()
        if connection is None:
            connection = client.wait(timeout)
        if current.future.cancelled():
            self._putconn(connection, from_getconn=True)
            raise asyncio.CancelledError
        connection._pool = self
        return connection


def is_usable(connection: TimeoutConnection) -> bool:
    """Tell whether the server still answers on an idle connection.

    A server that closes a connection makes its socket readable, so a connection whose socket is quiet costs no query.
    """
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    if not poll.poll(0):
        return True
    try:
        # A notice of the server makes the socket readable too.
        ConnectionPool.check_connection(connection)
    except psycopg.OperationalError:
        return False
    return True


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
    """Close the pool of every database, also of one that this thread has not used."""
    for connection in connections.all():
        if isinstance(connection, DatabaseWrapper):
            connection.close()
            connection.close_pool()
