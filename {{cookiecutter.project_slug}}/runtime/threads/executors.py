"""Executors that decide which worker thread makes a blocking call.

asgiref hands each blocking call to the executor of its context (`ThreadSensitiveContext(executor=…)`).
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any

from django.db import OperationalError

from runtime.threads.connections import reset_connections
from runtime.threads.pool import WorkerPool

logger = logging.getLogger(__name__)


class CallFuture[R](Future[R]):
    """The future of a call in a worker thread. It logs the error of a call whose request was cancelled."""

    abandoned = False

    def cancel(self) -> bool:
        """Cancel the call and return True, or return False if it has begun: then it goes on."""
        cancelled = super().cancel()
        if not cancelled and not self.abandoned:
            self.abandoned = True
            # Log in the request's context, so that the line carries its id.
            context = copy_context()
            self.add_done_callback(lambda future: context.run(log_abandoned_error, future.exception()))
        return cancelled


def log_abandoned_error(error: BaseException | None) -> None:
    """Log the exception of a call that failed after its request was cancelled."""
    if isinstance(error, OperationalError):
        # An outage is no bug, and may fail thousands of calls: leave out the traceback.
        logger.warning("A blocking call failed after its request was cancelled: %s", str(error).partition("\n")[0])
    elif isinstance(error, Exception):
        logger.error("A blocking call failed after its request was cancelled", exc_info=error)


# Each runs a call on the event loop instead of in a thread, and returns its future, or None for a call that needs a
# thread. A database registers itself here (see `runtime.postgres.on_loop`).
LOOP_RUNNERS: list[Callable[[Callable[[], Any]], Any]] = []


def run_on_loop[R](function: Callable[..., R]) -> Future[R] | None:
    """Return the future of a call that runs on the event loop, which is asyncio's, or None if it needs a thread."""
    return next((future for run in LOOP_RUNNERS if (future := run(function)) is not None), None)


def do_nothing() -> None:
    """Do nothing."""


class Call[R]:
    """A function to call in a worker thread, and the future of its result.

    The thread calls `finished` after the function, and before the future has its result.
    """

    def __init__(self, function: Callable[[], R], finished: Callable[[], None] = do_nothing) -> None:
        self.function = function
        self.finished = finished
        self.future: Future[R] = CallFuture()

    def make(self) -> None:
        """Call the function, unless the future was cancelled before."""
        if not self.future.set_running_or_notify_cancel():
            self.finished()
            return
        try:
            result = self.function()
        except BaseException as error:
            self.finished()
            self.future.set_exception(error)
            # The traceback refers to this frame, so the frame must not refer to the future that holds the error.
            del self
        else:
            self.finished()
            self.future.set_result(result)


class RequestExecutor(Executor):
    """Makes all calls of a request in the same thread, as Django promises, until `release` returns it to the pool.

    The first call takes a thread, and so does the first one after `release`. After `end`, each call takes a thread of
    its own: a task may outlive its request.
    """

    def __init__(self, pool: WorkerPool) -> None:
        self.pool = pool
        # A view may release its thread from inside it, while a task on the event loop submits another call.
        self.changing = threading.Lock()
        self.calls: SimpleQueue[Call[Any] | None] | None = None
        self.unfinished = 0
        self.afterwards: list[Callable[[], object]] = []
        # Nested executors that ended before their calls did (see `runtime.auth.hashing`).
        self.unfinished_nested: list[RequestExecutor] = []
        self.ended = False

    def submit[**P, R](self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Call a function in the request's thread, or on the event loop; return the future of its result.

        Once the request has a thread, that makes every call: a second connection could wait for the first one for ever.
        """
        if self.calls is None and (future := run_on_loop(function)) is not None:
            return future
        call = Call(partial(function, *args, **kwargs), self.finish_call)
        with self.changing:
            if self.calls is None:
                calls: SimpleQueue[Call[Any] | None] = SimpleQueue()
                # Queue the call before the thread starts: a thread that finds the queue empty has to be woken again.
                calls.put(call)
                if self.ended:
                    calls.put(None)
                self.pool.run(partial(self.serve, calls))
                self.calls = None if self.ended else calls
            else:
                self.calls.put(call)
            self.unfinished += 1
        return call.future

    def finish_call(self) -> None:
        """Count a call as done. After the last one, call the functions of `call_afterwards`."""
        with self.changing:
            self.unfinished -= 1
            if self.unfinished:
                return
            afterwards, self.afterwards = self.afterwards, []
        for function in afterwards:
            try:
                function()
            except Exception:
                logger.exception("Could not finish a request whose view was still running")

    def call_afterwards(self, function: Callable[[], object]) -> bool:
        """Call a function after the unfinished calls, in the thread of the last; return False if there are none."""
        while self.unfinished_nested:
            executor = self.unfinished_nested.pop()
            if executor.call_afterwards(lambda: self.call_afterwards(function) or function()):
                return True
        with self.changing:
            if self.unfinished:
                self.afterwards.append(partial(copy_context().run, function))
            return self.unfinished > 0

    @staticmethod
    def serve(calls: SimpleQueue[Call[Any] | None]) -> None:
        """Make the calls of a queue in the current thread, until it yields None."""
        reset_connections()
        while call := calls.get():
            call.make()
            # Free what the call refers to before the next one arrives.
            del call
        reset_connections()

    def release(self) -> None:
        """Return the thread to the pool, once its calls have returned."""
        with self.changing:
            if self.calls is not None:
                self.calls.put(None)
                self.calls = None

    def end(self) -> None:
        """Release the thread at the end of the request."""
        self.ended = True
        self.release()


class PerCallExecutor(Executor):
    """Makes each call in a thread of its own: for a WebSocket, which may be open for days and seldom blocks."""

    def __init__(self, pool: WorkerPool) -> None:
        self.pool = pool

    def submit[**P, R](self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Call a function in any worker thread, or on the event loop; return the future of its result."""
        if (future := run_on_loop(function)) is not None:
            return future
        call = Call(partial(function, *args, **kwargs))
        self.pool.run(partial(self.serve, call))
        return call.future

    @staticmethod
    def serve(call: Call[Any]) -> None:
        """Make a call in the current thread."""
        reset_connections()
        call.make()
        # The traceback of its exception refers to this frame.
        del call
        reset_connections()
