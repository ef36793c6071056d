"""A request gets a working database connection, even if the last request in its thread broke or misused it."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from catalog.models import Product
from django.db import Error, connection, transaction
from django.db.backends.base import base
from runtime.threads.executors import PerCallExecutor, RequestExecutor
from runtime.threads.pool import WorkerPool
from worker_threads.calls import TIMEOUT, wait_until
from worker_threads.clients import in_worker_thread, worker_pool

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_thread")]

OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"

on_postgres = pytest.mark.skipif(
    "connection.vendor != 'postgresql'", reason="only a database server has backends to terminate"
)
is_pooled = bool(connection.settings_dict.get("OPTIONS", {}).get("pool"))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Limit the pool to one thread, so that every request uses the same one."""
    with worker_pool(1):
        yield


@pytest.fixture(params=["http", "websocket"])
def call_in_worker(request: pytest.FixtureRequest) -> Callable[[Callable[[], object]], object]:
    """Return a function that calls another one in the worker thread of a new request or WebSocket."""
    return lambda function: asyncio.run(in_worker_thread(function, request.param))


def create() -> None:
    """Create a product."""
    Product.objects.create(name="Chair", price=1)


def backend() -> int:
    """Return the PID of the PostgreSQL backend of this thread's connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def terminate_other_connections() -> None:
    """Terminate every other connection to this database, and wait until PostgreSQL has done so."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_terminate_backend(pid, 5000) {OTHERS}")
        assert set(cursor.fetchall()) == {(True,)}


def others() -> int:
    """Return the number of other connections to this database."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) {OTHERS}")
        return int(cursor.fetchone()[0])


def leave_an_atomic_block_open() -> None:
    transaction.atomic().__enter__()
    create()


def leave_a_failed_atomic_block_open() -> None:
    transaction.atomic().__enter__()
    create()
    transaction.set_rollback(True)


def leave_a_connection_closed_in_an_atomic_block() -> None:
    transaction.atomic().__enter__()
    create()
    connection.close()


def leave_autocommit_off() -> None:
    transaction.set_autocommit(False)
    # `bulk_create` sends no signals, so the receivers that require autocommit do not run.
    Product.objects.bulk_create([Product(name="Chair", price=1)])


def leave_a_broken_connection() -> None:
    transaction.atomic().__enter__()
    create()
    connection.connection.close()
    with pytest.raises(Error):
        create()


@pytest.mark.parametrize(
    "leave",
    [
        leave_an_atomic_block_open,
        leave_a_failed_atomic_block_open,
        leave_a_connection_closed_in_an_atomic_block,
        leave_autocommit_off,
        leave_a_broken_connection,
    ],
)
def test_connection_left_in_disorder_is_clean_for_the_next_request(
    call_in_worker: Callable[[Callable[[], object]], object], leave: Callable[[], None]
) -> None:
    called: list[str] = []

    def leave_with_a_hook() -> None:
        leave()
        if connection.in_atomic_block and not connection.needs_rollback:
            transaction.on_commit(lambda: called.append("by the commit of another request"))

    def work() -> int:
        assert connection.get_autocommit()
        assert not connection.in_atomic_block
        with transaction.atomic():
            create()
        return Product.objects.count()

    call_in_worker(leave_with_a_hook)
    assert call_in_worker(work) == 1
    assert Product.objects.count() == 1, "other connections see only committed rows"
    assert not called


def test_connection_that_is_too_old_is_replaced_before_the_first_query(
    call_in_worker: Callable[[Callable[[], object]], object],
) -> None:
    if is_pooled:
        pytest.skip("the pool replaces old connections")

    def raw_connection() -> object:
        connection.ensure_connection()
        return connection.connection

    first = call_in_worker(raw_connection)
    assert call_in_worker(raw_connection) is first
    with patch.object(base, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + 3601)):
        assert call_in_worker(raw_connection) is not first


@on_postgres
def test_connection_that_broke_between_two_requests_is_replaced(
    call_in_worker: Callable[[Callable[[], object]], object],
) -> None:
    before = call_in_worker(backend)
    terminate_other_connections()
    assert call_in_worker(backend) != before


@on_postgres
def test_connection_that_broke_during_a_request_is_replaced(
    call_in_worker: Callable[[Callable[[], object]], object],
) -> None:
    def fail() -> int:
        pid = backend()
        with connection.cursor() as cursor, pytest.raises(Error):
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(5)")
        return pid

    before = call_in_worker(fail)
    assert call_in_worker(backend) != before


@on_postgres
def test_thread_that_ends_closes_its_connection() -> None:
    before = others()
    together = threading.Barrier(4)

    def query() -> int:
        pid = backend()
        together.wait(TIMEOUT)
        return pid

    workers = WorkerPool(maximum=4, spare=1, linger=0.05)
    executors = [RequestExecutor(workers), RequestExecutor(workers), PerCallExecutor(workers), PerCallExecutor(workers)]
    assert len({call.result(TIMEOUT) for call in [executor.submit(query) for executor in executors]}) == 4
    for executor in executors[:2]:
        executor.release()
    if not is_pooled:
        wait_until(lambda: others() == before + 1, "retired threads close their connections")
    assert workers.drain(TIMEOUT)
    if is_pooled:
        pool = connection.pool
        wait_until(
            lambda: pool.get_stats()["pool_available"] == pool.get_stats()["pool_size"] - 1,
            "all connections are in the pool, except for this thread's own",
        )
        connection.close()
        connection.close_pool()
    wait_until(lambda: others() == (0 if is_pooled else before), "drained threads close their connections")
