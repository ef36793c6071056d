"""Loans of threads, in orders of events that nobody would think of, beside a model of what must hold."""

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
from runtime.threads import pool as runtime_threads
from runtime.threads.executors import PerCallExecutor, RequestExecutor
from runtime.threads.pool import WorkerPool
from worker_threads.calls import PATIENCE, Call, Running, lent_threads, wait_until

LINGER = 0.005
FOREVER = 60.0
OUTCOMES = st.sampled_from([None, 1, ValueError("one"), SystemExit(1), KeyboardInterrupt()])


@dataclass(eq=False)
class Made:
    """A call that was asked for, its future, and what has become of it."""

    call: Call
    future: Future[Any]
    is_over: bool = False
    resolutions: int = 0

    def __post_init__(self) -> None:
        self.future.add_done_callback(self.count)

    def count(self, future: Future[Any]) -> None:
        """Note that the future is resolved."""
        self.resolutions += 1


@dataclass(eq=False)
class Period:
    """What happens in one thread, from the call that it is lent for until it is given back."""

    calls: deque[Made] = field(default_factory=deque)
    is_given_back: bool = False

    @property
    def head(self) -> Made | None:
        """The call that is the next to be made, or that is being made."""
        while self.calls and self.calls[0].is_over:
            self.calls.popleft()
        return self.calls[0] if self.calls else None


class Model:
    """Who has a thread, and who waits for one."""

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.lent: list[Period] = []
        self.waiting: deque[Period] = deque()

    def update(self) -> None:
        """Take back the threads that are given back, and lend them to those who have waited longest."""
        while True:
            self.lent = [period for period in self.lent if period.head or not period.is_given_back]
            if not self.waiting or len(self.lent) == self.maximum:
                return
            self.lent.append(self.waiting.popleft())

    def heads(self) -> list[Made]:
        """Return the calls that must be in a thread now."""
        return [period.head for period in self.lent if period.head]


class LendingMachine(RuleBasedStateMachine):
    """Does something with executors, predicts which calls run after it, and waits for exactly those."""

    executors = Bundle("executors")

    # Threads that never retire are those that nobody can forget to wake up, for they do not wake up by themselves.
    @initialize(maximum=st.integers(1, 3), spare=st.integers(0, 2), linger=st.sampled_from([LINGER, FOREVER]))
    def open(self, maximum: int, spare: int, linger: float) -> None:
        self.threads = WorkerPool(maximum, spare, linger)
        self.model = Model(maximum)
        self.running = Running()
        self.made: list[Made] = []
        self.current: dict[RequestExecutor, Period] = {}
        self.in_thread: dict[Period, int | None] = {}

    @rule(target=executors)
    def start_executor(self) -> RequestExecutor:
        return RequestExecutor(self.threads)

    @rule(executor=executors, outcome=OUTCOMES)
    def call(self, executor: RequestExecutor, outcome: object) -> None:
        if executor not in self.current:
            self.current[executor] = Period()
            self.model.waiting.append(self.current[executor])
        self.current[executor].calls.append(self.submit(executor, outcome))
        self.settle("a call")

    @rule(outcome=OUTCOMES)
    def call_once(self, outcome: object) -> None:
        self.model.waiting.append(
            Period(deque([self.submit(PerCallExecutor(self.threads), outcome)]), is_given_back=True)
        )
        self.settle("a call of a socket")

    @precondition(lambda self: self.model.heads())
    @rule(data=st.data())
    def end_a_call(self, data: st.DataObject) -> None:
        self.end(data.draw(st.sampled_from(self.model.heads())))
        self.settle("the end of a call")

    @precondition(lambda self: any(not made.is_over for made in self.made))
    @rule(data=st.data())
    def cancel_a_call(self, data: st.DataObject) -> None:
        made = data.draw(st.sampled_from([made for made in self.made if not made.is_over]))
        made.is_over = made not in self.model.heads()
        assert made.future.cancel() is made.is_over, "what has begun cannot be cancelled, and all else can"
        self.settle("a cancelled call")

    @rule(executor=executors)
    def release(self, executor: RequestExecutor) -> None:
        # Nothing happens where nothing is lent: once more, or before the first call.
        if period := self.current.pop(executor, None):
            period.is_given_back = True
        executor.release()
        self.settle("giving back")

    @precondition(lambda self: self.threads.linger == LINGER)
    @rule()
    def let_time_pass(self) -> None:
        needed = len(self.model.lent) + self.threads.spare
        wait_until(lambda: lent_threads() <= needed, "idle threads retire")

    @precondition(lambda self: self.threads.linger == LINGER and not self.model.lent)
    @rule()
    def call_just_as_threads_retire(self) -> None:
        retiring, may_retire = threading.Semaphore(0), threading.Event()

        def retire() -> None:
            retiring.release()
            may_retire.wait()

        with patch.object(runtime_threads, "close_connections", retire):
            try:
                self.call_as_often_as_there_can_be_threads()
                self.settle("as many calls as there can be threads")
                self.end_everything()
                for _ in range(self.threads.maximum - self.threads.spare):
                    assert retiring.acquire(timeout=PATIENCE), "idle threads retire"
                self.call_as_often_as_there_can_be_threads()
            finally:
                may_retire.set()
            self.settle("calls that came just as threads retired")

    @precondition(lambda self: self.model.lent)
    @rule()
    def drain_in_vain(self) -> None:
        assert not self.threads.drain(LINGER), "calls run, or may come, in lent threads"
        self.settle("draining in vain")

    @rule()
    def drain_while_calls_end(self) -> None:
        drained: list[bool] = []
        draining = threading.Thread(target=lambda: drained.append(self.threads.drain(PATIENCE)))
        draining.start()
        self.end_everything()
        draining.join()
        assert drained == [True], "all have ended"
        wait_until(lambda: lent_threads() == 0, "drained threads end")

    @invariant()
    def are_never_too_many(self) -> None:
        assert len(self.threads.workers) <= self.threads.maximum, "there are too many threads"

    def teardown(self) -> None:
        if hasattr(self, "threads"):
            try:
                self.drain_while_calls_end()
                assert all(made.future.done() and made.resolutions == 1 for made in self.made)
            finally:
                for made in self.made:
                    made.call.may_end.set()

    def call_as_often_as_there_can_be_threads(self) -> None:
        """Ask for a call in every thread at once."""
        for _ in range(self.threads.maximum):
            self.model.waiting.append(
                Period(deque([self.submit(PerCallExecutor(self.threads), None)]), is_given_back=True)
            )

    def submit(self, executor: RequestExecutor | PerCallExecutor, outcome: object) -> Made:
        """Submit a call to an executor."""
        call = Call(self.running, outcome)
        made = Made(call, executor.submit(call))
        self.made.append(made)
        return made

    def settle(self, what: str) -> None:
        """Wait until those calls run that the model has running after something; check which thread each is in."""
        self.model.update()
        self.running.wait_for({made.call for made in self.model.heads()}, f"after {what}")
        for period in self.model.lent:
            if period.head:
                thread = self.in_thread.setdefault(period, period.head.call.thread)
                assert period.head.call.thread == thread, "one executor is one thread"
        threads = [made.call.thread for made in self.model.heads()]
        assert len(threads) == len(set(threads)), "a thread is lent to one at a time"

    def end(self, made: Made) -> None:
        """Let a call that runs return or raise, and check that its future says so."""
        made.is_over = True
        made.call.may_end.set()
        if isinstance(made.call.outcome, BaseException):
            assert made.future.exception(PATIENCE) is made.call.outcome
        else:
            assert made.future.result(PATIENCE) is made.call.outcome
        # Whoever waits for a future is told before its callbacks are called.
        wait_until(lambda: made.resolutions == 1, "a future is resolved once")

    def end_everything(self) -> None:
        """Give back every executor, and let every call end, in the order in which they are made."""
        for executor in list(self.current):
            self.release(executor)
        while heads := self.model.heads():
            for made in heads:
                self.end(made)
            self.settle("the end of a call")


TestLending = LendingMachine.TestCase
TestLending.settings = settings(
    max_examples=60 * int(os.environ.get("EFFORT", "1")),
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    # An order of events that fails may do so by waiting in vain, which takes too long to look for a shorter one.
    phases=[Phase.generate],
)
