"""Rare failures of threads and processes that a service must survive."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for_all
from unittest.mock import patch

import pytest
from runtime.threads.executors import PerCallExecutor, RequestExecutor
from runtime.threads.middleware import WorkerThread
from runtime.threads.pool import WorkerPool, get_worker_pool
from worker_threads.calls import TIMEOUT, wait_until
from worker_threads.clients import in_worker_thread, worker_pool

KINDS = pytest.mark.parametrize("kind", [RequestExecutor, PerCallExecutor])


def test_call_is_executed_while_threads_start_and_retire_all_the_time() -> None:
    pool = WorkerPool(maximum=2, spare=0, linger=0)
    with ThreadPoolExecutor(4) as clients:

        def make_calls() -> None:
            for _ in range(100):
                executor = RequestExecutor(pool)
                calls: list[Future[int]] = [executor.submit(int) for _ in range(2)]
                executor.release()
                calls.append(PerCallExecutor(pool).submit(int))
                assert not wait_for_all(calls, TIMEOUT).not_done

        for future in [clients.submit(make_calls) for _ in range(4)]:
            future.result()
    assert pool.drain(TIMEOUT)


@KINDS
def test_call_without_any_thread_fails_and_the_next_call_succeeds(
    kind: type[RequestExecutor] | type[PerCallExecutor],
) -> None:
    pool = WorkerPool(maximum=1)
    executor = kind(pool)
    with (
        patch.object(threading.Thread, "start", side_effect=RuntimeError("can't start new thread")),
        pytest.raises(RuntimeError),
    ):
        executor.submit(int)

    assert executor.submit(int).result(TIMEOUT) == 0


def test_call_waits_for_a_running_thread_when_no_other_can_start() -> None:
    pool = WorkerPool(maximum=2)
    holder = RequestExecutor(pool)
    holder.submit(int).result(TIMEOUT)
    with patch.object(threading.Thread, "start", side_effect=RuntimeError("can't start new thread")):
        call = PerCallExecutor(pool).submit(int)
    holder.release()

    assert call.result(TIMEOUT) == 0
    assert pool.drain(TIMEOUT)


def test_light_load_keeps_only_the_threads_that_it_needs() -> None:
    pool = WorkerPool(maximum=8, spare=1, linger=0.2)
    together = threading.Barrier(8)
    for call in [PerCallExecutor(pool).submit(together.wait, TIMEOUT) for _ in range(8)]:
        call.result(TIMEOUT)

    # If the pool used its threads in turns, none of the eight would ever be idle for long enough to retire.
    for _ in range(50):
        PerCallExecutor(pool).submit(int).result(TIMEOUT)
        time.sleep(0.01)

    assert len(pool.workers) <= 2


def test_spare_thread_never_retires() -> None:
    pool = WorkerPool(maximum=3, spare=1, linger=0.02)
    together = threading.Barrier(3)
    for call in [PerCallExecutor(pool).submit(together.wait, TIMEOUT) for _ in range(3)]:
        call.result(TIMEOUT)

    wait_until(lambda: len(pool.workers) == 1, "the others retire")
    time.sleep(0.1)
    assert len(pool.workers) == 1
    assert pool.drain(TIMEOUT)


def test_two_callers_may_drain_the_pool_at_the_same_time() -> None:
    pool = WorkerPool(maximum=1)
    executor = RequestExecutor(pool)
    executor.submit(int).result(TIMEOUT)
    with ThreadPoolExecutor(1) as elsewhere:
        draining = elsewhere.submit(pool.drain, TIMEOUT)
        assert not pool.drain(0.01)
        executor.release()

        assert draining.result()


@KINDS
@pytest.mark.parametrize("fails", [False, True])
def test_local_variable_of_a_call_is_freed_with_its_future(
    kind: type[RequestExecutor] | type[PerCallExecutor], fails: bool
) -> None:
    class Held:
        pass

    held: list[weakref.ref[Held]] = []

    def call() -> None:
        local = Held()
        held.append(weakref.ref(local))
        if fails:
            raise ValueError

    pool = WorkerPool(maximum=1)
    executor = kind(pool)
    gc.disable()
    try:
        future = executor.submit(call)
        wait_for_all([future], TIMEOUT)
        del future
        wait_until(lambda: held[0]() is None, "only the garbage collector frees it")
    finally:
        gc.enable()


def test_executor_may_be_released_by_one_thread_while_another_submits() -> None:
    pool = WorkerPool(maximum=3)
    executor = RequestExecutor(pool)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(1) as elsewhere:
            releasing = elsewhere.submit(lambda: [executor.release() for _ in range(10_000)])
            calls: list[Future[int]] = []
            while not releasing.done():
                calls.append(executor.submit(int))
            releasing.result()
    finally:
        sys.setswitchinterval(interval)

    assert not wait_for_all(calls, TIMEOUT).not_done
    executor.release()
    assert pool.drain(TIMEOUT)


async def test_worker_thread_can_end_in_another_context() -> None:
    with worker_pool(1) as pool:
        worker = WorkerThread()

        async def begin() -> None:
            await worker.__aenter__()
            assert await in_worker(int) == 0

        async def in_worker(function: type[int]) -> int:
            return await asyncio.wrap_future(worker.executor.submit(function))

        await asyncio.create_task(begin())
        # asgiref cannot reset a context variable in another context.
        with pytest.raises(ValueError, match="different Context"):
            await asyncio.create_task(worker.__aexit__(None, None, None))

        assert pool.drain(TIMEOUT)


def test_several_event_loops_share_one_pool() -> None:
    with worker_pool(2) as pool, ThreadPoolExecutor(4) as loops:

        def run_a_loop() -> None:
            for _ in range(10):
                assert asyncio.run(in_worker_thread(int)) == 0

        for running in [loops.submit(run_a_loop) for _ in range(4)]:
            running.result()
        assert len(pool.workers) <= 2


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_forked_process_starts_its_own_threads() -> None:
    with worker_pool(1) as pool:
        assert PerCallExecutor(pool).submit(int).result(TIMEOUT) == 0
        child = os.fork()
        if not child:
            try:
                os._exit(PerCallExecutor(get_worker_pool()).submit(int).result(min(TIMEOUT, 2)))
            except BaseException:
                os._exit(1)
        _, status = os.waitpid(child, 0)

        assert os.waitstatus_to_exitcode(status) == 0
        assert PerCallExecutor(pool).submit(int).result(TIMEOUT) == 0


def test_interpreter_with_busy_threads_exits_at_once_and_silently() -> None:
    script = """
import time
import django
django.setup()
from django.db import connection
from runtime.threads.executors import PerCallExecutor, RequestExecutor
from runtime.threads.pool import WorkerPool, get_worker_pool

def query():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")

pool = WorkerPool(maximum=4, linger=0.01)
kept = RequestExecutor(pool)
kept.submit(query).result()
PerCallExecutor(pool).submit(query).result()
PerCallExecutor(pool).submit(time.sleep, 60)
released_too_late = RequestExecutor(pool)
released_too_late.submit(time.sleep, 60)
released_too_late.release()
"""
    started = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"},
    )

    assert (result.returncode, result.stderr) == (0, "")
    assert time.monotonic() - started < 30
