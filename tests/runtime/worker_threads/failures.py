"""What happens to threads and processes seldom, and must not be the end of a service."""

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
from worker_threads.calls import PATIENCE, wait_until
from worker_threads.clients import in_a_lent_thread, lending

KINDS = pytest.mark.parametrize("kind", [RequestExecutor, PerCallExecutor])


def test_no_work_is_forgotten_when_threads_come_and_go_all_the_time() -> None:
    threads = WorkerPool(maximum=2, spare=0, linger=0)
    with ThreadPoolExecutor(4) as borrowers:

        def borrow() -> None:
            for _ in range(100):
                executor = RequestExecutor(threads)
                calls: list[Future[int]] = [executor.submit(int) for _ in range(2)]
                executor.release()
                calls.append(PerCallExecutor(threads).submit(int))
                assert not wait_for_all(calls, PATIENCE).not_done

        for borrowing in [borrowers.submit(borrow) for _ in range(4)]:
            borrowing.result()
    assert threads.drain(PATIENCE)


@KINDS
def test_when_the_system_has_no_thread_to_give_a_call_fails_and_the_next_one_may_not(
    kind: type[RequestExecutor] | type[PerCallExecutor],
) -> None:
    threads = WorkerPool(maximum=1)
    executor = kind(threads)
    with (
        patch.object(threading.Thread, "start", side_effect=RuntimeError("can't start new thread")),
        pytest.raises(RuntimeError),
    ):
        executor.submit(int)

    assert executor.submit(int).result(PATIENCE) == 0


def test_when_the_system_has_no_other_thread_to_give_a_call_waits_for_those_there_are() -> None:
    threads = WorkerPool(maximum=2)
    holder = RequestExecutor(threads)
    holder.submit(int).result(PATIENCE)
    with patch.object(threading.Thread, "start", side_effect=RuntimeError("can't start new thread")):
        call = PerCallExecutor(threads).submit(int)
    holder.release()

    assert call.result(PATIENCE) == 0
    assert threads.drain(PATIENCE)


def test_a_light_load_keeps_no_more_threads_than_it_needs() -> None:
    threads = WorkerPool(maximum=8, spare=1, linger=0.2)
    together = threading.Barrier(8)
    for call in [PerCallExecutor(threads).submit(together.wait, PATIENCE) for _ in range(8)]:
        call.result(PATIENCE)

    # Were they used in turns, none of the eight would ever be idle for long enough.
    for _ in range(50):
        PerCallExecutor(threads).submit(int).result(PATIENCE)
        time.sleep(0.01)

    assert len(threads.workers) <= 2


def test_a_spare_thread_stays_however_long_it_is_idle() -> None:
    threads = WorkerPool(maximum=3, spare=1, linger=0.02)
    together = threading.Barrier(3)
    for call in [PerCallExecutor(threads).submit(together.wait, PATIENCE) for _ in range(3)]:
        call.result(PATIENCE)

    wait_until(lambda: len(threads.workers) == 1, "the others retire")
    time.sleep(0.1)
    assert len(threads.workers) == 1
    assert threads.drain(PATIENCE)


def test_several_can_wait_for_all_threads_to_end() -> None:
    threads = WorkerPool(maximum=1)
    executor = RequestExecutor(threads)
    executor.submit(int).result(PATIENCE)
    with ThreadPoolExecutor(1) as elsewhere:
        patient = elsewhere.submit(threads.drain, PATIENCE)
        assert not threads.drain(0.01)
        executor.release()

        assert patient.result()


@KINDS
@pytest.mark.parametrize("fails", [False, True])
def test_what_a_call_held_is_free_when_its_future_is(
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

    threads = WorkerPool(maximum=1)
    executor = kind(threads)
    gc.disable()
    try:
        future = executor.submit(call)
        wait_for_all([future], PATIENCE)
        del future
        wait_until(lambda: held[0]() is None, "only the garbage collector frees it")
    finally:
        gc.enable()


def test_a_thread_can_be_given_back_by_itself_while_calls_come() -> None:
    threads = WorkerPool(maximum=3)
    executor = RequestExecutor(threads)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(1) as elsewhere:
            giving_back = elsewhere.submit(lambda: [executor.release() for _ in range(10_000)])
            calls: list[Future[int]] = []
            while not giving_back.done():
                calls.append(executor.submit(int))
            giving_back.result()
    finally:
        sys.setswitchinterval(interval)

    assert not wait_for_all(calls, PATIENCE).not_done
    executor.release()
    assert threads.drain(PATIENCE)


async def test_a_loan_can_end_in_another_context_than_it_began_in() -> None:
    with lending(1) as threads:
        lent = WorkerThread()

        async def begin() -> None:
            await lent.__aenter__()
            assert await in_the_loan(int) == 0

        async def in_the_loan(function: type[int]) -> int:
            return await asyncio.wrap_future(lent.executor.submit(function))

        await asyncio.create_task(begin())
        # asgiref cannot restore a context that it is not in.
        with pytest.raises(ValueError, match="different Context"):
            await asyncio.create_task(lent.__aexit__(None, None, None))

        assert threads.drain(PATIENCE)


def test_many_event_loops_share_the_threads() -> None:
    with lending(2) as threads, ThreadPoolExecutor(4) as loops:

        def run_a_loop() -> None:
            for _ in range(10):
                assert asyncio.run(in_a_lent_thread(int)) == 0

        for running in [loops.submit(run_a_loop) for _ in range(4)]:
            running.result()
        assert len(threads.workers) <= 2


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    with lending(1) as threads:
        assert PerCallExecutor(threads).submit(int).result(PATIENCE) == 0
        child = os.fork()
        if not child:
            try:
                os._exit(PerCallExecutor(get_worker_pool()).submit(int).result(min(PATIENCE, 2)))
            except BaseException:
                os._exit(1)
        _, status = os.waitpid(child, 0)

        assert os.waitstatus_to_exitcode(status) == 0
        assert PerCallExecutor(threads).submit(int).result(PATIENCE) == 0


def test_an_interpreter_exits_at_once_and_silently_whatever_its_threads_do() -> None:
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

threads = WorkerPool(maximum=4, linger=0.01)
kept = RequestExecutor(threads)
kept.submit(query).result()
PerCallExecutor(threads).submit(query).result()
PerCallExecutor(threads).submit(time.sleep, 60)
given_back_too_late = RequestExecutor(threads)
given_back_too_late.submit(time.sleep, 60)
given_back_too_late.release()
"""
    begun = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"},
    )

    assert (result.returncode, result.stderr) == (0, "")
    assert time.monotonic() - begun < 30
