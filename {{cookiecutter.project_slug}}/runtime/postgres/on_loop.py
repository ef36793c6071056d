"""The calls of the ORM that run on the event loop, in greenlets, instead of in a worker thread.

Django sends every asynchronous call of the ORM to a thread, where it spends most of its time waiting for the database.
These calls run no code of the service other than its models, so nothing else can block:

| call | on the event loop |
| --- | --- |
| `aget`, `afirst`, `alast`, `aearliest`, `alatest`, `ain_bulk`, `async for` | unless making an instance sends signals |
| `acount`, `aexists`, `acontains`, `aaggregate`, `aexplain`, `aupdate` | always |
| `adelete` | if the database deletes the rows alone: no receivers of signals, no cascade |
| `abulk_create`, `abulk_update` | unless a field stores files |
| `acreate`, `asave`, `aget_or_create`, `aadd` and others that send signals | never |
| functions of the service in `sync_to_async`, `aiterator` | never |

A request that holds a worker thread makes all its calls there, so that it never waits for a second connection.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import FileField, Model, QuerySet
from django.db.models.deletion import Collector
from django.db.models.query import RawQuerySet
from django.db.models.signals import post_init, pre_init
from django.db.utils import ConnectionHandler, load_backend

from runtime.compat import require
from runtime.conf import conf
from runtime.postgres.base import DatabaseWrapper
from runtime.postgres.greenlets import RUNNING, WAITING, LoopFuture, current_greenlet, run_in_greenlet
from runtime.postgres.pool import TimeoutConnection
from runtime.threads.executors import LOOP_RUNNERS

require(ConnectionHandler, "_connections")
require(QuerySet, "_fetch_all", "_prefetch_related_lookups")
require(RawQuerySet, "_fetch_all")

logger = logging.getLogger(__name__)


def always(queryset: QuerySet[Model]) -> bool:
    """Accept every query set."""
    return True


def makes_instances_silently(queryset: "QuerySet[Model] | RawQuerySet[Model]") -> bool:
    """Return whether no receiver of a signal is called when the rows of a query set become instances."""
    signals = (pre_init, post_init)
    if not any(signal.receivers for signal in signals):
        return True
    if isinstance(queryset, RawQuerySet) or queryset.query.select_related or queryset._prefetch_related_lookups:  # type: ignore[attr-defined]
        # They make instances of other models too.
        return False
    return not any(signal.has_listeners(queryset.model) for signal in signals)


def deletes_silently(queryset: QuerySet[Model]) -> bool:
    """Return whether the database deletes the rows without a receiver of a signal or a cascade in Python."""
    return Collector(queryset.db, queryset).can_fast_delete(queryset)


def stores_no_files(queryset: QuerySet[Model]) -> bool:
    """Return whether saving the instances of a query set's model stores no files."""
    return not any(isinstance(field, FileField) for field in queryset.model._meta.concrete_fields)


# The methods that run on the event loop, each with the query sets for which it does. An override is the service's code.
ON_LOOP: dict[Callable[..., Any], Callable[..., bool]] = {
    QuerySet._fetch_all: makes_instances_silently,
    RawQuerySet._fetch_all: makes_instances_silently,  # type: ignore[attr-defined]
    QuerySet.get: makes_instances_silently,
    QuerySet.first: makes_instances_silently,
    QuerySet.last: makes_instances_silently,
    QuerySet.earliest: makes_instances_silently,
    QuerySet.latest: makes_instances_silently,
    QuerySet.in_bulk: makes_instances_silently,
    QuerySet.count: always,
    QuerySet.exists: always,
    QuerySet.contains: always,
    QuerySet.aggregate: always,
    QuerySet.explain: always,
    QuerySet.update: always,
    QuerySet.delete: deletes_silently,
    QuerySet.bulk_create: stores_no_files,
    QuerySet.bulk_update: stores_no_files,
}


# The methods that others of `ON_LOOP` call. If a class of the service overrides one, its other methods run that.
CALLED_METHODS = ("__iter__", "__len__", "_fetch_all", "get", "exists", "update")


@cache
def inherits_called_methods(cls: type) -> bool:
    """Return whether a class of query sets overrides none of the methods that its other methods call."""
    inherited = RawQuerySet if issubclass(cls, RawQuerySet) else QuerySet
    return all(getattr(cls, name, None) is getattr(inherited, name, None) for name in CALLED_METHODS)


def runs_on_loop(function: Callable[..., Any]) -> bool:
    """Return whether a function is a bound method of a query set that runs on the event loop."""
    accepts = ON_LOOP.get(getattr(function, "__func__", None))  # type: ignore[arg-type]
    if accepts is None:
        return False
    queryset = function.__self__  # type: ignore[attr-defined]
    return inherits_called_methods(type(queryset)) and accepts(queryset)  # type: ignore[arg-type]


def run_orm_call(function: Callable[..., Any]) -> LoopFuture | None:
    """Run a call of the ORM on the event loop, and return its future; return None for a call that needs a thread.

    `function` is the partial that asgiref's `sync_to_async` passes to its executor: its last arguments are a function
    that enters the caller's context, and the partial of the call itself.
    """
    match function:
        case partial(args=(_, _, _, run, partial(func=method) as call)) if runs_on_loop(method):
            return run_in_greenlet(partial(with_connections, partial(run, call)))
    return None


# Connection wrappers that no greenlet uses, by alias. They hold no connection.
IDLE: dict[str, list[BaseDatabaseWrapper]] = {}


class GreenletConnections:
    """The connections of a greenlet, by alias."""

    def __getattr__(self, alias: str) -> BaseDatabaseWrapper:
        # Raises AttributeError for an alias without an idle wrapper. Then Django makes one.
        if not IDLE.get(alias):
            raise AttributeError(alias)
        wrapper = IDLE[alias].pop()
        setattr(self, alias, wrapper)
        return wrapper


def return_connections(connections: GreenletConnections) -> None:
    """Return the connections of a greenlet to their pools."""
    for alias, wrapper in vars(connections).items():
        wrapper.close()
        wrapper.queries_log.clear()
        if not wrapper.in_atomic_block:
            IDLE.setdefault(alias, []).append(wrapper)


class ConnectionStorage:
    """Django's storage of connections, with an additional one for each greenlet.

    Django stores connections for each thread. The greenlets of the event loop's thread must not share one.
    """

    def __init__(self, outside: Any) -> None:
        # All other attributes are aliases of databases.
        vars(self)["_outside"] = outside

    def __getattr__(self, alias: str) -> Any:
        return getattr(callers_storage(self), alias)

    def __setattr__(self, alias: str, wrapper: Any) -> None:
        setattr(callers_storage(self), alias, wrapper)

    def __delattr__(self, alias: str) -> None:
        delattr(callers_storage(self), alias)


def callers_storage(storage: ConnectionStorage) -> Any:
    """Return the storage of the greenlet that asks, or the one outside of greenlets."""
    current = current_greenlet()
    return vars(storage)["_outside"] if current is None else current.connections


def with_connections[R](call: Callable[[], R]) -> R:
    """Make a call in a greenlet, with connections that only it uses."""
    current = current_greenlet()
    assert current is not None  # noqa: S101
    current.connections = GreenletConnections()
    try:
        return call()
    finally:
        return_connections(current.connections)


@asynccontextmanager
async def orm_on_loop() -> AsyncIterator[None]:
    """Run the ORM's calls on the event loop while the server runs (see `runtime.server.lifespan`)."""
    if not conf.ORM_ON_LOOP or not all(map(waits_on_loop, connections.settings.values())):
        yield
        return
    outside = connections._connections  # type: ignore[attr-defined]
    connections._connections = ConnectionStorage(outside)  # type: ignore[attr-defined]
    LOOP_RUNNERS.append(run_orm_call)
    try:
        yield
    finally:
        LOOP_RUNNERS.remove(run_orm_call)
        try:
            async with asyncio.timeout(conf.DRAIN_TIMEOUT):
                # The future of a cancelled call is done before its statement has ended.
                while RUNNING or WAITING:  # noqa: ASYNC110 (an event would cost every call)
                    await asyncio.sleep(0.02)
        except TimeoutError:
            logger.warning("%d queries have not ended within %s s.", len(RUNNING), conf.DRAIN_TIMEOUT)
        IDLE.clear()
        connections._connections = outside  # type: ignore[attr-defined]


def waits_on_loop(database: dict[str, Any]) -> bool:
    """Return whether the connections to a database wait on the event loop, as SQLite's do not."""
    backend = load_backend(database["ENGINE"]).DatabaseWrapper
    pool = database["OPTIONS"].get("pool") or {}
    # `connection_pools` has set it, unless the settings have another one.
    connection_class = pool.get("connection_class", object)
    return issubclass(backend, DatabaseWrapper) and issubclass(connection_class, TimeoutConnection)
