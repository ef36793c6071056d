"""The database connections' part in starting and stopping."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asgiref.sync import sync_to_async
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper


@asynccontextmanager
async def connection_pools() -> AsyncIterator[None]:
    """Close the pools of connections when the server stops (see `runtime.lifespan`)."""
    yield
    await sync_to_async(close_pools)()


def close_pools() -> None:
    """Close every pool that a request opened."""
    for connection in connections.all(initialized_only=True):
        if isinstance(connection, DatabaseWrapper):
            connection.close()
            connection.close_pool()
