"""Greenlets in which synchronous code runs on the event loop's thread, and gives way to the loop while it waits.

A greenlet has a stack of its own. The code inside pauses in the middle of a synchronous call, the event loop goes on,
and a callback of the loop resumes the greenlet. SQLAlchemy's `greenlet_spawn` runs its synchronous core in this way.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

import greenlet
from django.conf import settings
from psycopg.waiting import READY_NONE, READY_R, READY_W, WAIT_R, WAIT_W

from runtime.compat import require
from runtime.threads.executors import log_abandoned_error

require(asyncio, "_set_running_loop")

# The greenlets that have not ended. The event loop does not refer to one that waits for a connection.
RUNNING: set["LoopGreenlet"] = set()
# The greenlets that have not begun, because MAX_THREADS others run: with more, calls would wait in the connection pool,
# whose timeout is made for outages and not for bursts.
WAITING: deque["LoopGreenlet"] = deque()


class LoopFuture(asyncio.Future[object]):
    """The future of a call in a greenlet. Cancelling it cancels what the greenlet waits for."""

    # `runtime.development.hops` counts no switch to a thread.
    is_on_loop = True


class LoopGreenlet(greenlet.greenlet):
    """A greenlet that calls a function on the running event loop's thread, and sets the result of its `future`.

    No running loop is visible to the function, so Django lets it use the ORM.
    """

    def __init__(self, function: Callable[[], object]) -> None:
        super().__init__(partial(self.call, function))
        self.loop = asyncio.get_running_loop()
        self.gr_context = copy_context()
        self.future = LoopFuture(loop=self.loop)
        self.future.add_done_callback(self.cancel_wait)
        # The pause that `resume` ends. A callback that comes too late belongs to an earlier one.
        self.pause_number = 0
        # The greenlet's database connections (see `runtime.postgres.on_loop`).
        self.connections: Any = None
        # What cancels the present wait.
        self.interrupt: Callable[[], object] | None = None

    def start(self) -> None:
        """Run the function until it waits for the first time."""
        RUNNING.add(self)
        self.switch_from_loop(None)

    def call(self, function: Callable[[], object], _: object) -> None:
        """Call the function, and pass its result or its exception to the future."""
        try:
            result = function()
        except BaseException as error:
            if not self.future.done():
                self.future.set_exception(error)
            else:
                log_abandoned_error(error)
        else:
            if not self.future.done():
                self.future.set_result(result)
        finally:
            RUNNING.discard(self)
            # A callback, because a greenlet that begins here would return to this one's parent and not to this one.
            self.loop.call_soon(start_waiting)
            # The greenlet refers to its future, and the future to the exception, whose traceback refers to this frame.
            del self, function

    def switch_from_loop(self, value: object) -> None:
        """Run the greenlet until it pauses or ends."""
        asyncio._set_running_loop(None)
        try:
            self.switch(value)
        finally:
            asyncio._set_running_loop(self.loop)

    def pause(self, interrupt: Callable[[], object] | None = None) -> object:
        """Let the event loop go on until `resume` is called; return its value.

        `interrupt` is called if the future is cancelled meanwhile, and must have `resume` called soon.
        """
        self.interrupt = interrupt
        try:
            return self.parent.switch()
        finally:
            self.pause_number += 1
            self.interrupt = None

    def resume(self, pause_number: int, value: object = None) -> None:
        """Go on after the pause of a number, unless that has ended. A callback of the event loop calls this."""
        if pause_number == self.pause_number and not self.dead:
            self.switch_from_loop(value)

    def resume_soon(self, value: object = None) -> None:
        """Have the event loop end the present pause; this may be called in any thread."""
        self.loop.call_soon_threadsafe(self.resume, self.pause_number, value)

    def give_way(self) -> None:
        """Let the event loop run what is ready, and go on. Raises CancelledError if the future was cancelled."""
        self.loop.call_soon(self.resume, self.pause_number)
        self.pause()
        if self.future.cancelled():
            # Nothing was there to interrupt, and the client no longer waits for the rest.
            raise asyncio.CancelledError

    def wait_for(self, future: asyncio.Future[Any]) -> None:
        """Pause until a future is done, whatever its result."""
        if not future.done():
            future.add_done_callback(partial(self.resume, self.pause_number))
            self.pause()

    def wait_for_socket(
        self, fd: int, state: int, seconds: float, interrupt: Callable[[], object] | None = None
    ) -> int:
        """Pause until a socket is ready for what psycopg waits for; return how, or READY_NONE after some seconds."""
        loop, number = self.loop, self.pause_number
        timer = loop.call_later(seconds, self.resume, number, READY_NONE)
        if state & WAIT_R:
            loop.add_reader(fd, self.resume, number, READY_R)
        if state & WAIT_W:
            loop.add_writer(fd, self.resume, number, READY_W)
        try:
            return self.pause(interrupt)  # type: ignore[return-value]
        finally:
            timer.cancel()
            if state & WAIT_R:
                loop.remove_reader(fd)
            if state & WAIT_W:
                loop.remove_writer(fd)

    def cancel_wait(self, future: asyncio.Future[object]) -> None:
        """Interrupt what the greenlet waits for, if its future was cancelled."""
        if future.cancelled() and self.interrupt is not None:
            self.interrupt()


def current_greenlet() -> LoopGreenlet | None:
    """Return the greenlet in which the caller runs, or None on the event loop and in a thread."""
    current = greenlet.getcurrent()
    return current if isinstance(current, LoopGreenlet) else None


def run_in_greenlet(function: Callable[[], object]) -> LoopFuture:
    """Call a function in a greenlet of its own; return the future of its result.

    At most `settings.MAX_THREADS` greenlets run at once. Further ones wait in the order of their calls.
    """
    current = LoopGreenlet(function)
    WAITING.append(current)
    if len(WAITING) == 1:
        start_waiting()
    return current.future


def start_waiting() -> None:
    """Start the greenlets that wait, as far as there is room."""
    while WAITING and len(RUNNING) < settings.MAX_THREADS:
        current = WAITING.popleft()
        if not current.future.done():
            current.start()
