"""A time limit that also holds for code that does not stop when it is cancelled."""

import asyncio
from types import TracebackType

from runtime.conf import conf


class Deadline:
    """`with Deadline(seconds):` cancels the code inside after some seconds, and raises TimeoutError then.

    `asyncio.timeout` cancels once. asgiref answers the first cancellation of synchronous code that waits for
    asynchronous code by waiting for the thread, however long its call takes; the second one makes it leave the thread
    behind. So this cancels again every `CLEANUP_TIMEOUT` seconds until the code has ended.

    With None there is no limit. `expired` tells a TimeoutError of this from one of the code inside.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.timer: asyncio.TimerHandle | None = None
        self.cancellations = 0

    @property
    def expired(self) -> bool:
        """Whether the code inside has been cancelled."""
        return self.cancellations > 0

    def __enter__(self) -> "Deadline":
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self.task = task
        self.cancelled_before = task.cancelling()
        if self.seconds is not None:
            self.timer = asyncio.get_running_loop().call_later(self.seconds, self.cancel)
        return self

    def cancel(self) -> None:
        """Cancel the code inside, now and again."""
        self.cancellations += 1
        self.task.cancel()
        self.timer = asyncio.get_running_loop().call_later(conf.CLEANUP_TIMEOUT, self.cancel)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if not self.cancellations:
            return
        for _ in range(self.cancellations):
            cancelled = self.task.uncancel()
        # Someone else may have cancelled the task too: then it remains cancelled.
        if kind is asyncio.CancelledError and cancelled <= self.cancelled_before:
            raise TimeoutError from error
