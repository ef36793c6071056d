"""Database connections that a borrower of a thread leaves in disorder, or that break: those of the next one work."""

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
from worker_threads.calls import PATIENCE, wait_until
from worker_threads.clients import in_a_lent_thread, lending

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_thread")]

OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"

on_postgres = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only a server has backends to kill")
is_pooled = bool(connection.settings_dict.get("OPTIONS", {}).get("pool"))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Have one thread to lend, so that all have the same one."""
    with lending(1):
        yield


@pytest.fixture(params=["http", "websocket"])
def borrow(request: pytest.FixtureRequest) -> Callable[[Callable[[], object]], object]:
    """Return a function that calls another in a thread that is lent to a request, or a socket, of its own."""
    return lambda function: asyncio.run(in_a_lent_thread(function, request.param))


def create() -> None:
    """Create a product."""
    Product.objects.create(name="Chair", price=1)


def backend() -> int:
    """Return the process of the server that is behind this thread's connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def kill_all_others() -> None:
    """Have the server end every connection to this database but this thread's, and wait until it has."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_terminate_backend(pid, 5000) {OTHERS}")
        assert set(cursor.fetchall()) == {(True,)}


def others() -> int:
    """Return how many other connections to this database there are."""
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
    # Without a signal, whose receivers would refuse to work so.
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
def test_disorder(borrow: Callable[[Callable[[], object]], object], leave: Callable[[], None]) -> None:
    called: list[str] = []

    def leave_with_a_hook() -> None:
        leave()
        if connection.in_atomic_block and not connection.needs_rollback:
            transaction.on_commit(lambda: called.append("by somebody else's commit"))

    def work() -> int:
        assert connection.get_autocommit()
        assert not connection.in_atomic_block
        with transaction.atomic():
            create()
        return Product.objects.count()

    borrow(leave_with_a_hook)
    assert borrow(work) == 1
    assert Product.objects.count() == 1, "others see what was committed, and nothing else"
    assert not called


def test_a_connection_that_is_too_old_is_replaced_before_the_first_query(
    borrow: Callable[[Callable[[], object]], object],
) -> None:
    if is_pooled:
        pytest.skip("the pool sees to it")

    def which() -> object:
        connection.ensure_connection()
        return connection.connection

    first = borrow(which)
    assert borrow(which) is first
    with patch.object(base, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + 3601)):
        assert borrow(which) is not first


@on_postgres
def test_a_server_that_hung_up_between_two_requests(borrow: Callable[[Callable[[], object]], object]) -> None:
    before = borrow(backend)
    kill_all_others()
    assert borrow(backend) != before


@on_postgres
def test_a_server_that_hung_up_during_a_request(borrow: Callable[[Callable[[], object]], object]) -> None:
    def fail() -> int:
        pid = backend()
        with connection.cursor() as cursor, pytest.raises(Error):
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(5)")
        return pid

    before = borrow(fail)
    assert borrow(backend) != before


@on_postgres
def test_no_connection_outlives_its_thread() -> None:
    before = others()
    together = threading.Barrier(4)

    def query() -> int:
        pid = backend()
        together.wait(PATIENCE)
        return pid

    threads = WorkerPool(maximum=4, spare=1, linger=0.05)
    executors = [RequestExecutor(threads), RequestExecutor(threads), PerCallExecutor(threads), PerCallExecutor(threads)]
    assert len({call.result(PATIENCE) for call in [executor.submit(query) for executor in executors]}) == 4
    for executor in executors[:2]:
        executor.release()
    if not is_pooled:
        wait_until(lambda: others() == before + 1, "retired threads close their connections")
    assert threads.drain(PATIENCE)
    if is_pooled:
        pool = connection.pool
        wait_until(
            lambda: pool.get_stats()["pool_available"] == pool.get_stats()["pool_size"] - 1,
            "all are in the pool, but this thread's own",
        )
        connection.close()
        connection.close_pool()
    wait_until(lambda: others() == (0 if is_pooled else before), "drained threads close their connections")
