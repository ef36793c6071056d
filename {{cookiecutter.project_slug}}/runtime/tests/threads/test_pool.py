"""Lent threads: who has one, for how long, and in what state the next one finds it."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction
from django.test import TestCase, override_settings

from accounts.models import User
from runtime.asgi import Application, Receive, Scope, Send
from runtime.conf import conf
from runtime.tests.service import application
from runtime.threads import pool as threads
from runtime.threads.connections import ConnectionResettingExecutor
from runtime.threads.executors import RequestExecutor
from runtime.threads.middleware import WorkerThread, WorkerThreadMiddleware, release_thread
from runtime.threads.pool import WorkerPool, get_worker_pool

SECONDS = 5.0
KINDS = [
    "http",
    "websocket",
]

this_thread = sync_to_async(threading.get_ident)


@pytest.fixture
def one_thread() -> Iterator[WorkerPool]:
    """A process that has one thread to lend."""
    get_worker_pool.cache_clear()
    with override_settings(MAX_THREADS=1):
        yield get_worker_pool()
    assert get_worker_pool().drain(SECONDS)
    get_worker_pool.cache_clear()


async def request(application: Application, kind: str = "http") -> None:
    """Have an application answer one request of a kind, in lent threads."""

    async def receive() -> dict[str, object]:
        return {"type": f"{kind}.disconnect"}

    async def send(message: object) -> None:
        pass

    await WorkerThreadMiddleware(application)({"type": kind}, receive, send)


@pytest.mark.django_db(transaction=True)
def test_a_connection_does_not_outlive_what_opened_it_in_a_thread_of_the_loop() -> None:
    def opened() -> bool:
        connection.ensure_connection()
        return connection.connection is not None

    with ConnectionResettingExecutor(max_workers=1) as executor:
        assert executor.submit(opened).result()
        assert executor.submit(lambda: connection.connection).result() is None


async def test_a_request_keeps_one_thread_and_the_next_one_gets_the_same() -> None:
    seen = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append([await this_thread() for _ in range(3)])

    await request(application)
    await asyncio.sleep(0.01)
    await request(application)

    assert len(set(seen[0] + seen[1])) == 1
    assert threading.get_ident() not in seen[0]


async def test_a_request_that_does_not_block_has_no_thread(one_thread: WorkerPool) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)

    await request(application)

    assert not one_thread.workers


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_a_request_that_fails_gives_its_thread_back(one_thread: WorkerPool, error: type[BaseException]) -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await this_thread()
        raise error

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await this_thread()

    with pytest.raises(error):
        await request(failing)
    async with asyncio.timeout(SECONDS):
        await request(application)


async def test_a_request_that_is_cancelled_gives_its_thread_back_when_the_call_returns(one_thread: WorkerPool) -> None:
    started, release = threading.Event(), threading.Event()

    def call() -> None:
        started.set()
        release.wait(SECONDS)

    async def blocked(scope: Scope, receive: Receive, send: Send) -> None:
        await sync_to_async(call)()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await this_thread()

    task = asyncio.create_task(request(blocked))
    await asyncio.to_thread(started.wait, SECONDS)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    waiting = asyncio.create_task(request(application))
    await asyncio.sleep(0.05)
    assert not waiting.done()

    release.set()
    async with asyncio.timeout(SECONDS):
        await waiting


async def test_a_thread_that_was_given_back_early_is_for_others(one_thread: WorkerPool) -> None:
    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await this_thread()
        release_thread()
        async with asyncio.timeout(SECONDS):
            await asyncio.create_task(other())
        await this_thread()

    async def other() -> None:
        async with WorkerThread():
            await this_thread()

    await request(waiting)


async def test_a_socket_makes_several_calls_at_once() -> None:
    together = threading.Barrier(3)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.gather(*(sync_to_async(together.wait)(SECONDS) for _ in range(3)))

    await request(application, "websocket")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_task_that_outlives_its_request_borrows_for_each_call(one_thread: WorkerPool, kind: str) -> None:
    tasks: list[asyncio.Task[None]] = []
    ended = asyncio.Event()

    async def late() -> None:
        await ended.wait()
        # With one thread, the second call would wait for ever if the first one kept it.
        async with asyncio.timeout(SECONDS):
            await this_thread()
            await request(other)
            await this_thread()

    async def other(scope: Scope, receive: Receive, send: Send) -> None:
        await this_thread()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        tasks.append(asyncio.create_task(late()))

    await request(application, kind)
    ended.set()
    await tasks[0]


def run(executor: RequestExecutor, function: Callable[[], object]) -> object:
    """Return what a function returns in a lent thread."""
    return executor.submit(function).result(SECONDS)


def test_calls_wait_their_turn_when_every_thread_is_taken() -> None:
    pool = WorkerPool(maximum=2)
    holders = [RequestExecutor(pool) for _ in range(2)]
    for holder in holders:
        run(holder, threading.get_ident)
    order: list[int] = []
    executors = [RequestExecutor(pool) for _ in range(4)]
    calls: list[Future[None]] = [executor.submit(order.append, number) for number, executor in enumerate(executors)]
    assert not order

    for executor in [holders[0], *executors]:
        executor.release()
    for call in calls:
        call.result(SECONDS)

    assert order == [0, 1, 2, 3]
    assert len(pool.workers) == 2
    holders[1].release()
    assert pool.drain(SECONDS)


def test_a_call_that_is_cancelled_while_it_waits_is_never_made() -> None:
    pool = WorkerPool(maximum=1)
    holder, executor = RequestExecutor(pool), RequestExecutor(pool)
    run(holder, threading.get_ident)
    made: list[int] = []
    call = executor.submit(made.append, 1)

    assert call.cancel()
    for each in (executor, holder):
        each.release()
    assert pool.drain(SECONDS)

    assert not made


def test_idle_threads_end_but_for_some() -> None:
    pool = WorkerPool(maximum=8, spare=1, linger=0.2)
    executors = [RequestExecutor(pool) for _ in range(8)]
    assert len({run(executor, threading.get_ident) for executor in executors}) == 8
    for executor in executors:
        executor.release()

    started = time.monotonic()
    with pool.changed:
        assert pool.changed.wait_for(lambda: len(pool.workers) == 1, SECONDS)
    # At the same time, not one after the other.
    assert time.monotonic() - started < 5 * pool.linger
    assert pool.drain(SECONDS)


def test_draining_waits_for_calls_within_reason() -> None:
    pool = WorkerPool(maximum=1)
    release = threading.Event()
    executor = RequestExecutor(pool)
    call = executor.submit(release.wait, SECONDS)
    executor.release()

    assert not pool.drain(0.01)
    release.set()
    assert pool.drain(SECONDS)
    assert call.done()


def test_there_must_be_a_thread() -> None:
    with pytest.raises(ValueError, match="1 thread or more, not 0"):
        WorkerPool(maximum=0)


async def test_says_so_when_a_call_does_not_return(
    one_thread: WorkerPool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conf, "DRAIN_TIMEOUT", 0.01)
    release = threading.Event()
    executor = RequestExecutor(one_thread)
    executor.submit(release.wait, SECONDS)
    executor.release()

    async with threads.worker_pools():
        pass

    assert "has not returned within 0.01 s" in caplog.text
    release.set()


def begin() -> None:
    """Begin a transaction, write in it, and forget it."""
    transaction.atomic().__enter__()
    User.objects.create(username="half")


def without_autocommit() -> None:
    """Leave a connection in another state than it was in."""
    transaction.set_autocommit(False)
    User.objects.create(username="half")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("leave", [begin, without_autocommit])
def test_the_next_borrower_finds_nothing_of_the_last(one_thread: WorkerPool, leave: Callable[[], None]) -> None:
    first, second = RequestExecutor(one_thread), RequestExecutor(one_thread)
    run(first, leave)
    first.release()

    try:
        assert run(second, lambda: connection.connection is None or connection.get_autocommit())
        assert not run(second, lambda: connection.in_atomic_block)
        assert run(second, User.objects.count) == 0
    finally:
        second.release()


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_cannot_be_closed_is_dropped(
    one_thread: WorkerPool, caplog: pytest.LogCaptureFixture
) -> None:
    def spoil() -> None:
        connection.ensure_connection()
        connection.close_if_unusable_or_obsolete = fail  # type: ignore[method-assign]
        dropped.append(connection.connection)

    def fail() -> None:
        raise OSError("broken")

    dropped: list[Any] = []
    first, second = RequestExecutor(one_thread), RequestExecutor(one_thread)
    run(first, spoil)
    first.release()

    assert run(second, User.objects.count) == 0
    assert "Could not close a connection to the database default" in caplog.text
    second.release()
    dropped[0].close()


class TestCaseTests(TestCase):
    async def test_the_test_and_the_application_share_a_transaction(self) -> None:
        await User.objects.acreate(username="made in the test")
        transport = httpx.ASGITransport(application)  # type: ignore[arg-type]

        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            response = await client.post("/admin/login/", data={"username": "x", "password": "y"})

        assert response.status_code == 403  # no CSRF token
        assert await User.objects.acount() == 1
