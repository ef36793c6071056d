"""Executors: calls that are cancelled before a thread makes them."""

import threading

from runtime.tests.threads.calls import SECONDS, run
from runtime.threads.executors import RequestExecutor
from runtime.threads.pool import WorkerPool


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
