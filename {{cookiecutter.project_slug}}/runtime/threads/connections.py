"""Database connections of threads that several requests use in turn."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connections, reset_queries

logger = logging.getLogger(__name__)


def reset_connections() -> None:
    """Reset this thread's database connections, so that the next request finds no state of the last one.

    As Django does at the start and the end of a request, this closes connections that are too old or unusable, and has
    the others' health checked before their next query. A transaction that is still open is rolled back.
    """
    reset_queries()
    for connection in connections.all(initialized_only=True):
        try:
            if connection.in_atomic_block:
                connection.close()
                # Django keeps a connection unusable that was closed in a transaction.
                del connections[connection.alias]
            else:
                connection.close_if_unusable_or_obsolete()
        except Exception:
            # The thread goes on with a new connection.
            logger.exception("Could not close a connection to the database %s", connection.alias)
            del connections[connection.alias]


def close_connections() -> None:
    """Close this thread's database connections."""
    for connection in connections.all(initialized_only=True):
        try:
            connection.close()
        except Exception:
            logger.exception("Could not close a connection to the database %s", connection.alias)


def disconnect_receivers() -> None:
    """Disconnect Django's signal receivers that reset connections per request: each worker thread resets its own."""
    request_started.disconnect(reset_queries)
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)


class ConnectionResettingExecutor(ThreadPoolExecutor):
    """A default executor for the event loop that resets a thread's database connections after each call.

    Django renders error pages in the default executor. A connection left open there would be missing from its pool.
    """

    def submit[**P, R](self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Call a function in a thread; return the future of its result."""

        def call_and_reset() -> R:
            try:
                return function(*args, **kwargs)
            finally:
                reset_connections()

        return super().submit(call_and_reset)
