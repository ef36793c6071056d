"""The ORM on the event loop: which calls run there, and what they do when the database is slow, busy or away."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any
from unittest import mock

import psycopg
import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.contrib.sessions.models import Session
from django.core.exceptions import ObjectDoesNotExist, SynchronousOnlyOperation
from django.db import DatabaseError, OperationalError, connection, connections
from django.db.models import Count, TextField, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Concat
from django.db.models.query import QuerySet, RawQuerySet
from django.db.models.signals import post_init
from django.test import override_settings

from runtime.conf import conf
from runtime.development.hops import count_hops
from runtime.postgres import pool as pool_module
from runtime.postgres.greenlets import RUNNING, WAITING, LoopGreenlet, current_greenlet, run_in_greenlet
from runtime.postgres.on_loop import ConnectionStorage, GreenletConnections, orm_on_loop, run_orm_call
from runtime.postgres.pool import Pool, connection_pools
from runtime.threads import executors
from runtime.threads.middleware import WorkerThread, release_thread

SECONDS = 60.0  # until a test gives up
pytestmark = pytest.mark.django_db(transaction=True)


def sleeping(seconds: float) -> QuerySet[Group]:
    """Return a query set that the server takes some seconds to read."""
    return Group.objects.annotate(slept=RawSQL("pg_sleep(%s)::text", [seconds], TextField()))


@pytest.fixture
async def pool(request: pytest.FixtureRequest) -> AsyncIterator[Pool]:
    """Run the ORM as a server does, inside a request, with three groups; return the pool of 2 connections."""
    options: dict[str, Any] = getattr(request, "param", {})
    settings = connections.settings["default"]
    before = settings["OPTIONS"]
    settings["OPTIONS"] = before | {"pool": {"min_size": 0, "max_size": 2, "timeout": SECONDS} | options}
    await sync_to_async(close_pool)()
    try:
        async with connection_pools(), orm_on_loop(), WorkerThread():
            await reset_groups()
            pool = connections.create_connection("default").pool
            assert isinstance(pool, Pool)
            yield pool
            release_thread()
    finally:
        settings["OPTIONS"] = before


def close_pool() -> None:
    connection.close()
    connection.close_pool()


async def reset_groups() -> None:
    """Store three groups, in the request's thread, and release it."""

    def store() -> None:
        Group.objects.all().delete()
        Group.objects.bulk_create([Group(pk=pk, name=f"group {pk}") for pk in (1, 2, 3)])
        with connection.cursor() as cursor:
            cursor.execute("SELECT setval('auth_group_id_seq', 3)")

    await sync_to_async(store)()
    release_thread()


async def listed(queryset: "QuerySet[Any] | RawQuerySet[Any]") -> list[Any]:
    return [each async for each in queryset]


def count_groups() -> int:
    return Group.objects.count()


async def wait_until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(SECONDS):
        while not await condition():  # noqa: ASYNC110 (no event tells what happens in PostgreSQL)
            await asyncio.sleep(0.01)


async def wait_until_returned(pool: Pool) -> None:
    """Return once the pool has all its connections, also those that it still opens."""

    async def is_complete() -> bool:
        stats = pool.get_stats()
        return stats["pool_size"] == stats["pool_available"]

    await wait_until(is_complete)


async def outcome(call: Callable[[], Awaitable[Any]]) -> object:
    """Return what a call returns, or the type and the text of its exception."""
    try:
        return await call()
    except (ArithmeticError, DatabaseError, LookupError, ObjectDoesNotExist) as error:
        return type(error), str(error)


# Calls, and whether they stay on the event loop.
CALLS: dict[str, tuple[Callable[[], Awaitable[Any]], bool]] = {
    "async for": (lambda: listed(Group.objects.order_by("name")), True),
    "values_list": (lambda: listed(Group.objects.values_list("name", flat=True)), True),
    "prefetch_related": (lambda: listed(Group.objects.prefetch_related("permissions")), True),
    "select_related": (lambda: listed(Permission.objects.select_related("content_type")[:3]), True),
    "raw": (lambda: listed(Group.objects.raw("SELECT * FROM auth_group ORDER BY id")), True),
    "aget": (lambda: Group.objects.aget(name="group 1"), True),
    "aget without a row": (lambda: Group.objects.aget(name="nowhere"), True),
    "afirst": (Group.objects.afirst, True),
    "alast": (Group.objects.alast, True),
    "aearliest": (lambda: Group.objects.aearliest("name"), True),
    "alatest": (lambda: Group.objects.alatest("name"), True),
    "ain_bulk": (Group.objects.ain_bulk, True),
    "acount": (Group.objects.acount, True),
    "aexists": (Group.objects.filter(name="group 1").aexists, True),
    "acontains": (lambda: Group.objects.acontains(Group(pk=1)), True),
    "aaggregate": (lambda: Group.objects.aaggregate(count=Count("pk")), True),
    "aexplain": (lambda: Group.objects.filter(name="group 1").aexplain(costs=False), True),
    "aupdate": (lambda: Group.objects.aupdate(name=Concat("name", Value("!"))), True),
    "adelete without a cascade": (Session.objects.all().adelete, True),
    "adelete with a cascade": (Group.objects.filter(pk=1).adelete, False),
    "abulk_create": (lambda: Group.objects.abulk_create([Group(name="new")]), True),
    "abulk_create of duplicates": (lambda: Group.objects.abulk_create([Group(name="a"), Group(name="a")]), True),
    "abulk_update": (lambda: Group.objects.abulk_update([Group(pk=1, name="new")], ["name"]), True),
    "related manager": (Permission(pk=1).group_set.acount, True),
    "wrong SQL": (Group.objects.extra(where=["nonsense"]).acount, True),
    "bound method": (sync_to_async(Group.objects.all().count), True),
    "acreate": (lambda: Group.objects.acreate(name="new"), False),
    "aget_or_create": (lambda: Group.objects.aget_or_create(name="group 1"), False),
    "asave": (Group(pk=1, name="new").asave, False),
    "function": (sync_to_async(count_groups), False),
}


async def test_calls_do_the_same_on_the_loop_and_in_a_thread(pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    happened: list[dict[str, Any]] = []
    hopping: list[set[str]] = []
    for runners in ([run_orm_call], []):
        happened.append({})
        hopping.append(set())
        for name, (call, _) in CALLS.items():
            await reset_groups()
            caplog.clear()
            with (
                mock.patch.object(executors, "LOOP_RUNNERS", runners),
                caplog.at_level(logging.DEBUG, "django.db.backends"),
                override_settings(DEBUG=True),
                count_hops() as hops,
            ):
                result = await outcome(call)
            if hops:
                hopping[-1].add(name)
            queries = [record.sql for record in caplog.records if record.name == "django.db.backends"]
            assert queries, name
            happened[-1][name] = result, queries, await listed(Group.objects.order_by("pk").values_list())

    assert happened[0] == happened[1]
    assert hopping == [{name for name, (_, stays) in CALLS.items() if not stays}, set(CALLS)]


async def test_rows_whose_instances_have_receivers_are_read_in_a_thread(pool: Pool) -> None:
    seen: list[bool] = []

    def look(**kwargs: Any) -> None:
        seen.append(threading.current_thread() is threading.main_thread())

    querysets = {Group: Group.objects.all(), Permission: Group.objects.prefetch_related("permissions")}
    for receiver_of, queryset in querysets.items():
        post_init.connect(look, sender=receiver_of)
        try:
            with count_hops() as hops:
                await listed(queryset)
        finally:
            post_init.disconnect(look, sender=receiver_of)
        assert hops
        release_thread()
    assert seen == [False] * 3


async def test_an_override_of_the_service_runs_in_a_thread(pool: Pool) -> None:
    class Careful(QuerySet[Group]):
        def count(self) -> int:
            return super().count() + int(threading.current_thread() is threading.main_thread())

    with count_hops() as hops:
        assert await Careful(Group).acount() == 3
    assert hops


async def test_a_method_that_calls_an_override_of_the_service_runs_in_a_thread(pool: Pool) -> None:
    threads: list[bool] = []

    class Invalidating(QuerySet[Group]):
        def update(self, **values: Any) -> int:
            threads.append(threading.current_thread() is threading.main_thread())
            return super().update(**values)

    with count_hops() as hops:
        assert await Invalidating(Group).abulk_update([Group(pk=1, name="new")], ["name"]) == 1
    assert hops
    assert threads == [False]


def test_any_alias_of_a_database_is_allowed() -> None:
    storage = ConnectionStorage(outside=SimpleNamespace())
    for alias in ("close", "storage", "outside"):
        assert not hasattr(storage, alias)
        assert not hasattr(GreenletConnections(), alias)


async def test_a_request_with_a_thread_reads_there(pool: Pool) -> None:
    def connection_id() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return int(cursor.fetchone()[0])

    held = await sync_to_async(connection_id)()
    with count_hops() as hops:
        assert await Group.objects.annotate(pid=RawSQL("SELECT pg_backend_pid()", [])).afirst() is not None
    assert hops

    assert await sync_to_async(connection_id)() == held


async def test_synchronous_orm_calls_of_coroutines_are_refused(pool: Pool) -> None:
    await Group.objects.afirst()

    with pytest.raises(SynchronousOnlyOperation):
        Group.objects.count()


async def test_the_greenlet_sees_no_running_loop_and_the_context_of_its_caller(pool: Pool) -> None:
    variable: ContextVar[str] = ContextVar("variable")
    variable.set("of the caller")

    def look() -> tuple[str, bool]:
        current = current_greenlet()
        assert current is not None
        before = variable.get()
        current.give_way()
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return before, variable.get() == before

    assert await run_in_greenlet(look) == ("of the caller", True)
    assert asyncio.get_running_loop()
    assert current_greenlet() is None


async def test_greenlets_and_threads_share_the_connections_of_the_pool(pool: Pool) -> None:
    async def in_a_thread() -> int:
        async with WorkerThread():
            return await sync_to_async(count_groups)()

    counts = await asyncio.gather(*([Group.objects.acount() for _ in range(50)] + [in_a_thread() for _ in range(50)]))

    assert counts == [3] * 100
    assert pool.get_stats()["pool_size"] <= 2


@override_settings(MAX_THREADS=2)
async def test_calls_beyond_max_threads_wait_for_their_turn_and_not_for_a_connection(pool: Pool) -> None:
    order: list[int] = []

    async def read(number: int) -> None:
        await sleeping(0.02).afirst()
        order.append(number)

    tasks = [asyncio.create_task(read(number)) for number in range(6)]
    await asyncio.sleep(0)
    assert (len(RUNNING), len(WAITING)) == (2, 4)
    assert len(pool._waiting) <= 2
    tasks[3].cancel()

    assert await asyncio.gather(*tasks, return_exceptions=True) == [None] * 3 + [mock.ANY] + [None] * 2
    assert tasks[3].cancelled()
    assert sorted(order) == [0, 1, 2, 4, 5]
    assert not WAITING


@pytest.mark.parametrize("pool", [{"timeout": 0.2}], indirect=True)
async def test_waiting_for_a_connection_ends_at_the_timeout_of_the_pool(pool: Pool) -> None:
    slow = [asyncio.create_task(sleeping(1).afirst()) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(OperationalError, match=r"couldn't get a connection after 0\.20 sec"):
        await Group.objects.acount()

    assert all(await asyncio.gather(*slow))
    assert await Group.objects.acount() == 3


async def run_sql(sql: str) -> list[Any]:
    """Return the first column of a query, on a connection outside the pool."""

    def ask() -> list[Any]:
        with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}) as own:
            return [value for (value,) in own.execute(sql)]

    return await asyncio.to_thread(ask)


OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


async def is_sleeping() -> bool:
    return bool(await run_sql(f"SELECT 1 {OTHERS} AND state = 'active' AND query LIKE '%pg_sleep%'"))


async def nothing_runs() -> bool:
    return not RUNNING


async def test_cancelling_a_call_cancels_its_statement(pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    task = asyncio.create_task(sleeping(SECONDS).afirst())
    await wait_until(is_sleeping)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await wait_until(nothing_runs)
    assert not await is_sleeping()
    await wait_until_returned(pool)
    assert await Group.objects.acount() == 3
    assert not caplog.records, "the cancelled statement is no error"


async def test_cancelling_a_call_that_checks_its_connection_returns_that(pool: Pool) -> None:
    def check(connection: psycopg.Connection[Any]) -> bool:
        connection.execute("SELECT pg_sleep(%s)", [SECONDS])
        return True

    with mock.patch.object(pool_module, "is_usable", check):
        task = asyncio.create_task(Group.objects.acount())
        await wait_until(is_sleeping)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await wait_until(nothing_runs)

    await wait_until_returned(pool)


async def test_cancelling_a_call_ends_it_between_two_rows(pool: Pool) -> None:
    def cancel(current: LoopGreenlet) -> None:
        task.cancel()
        while not current.future.cancelled():
            give_way(current)

    give_way = LoopGreenlet.give_way
    with (
        override_settings(RUNTIME_ROWS_PER_TURN=1),
        mock.patch.object(LoopGreenlet, "give_way", autospec=True, side_effect=cancel) as giving_way,
    ):
        task = asyncio.create_task(listed(Group.objects.all()))
        with pytest.raises(asyncio.CancelledError):
            await task
        await wait_until(nothing_runs)

    giving_way.assert_called_once()
    await wait_until_returned(pool)


def test_stopping_closes_a_pool_that_only_greenlets_have_used() -> None:
    async def serve() -> Pool:
        # The thread that closes the pools has used none.
        async with ThreadSensitiveContext(), connection_pools(), orm_on_loop():
            async with WorkerThread():
                await Group.objects.acount()
            pool = connections.create_connection("default").pool
            assert isinstance(pool, Pool)
            assert not pool.closed
            return pool

    close_pool()
    assert asyncio.run(serve()).closed


async def test_stopping_waits_for_a_cancelled_statement(pool: Pool) -> None:
    task = asyncio.create_task(sleeping(SECONDS).afirst())
    await wait_until(is_sleeping)

    async with asyncio.timeout(SECONDS / 2):
        async with orm_on_loop():
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert RUNNING

    assert not RUNNING
    assert not await is_sleeping()


async def test_cancelling_a_call_that_waits_for_a_connection_frees_its_place(pool: Pool) -> None:
    slow = [asyncio.create_task(sleeping(0.5).afirst()) for _ in range(2)]
    waiting = [asyncio.create_task(Group.objects.acount()) for _ in range(4)]
    await asyncio.sleep(0.05)
    assert len(pool._waiting) >= 4

    for task in waiting[::2]:
        task.cancel()

    assert await asyncio.gather(*waiting[1::2]) == [3, 3]
    assert all(await asyncio.gather(*slow))
    assert not RUNNING


async def test_a_connection_that_the_server_has_closed_is_replaced(pool: Pool) -> None:
    await asyncio.gather(*(sleeping(0.1).afirst() for _ in range(2)))

    # It waits for their end: until then a connection looks alive, and fails its first query.
    terminated = await run_sql(f"SELECT pg_terminate_backend(pid, {SECONDS * 1000:.0f}) {OTHERS}")
    # PgBouncer may have used a single one for both.
    assert len(terminated) == 2 or (terminated and settings.DISABLE_SERVER_SIDE_CURSORS)

    assert await asyncio.gather(*(Group.objects.acount() for _ in range(10))) == [3] * 10


async def test_a_connection_that_is_lost_meanwhile_fails_its_call_alone(pool: Pool) -> None:
    terminated = Group.objects.annotate(end=RawSQL("SELECT pg_terminate_backend(pg_backend_pid())", []))

    results = await asyncio.gather(terminated.afirst(), Group.objects.acount(), return_exceptions=True)

    assert isinstance(results[0], OperationalError)
    assert results[1] == 3
    assert await Group.objects.acount() == 3


@override_settings(DATABASE_STATEMENT_TIMEOUT=0.2 - conf.STATEMENT_GRACE, DISABLE_SERVER_SIDE_CURSORS=True)
async def test_a_server_that_does_not_answer_is_left(pool: Pool) -> None:
    del pool
    connections.settings["default"]["OPTIONS"]["options"] = ""
    with pytest.raises(OperationalError, match=r"has not answered within 0\.2 s"):
        await sleeping(1).afirst()


async def test_a_long_result_gives_way_to_other_requests(pool: Pool) -> None:
    await Group.objects.abulk_create([Group(name=f"one of many, {number}") for number in range(1000)])
    with (
        override_settings(RUNTIME_ROWS_PER_TURN=100),
        mock.patch.object(LoopGreenlet, "give_way", autospec=True, side_effect=LoopGreenlet.give_way) as give_way,
    ):
        assert len(await listed(Group.objects.all())) == 1003
    assert give_way.call_count == 10


@pytest.mark.parametrize("pool", [{"connection_class": psycopg.Connection}], indirect=True)
async def test_connections_that_do_not_wait_on_the_loop_are_used_in_threads(pool: Pool) -> None:
    with count_hops() as hops:
        assert await Group.objects.acount() == 3
    assert hops
