"""Blocking calls that a test ends when it wants to, and how long the checks wait for an event."""

import os
import threading
import time
from collections.abc import Callable

# Seconds that a check waits for an event. The negative controls, where the event never happens, set a shorter time.
TIMEOUT = float(os.environ.get("TIMEOUT", "60"))


class Running:
    """The calls that a thread is executing at this moment."""

    def __init__(self) -> None:
        self.calls: set[Call] = set()
        self.changed = threading.Condition()

    def wait_for(self, expected: set["Call"], why: str) -> None:
        """Return once exactly these calls run. Raises AssertionError after the timeout."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.calls == expected, TIMEOUT), (
                f"{why}: {len(self.calls & expected)} of {len(expected)} run that should,"
                f" and {len(self.calls - expected)} that should not"
            )


class Call:
    """A function that blocks until `may_end` is set, and then returns or raises its outcome."""

    def __init__(self, running: Running, outcome: object = None) -> None:
        self.running = running
        self.outcome = outcome
        self.thread: int | None = None
        self.may_end = threading.Event()

    def __call__(self) -> object:
        """Block, then return or raise the outcome."""
        assert self.thread is None, "a call is executed once"
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


def wait_until(condition: Callable[[], bool], why: str) -> None:
    """Return as soon as a condition holds. Raises AssertionError after the timeout."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, why
        time.sleep(0.001)


def worker_thread_count() -> int:
    """Return the number of worker threads that the interpreter knows."""
    return sum(thread.name == "worker" for thread in threading.enumerate())
