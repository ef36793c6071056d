"""The worker pool: the order of work, idle threads, and draining."""

import threading
import time
from concurrent.futures import Future

import pytest

from runtime.conf import conf
from runtime.tests.threads.calls import SECONDS, run
from runtime.threads import pool as threads
from runtime.threads.executors import RequestExecutor
from runtime.threads.pool import WorkerPool


def test_calls_wait_in_order_when_every_thread_is_busy() -> None:
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


def test_idle_threads_end_except_for_the_spare_ones() -> None:
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


def test_drain_waits_for_calls_until_its_timeout() -> None:
    pool = WorkerPool(maximum=1)
    release = threading.Event()
    executor = RequestExecutor(pool)
    call = executor.submit(release.wait, SECONDS)
    executor.release()

    assert not pool.drain(0.01)
    release.set()
    assert pool.drain(SECONDS)
    assert call.done()


def test_a_pool_without_threads_is_refused() -> None:
    with pytest.raises(ValueError, match="1 thread or more, not 0"):
        WorkerPool(maximum=0)


async def test_a_call_that_does_not_return_is_logged_when_the_server_stops(
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
