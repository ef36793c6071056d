"""Blocking calls that last as long as a test wants them to, and how long to wait for what must happen."""

import os
import threading
import time
from collections.abc import Callable

# Seconds to wait for what happens at once unless it never does. The negative controls, where it never does, wait less.
PATIENCE = float(os.environ.get("PATIENCE", "60"))


class Running:
    """The calls that are in a thread at this moment."""

    def __init__(self) -> None:
        self.calls: set[Call] = set()
        self.changed = threading.Condition()

    def wait_for(self, expected: set["Call"], why: str) -> None:
        """Return once exactly these calls run; fail if it takes too long."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.calls == expected, PATIENCE), (
                f"{why}: {len(self.calls & expected)} of {len(expected)} run that should,"
                f" and {len(self.calls - expected)} that should not"
            )


class Call:
    """A function that blocks until it is told to end, and then returns or raises its outcome."""

    def __init__(self, running: Running, outcome: object = None) -> None:
        self.running = running
        self.outcome = outcome
        self.thread: int | None = None
        self.may_end = threading.Event()

    def __call__(self) -> object:
        """Block."""
        assert self.thread is None, "a call is made once"
        self.thread = threading.get_ident()
        with self.running.changed:
            self.running.calls.add(self)
            self.running.changed.notify_all()
        self.may_end.wait()
        with self.running.changed:
            self.running.calls.remove(self)
            self.running.changed.notify_all()
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def wait_until(true: Callable[[], bool], why: str) -> None:
    """Return as soon as something is so; fail if it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, why
        time.sleep(0.001)


def lent_threads() -> int:
    """Return how many threads there are for lending, as the interpreter counts them."""
    return sum(thread.name == "worker" for thread in threading.enumerate())
