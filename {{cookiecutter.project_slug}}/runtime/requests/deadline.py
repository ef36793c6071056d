"""A time limit that cancels a task again and again until the task ends."""

import asyncio
from types import TracebackType

from runtime.conf import conf


class Deadline:
    """`with Deadline(seconds):` cancels its block after so many seconds, and raises TimeoutError when the block ends.

    `asyncio.timeout` cancels only once. After one cancellation, asgiref may wait for a synchronous call until its
    thread returns. After the second, asgiref leaves the thread behind. A deadline therefore cancels its block again
    every `CLEANUP_TIMEOUT` seconds. With None there is no limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.timer: asyncio.TimerHandle | None = None
        self.cancellations = 0

    @property
    def expired(self) -> bool:
        """Whether a TimeoutError comes from this deadline, and not from the code in its block."""
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
        """Cancel the block now, and again after CLEANUP_TIMEOUT."""
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
        # Other code may have cancelled the task as well. The task then stays cancelled.
        if kind is asyncio.CancelledError and cancelled <= self.cancelled_before:
            raise TimeoutError from error
