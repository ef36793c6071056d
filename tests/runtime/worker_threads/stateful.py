"""The worker pool in random orders of events, compared with a model of it."""

import os
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule
from runtime.threads import pool as pool_module
from runtime.threads.executors import PerCallExecutor, RequestExecutor
from runtime.threads.pool import WorkerPool
from worker_threads.calls import TIMEOUT, Call, Running, wait_until, worker_thread_count

LINGER = 0.005  # seconds
FOREVER = 60.0  # seconds
OUTCOMES = st.sampled_from([None, 1, ValueError("one"), SystemExit(1), KeyboardInterrupt()])


@dataclass(eq=False)
class Submitted:
    """A call that was submitted to an executor, its future, and its state."""

    call: Call
    future: Future[Any]
    is_done: bool = False
    resolutions: int = 0

    def __post_init__(self) -> None:
        self.future.add_done_callback(self.count)

    def count(self, future: Future[Any]) -> None:
        """Count how often the future is resolved."""
        self.resolutions += 1


@dataclass(eq=False)
class Lease:
    """The calls of an executor from its first one, for which it gets a thread, until it releases the thread."""

    calls: deque[Submitted] = field(default_factory=deque)
    is_released: bool = False

    @property
    def head(self) -> Submitted | None:
        """The call that runs or that is the next to run."""
        while self.calls and self.calls[0].is_done:
            self.calls.popleft()
        return self.calls[0] if self.calls else None


class Model:
    """The leases that hold a thread, and those that wait for one in order of arrival."""

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.leased: list[Lease] = []
        self.waiting: deque[Lease] = deque()

    def update(self) -> None:
        """Free the threads of released leases, and give them to the leases that have waited longest."""
        while True:
            self.leased = [lease for lease in self.leased if lease.head or not lease.is_released]
            if not self.waiting or len(self.leased) == self.maximum:
                return
            self.leased.append(self.waiting.popleft())

    def heads(self) -> list[Submitted]:
        """Return the calls that must run in a thread now."""
        return [lease.head for lease in self.leased if lease.head]


class WorkerPoolMachine(RuleBasedStateMachine):
    """Uses executors, predicts which calls run after each step, and waits until exactly those run."""

    executors = Bundle("executors")

    # With FOREVER no idle thread times out, so a call hangs if the pool forgets to wake one.
    @initialize(maximum=st.integers(1, 3), spare=st.integers(0, 2), linger=st.sampled_from([LINGER, FOREVER]))
    def open(self, maximum: int, spare: int, linger: float) -> None:
        self.pool = WorkerPool(maximum, spare, linger)
        self.model = Model(maximum)
        self.running = Running()
        self.submitted: list[Submitted] = []
        self.current: dict[RequestExecutor, Lease] = {}
        self.in_thread: dict[Lease, int | None] = {}

    @rule(target=executors)
    def start_executor(self) -> RequestExecutor:
        return RequestExecutor(self.pool)

    @rule(executor=executors, outcome=OUTCOMES)
    def call(self, executor: RequestExecutor, outcome: object) -> None:
        if executor not in self.current:
            self.current[executor] = Lease()
            self.model.waiting.append(self.current[executor])
        self.current[executor].calls.append(self.submit(executor, outcome))
        self.settle("a call")

    @rule(outcome=OUTCOMES)
    def call_once(self, outcome: object) -> None:
        self.model.waiting.append(Lease(deque([self.submit(PerCallExecutor(self.pool), outcome)]), is_released=True))
        self.settle("a call of a socket")

    @precondition(lambda self: self.model.heads())
    @rule(data=st.data())
    def end_a_call(self, data: st.DataObject) -> None:
        self.end(data.draw(st.sampled_from(self.model.heads())))
        self.settle("the end of a call")

    @precondition(lambda self: any(not submitted.is_done for submitted in self.submitted))
    @rule(data=st.data())
    def cancel_a_call(self, data: st.DataObject) -> None:
        submitted = data.draw(st.sampled_from([submitted for submitted in self.submitted if not submitted.is_done]))
        submitted.is_done = submitted not in self.model.heads()
        assert submitted.future.cancel() is submitted.is_done, "only a call that has not begun can be cancelled"
        self.settle("a cancelled call")

    @rule(executor=executors)
    def release(self, executor: RequestExecutor) -> None:
        # Releasing twice, or before the first call, does nothing.
        if lease := self.current.pop(executor, None):
            lease.is_released = True
        executor.release()
        self.settle("a release")

    @precondition(lambda self: self.pool.linger == LINGER)
    @rule()
    def let_time_pass(self) -> None:
        needed = len(self.model.leased) + self.pool.spare
        wait_until(lambda: worker_thread_count() <= needed, "idle threads retire")

    @precondition(lambda self: self.pool.linger == LINGER and not self.model.leased)
    @rule()
    def submit_as_threads_retire(self) -> None:
        retiring, may_retire = threading.Semaphore(0), threading.Event()

        def retire() -> None:
            retiring.release()
            may_retire.wait()

        with patch.object(pool_module, "close_connections", retire):
            try:
                self.submit_a_call_for_each_thread()
                self.settle("a call for each thread")
                self.end_everything()
                for _ in range(self.pool.maximum - self.pool.spare):
                    assert retiring.acquire(timeout=TIMEOUT), "idle threads retire"
                self.submit_a_call_for_each_thread()
            finally:
                may_retire.set()
            self.settle("calls that were submitted as threads retired")

    @precondition(lambda self: self.model.leased)
    @rule()
    def drain_times_out(self) -> None:
        assert not self.pool.drain(LINGER), "calls run, or may still be submitted, in leased threads"
        self.settle("a drain that timed out")

    @rule()
    def drain_while_calls_end(self) -> None:
        drained: list[bool] = []
        draining = threading.Thread(target=lambda: drained.append(self.pool.drain(TIMEOUT)))
        draining.start()
        self.end_everything()
        draining.join()
        assert drained == [True], "all calls have ended"
        wait_until(lambda: worker_thread_count() == 0, "drained threads end")

    @invariant()
    def has_at_most_maximum_threads(self) -> None:
        assert len(self.pool.workers) <= self.pool.maximum, "more threads than the maximum"

    def teardown(self) -> None:
        if hasattr(self, "pool"):
            try:
                self.drain_while_calls_end()
                assert all(submitted.future.done() and submitted.resolutions == 1 for submitted in self.submitted)
            finally:
                for submitted in self.submitted:
                    submitted.call.may_end.set()

    def submit_a_call_for_each_thread(self) -> None:
        """Submit as many calls as the pool may have threads."""
        for _ in range(self.pool.maximum):
            self.model.waiting.append(Lease(deque([self.submit(PerCallExecutor(self.pool), None)]), is_released=True))

    def submit(self, executor: RequestExecutor | PerCallExecutor, outcome: object) -> Submitted:
        """Submit a call to an executor."""
        call = Call(self.running, outcome)
        submitted = Submitted(call, executor.submit(call))
        self.submitted.append(submitted)
        return submitted

    def settle(self, step: str) -> None:
        """Wait until exactly the calls of the model run, and check the thread of each."""
        self.model.update()
        self.running.wait_for({submitted.call for submitted in self.model.heads()}, f"after {step}")
        for lease in self.model.leased:
            if lease.head:
                thread = self.in_thread.setdefault(lease, lease.head.call.thread)
                assert lease.head.call.thread == thread, "an executor uses one thread"
        threads = [submitted.call.thread for submitted in self.model.heads()]
        assert len(threads) == len(set(threads)), "a thread serves one executor at a time"

    def end(self, submitted: Submitted) -> None:
        """Let a running call return or raise, and check the result of its future."""
        submitted.is_done = True
        submitted.call.may_end.set()
        if isinstance(submitted.call.outcome, BaseException):
            assert submitted.future.exception(TIMEOUT) is submitted.call.outcome
        else:
            assert submitted.future.result(TIMEOUT) is submitted.call.outcome
        # A future wakes its waiters before it calls its callbacks.
        wait_until(lambda: submitted.resolutions == 1, "a future is resolved once")

    def end_everything(self) -> None:
        """Release every executor, and let every call end in the order in which they run."""
        for executor in list(self.current):
            self.release(executor)
        while heads := self.model.heads():
            for submitted in heads:
                self.end(submitted)
            self.settle("the end of a call")


TestWorkerPool = WorkerPoolMachine.TestCase
TestWorkerPool.settings = settings(
    max_examples=60 * int(os.environ.get("EFFORT", "1")),
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    # A failure may be a timeout. Shrinking the example would wait for that timeout many times.
    phases=[Phase.generate],
)
