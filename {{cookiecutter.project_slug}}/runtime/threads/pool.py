"""Worker threads, lent to a request while it runs code that blocks.

Django gives every ASGI request a thread of its own, made on its first blocking call and unmade at its end. Here
threads are few, stay warm, and belong to nobody: a request that never blocks never has one, and one that does borrows.
asgiref hands each blocking call to an `Executor` (`ThreadSensitiveContext(executor=…)`), and ours decides which thread
makes it. A call that finds every thread taken waits its turn.
"""

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import ContextVar, Token, copy_context
from functools import cache, partial
from queue import Empty, SimpleQueue
from typing import Any, cast

from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.db import OperationalError, close_old_connections, connections, reset_queries

from runtime.asgi import Application, Receive, Scope, Send
from runtime.conf import conf

type Work = Callable[[], None]


logger = logging.getLogger(__name__)


class Threads:
    """At most `maximum` worker threads, each made when there is work that no idle one can take.

    While all are busy, work waits: first come, first served. `spare` idle ones stay; the others end after `linger`
    seconds without work, and close their database connections. The methods may be called from any thread.
    """

    def __init__(self, maximum: int, spare: int = 2, linger: float = 10.0) -> None:
        if maximum < 1:
            raise ValueError(f"there must be 1 thread or more, not {maximum}")
        self.maximum = maximum
        self.spare = spare
        self.linger = linger
        # What follows changes under this lock only.
        self.changed = threading.Condition()
        self.workers: set[threading.Thread] = set()
        # Where each idle worker waits for work. While there is one, no work waits.
        self.idle: list[SimpleQueue[Work | None]] = []
        self.waiting: deque[Work] = deque()
        # How many wait for all threads to end.
        self.draining = 0

    def run(self, work: Work) -> None:
        """Do some work, which must not raise, in one of the threads."""
        with self.changed:
            if self.idle:
                # The one that was idle for the shortest time: the others can retire when few are needed.
                self.idle.pop().put(work)
            else:
                self.waiting.append(work)
                if len(self.workers) < self.maximum:
                    self.add_a_worker()

    def add_a_worker(self) -> None:
        """Start one more thread, for the work that was added last."""
        # A daemon, lest one that hangs keep the process from ending; `drain` waits for them, within reason.
        worker = threading.Thread(target=self.work, name="lent", daemon=True)
        try:
            worker.start()
        except RuntimeError:
            # The system has no more threads to give. Those that there are will have time again.
            if not self.workers:
                self.waiting.pop()
                raise
            logger.warning("Could not start a thread beside the %d that there are.", len(self.workers))
        else:
            self.workers.add(worker)

    def work(self) -> None:
        """Do one piece of work after another: a worker thread's whole life."""
        inbox: SimpleQueue[Work | None] = SimpleQueue()
        while True:
            while work := self.next_work(inbox):
                work()
                # Or what it holds would live until the next one comes.
                del work
            close_connections()
            with self.changed:
                # Work may have come after this thread had made up its mind to end.
                if not self.waiting:
                    self.workers.remove(threading.current_thread())
                    self.changed.notify_all()
                    return

    def next_work(self, inbox: SimpleQueue[Work | None]) -> Work | None:
        """Wait for work and return it; None tells the calling thread to end."""
        with self.changed:
            if self.waiting:
                return self.waiting.popleft()
            if self.draining:
                return None
            self.idle.append(inbox)
        while True:
            try:
                return inbox.get(timeout=self.linger)
            except Empty:
                with self.changed:
                    # Else work has come at this very moment, and is in the inbox.
                    if inbox in self.idle and len(self.idle) > self.spare:
                        self.idle.remove(inbox)
                        return None

    def drain(self, timeout: float) -> bool:
        """End each thread when its work is done; tell whether all have ended within `timeout` seconds.

        Work that comes later is done by new threads.
        """
        with self.changed:
            self.draining += 1
            while self.idle:
                self.idle.pop().put(None)
            try:
                return self.changed.wait_for(lambda: not self.workers, timeout)
            finally:
                self.draining -= 1


class CallFuture[R](Future[R]):
    """The future of a call in a thread. An error that no one waits for any more is logged."""

    abandoned = False

    def cancel(self) -> bool:
        """Cancel the call; tell whether that was possible: a call that has begun goes on."""
        cancelled = super().cancel()
        if not cancelled and not self.abandoned:
            self.abandoned = True
            # The log line gets the request's context.
            context = copy_context()
            self.add_done_callback(lambda future: context.run(log_abandoned_error, future))
        return cancelled


def log_abandoned_error(future: Future[Any]) -> None:
    """Log what a call has raised after its request was cancelled."""
    error = future.exception()
    if isinstance(error, OperationalError):
        # An outage, not a bug: without a traceback for each of what may be thousands of calls.
        logger.warning("A blocking call failed after its request was cancelled: %s", str(error).partition("\n")[0])
    elif isinstance(error, Exception):
        logger.error("A blocking call failed after its request was cancelled", exc_info=error)


def do_nothing() -> None:
    """Do nothing."""


class Call[R]:
    """A function to be called in a thread, and the future of what it returns.

    `finished` is called in the thread after the function, before the future has its result.
    """

    def __init__(self, function: Callable[[], R], finished: Callable[[], None] = do_nothing) -> None:
        self.function = function
        self.finished = finished
        self.future: Future[R] = CallFuture()

    def make(self) -> None:
        """Call the function, unless the future has been cancelled meanwhile."""
        if not self.future.set_running_or_notify_cancel():
            self.finished()
            return
        try:
            result = self.function()
        except BaseException as error:
            self.finished()
            self.future.set_exception(error)
            # Its traceback leads to this frame, and this frame must not lead back to it.
            del self
        else:
            self.finished()
            self.future.set_result(result)


class Loan(Executor):
    """One thread for all calls of a request, as Django promises it: lent with the first call, kept until given back.

    A call after that borrows again. A task that outlives the request borrows for each of its calls.
    """

    def __init__(self, threads: Threads) -> None:
        self.threads = threads
        # What a view does in its thread may give that back while its tasks on the event loop ask for another call.
        self.changing = threading.Lock()
        self.calls: SimpleQueue[Call[Any] | None] | None = None
        self.unfinished = 0
        self.afterwards: list[Callable[[], object]] = []
        # Loans inside this one that have ended before their calls: see `runtime.auth.hashing`.
        self.left_behind: list[Loan] = []
        self.ended = False

    def submit[**P, R](self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Call a function in the thread that is lent; return the future of what it returns."""
        call = Call(partial(function, *args, **kwargs), self.finish_call)
        with self.changing:
            if self.calls is None:
                calls: SimpleQueue[Call[Any] | None] = SimpleQueue()
                # First the call, then the thread: it would find nothing to do, and have to be woken again.
                calls.put(call)
                if self.ended:
                    calls.put(None)
                self.threads.run(partial(self.serve, calls))
                self.calls = None if self.ended else calls
            else:
                self.calls.put(call)
            self.unfinished += 1
        return call.future

    def finish_call(self) -> None:
        """Count a call that is done, and call what was waiting for the last one."""
        with self.changing:
            self.unfinished -= 1
            if self.unfinished:
                return
            afterwards, self.afterwards = self.afterwards, []
        for function in afterwards:
            try:
                function()
            except Exception:
                logger.exception("Could not finish a request whose view had still been running")

    def call_afterwards(self, function: Callable[[], object]) -> bool:
        """Have a function called after the calls that are not done, in the thread of the last; False without any."""
        while self.left_behind:
            loan = self.left_behind.pop()
            if loan.call_afterwards(lambda: self.call_afterwards(function) or function()):
                return True
        with self.changing:
            if self.unfinished:
                self.afterwards.append(partial(copy_context().run, function))
            return self.unfinished > 0

    @staticmethod
    def serve(calls: SimpleQueue[Call[Any] | None]) -> None:
        """Make the calls that come in, in the thread that this runs in, until None comes."""
        reset_connections()
        while call := calls.get():
            call.make()
            del call
        reset_connections()

    def give_back(self) -> None:
        """Let others have the thread, once the call that it may still be in has returned."""
        with self.changing:
            if self.calls is not None:
                self.calls.put(None)
                self.calls = None

    def end(self) -> None:
        """Give the thread back at the end of the request."""
        self.ended = True
        self.give_back()


class LoanPerCall(Executor):
    """A thread for each call, so several at once: for a socket, which may be open for days and seldom blocks."""

    def __init__(self, threads: Threads) -> None:
        self.threads = threads

    def submit[**P, R](self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Call a function in one of the threads; return the future of what it returns."""
        call = Call(partial(function, *args, **kwargs))
        self.threads.run(partial(self.serve, call))
        return call.future

    @staticmethod
    def serve(call: Call[Any]) -> None:
        """Make a call, in the thread that this runs in."""
        reset_connections()
        call.make()
        # Its exception leads to this frame.
        del call
        reset_connections()


def reset_connections() -> None:
    """Keep what one borrower did with this thread's database connections from the next one.

    What Django does when a request starts and ends: those that are too old or unusable are closed, and the others'
    health is checked again before their next query. A transaction that was begun and never ended is rolled back.
    """
    reset_queries()
    for connection in connections.all(initialized_only=True):
        try:
            if connection.in_atomic_block:
                connection.close()
                # Closed in a transaction, it stays unusable.
                del connections[connection.alias]
            else:
                connection.close_if_unusable_or_obsolete()
        except Exception:
            # The thread goes on, without it.
            logger.exception("Could not close a connection to the database %s", connection.alias)
            del connections[connection.alias]


def close_connections() -> None:
    """Close this thread's database connections."""
    for connection in connections.all(initialized_only=True):
        try:
            connection.close()
        except Exception:
            logger.exception("Could not close a connection to the database %s", connection.alias)


@cache
def get_threads() -> Threads:
    """Return the threads of this process: `settings.MAX_THREADS` at most."""
    return Threads(settings.MAX_THREADS)


@cache
def get_hashing_threads() -> Threads:
    """Return the threads of this process that hash passwords: `settings.HASHING_THREADS` at most."""
    return Threads(settings.HASHING_THREADS)


# A forked process has none of its parent's threads.
os.register_at_fork(after_in_child=get_threads.cache_clear)
os.register_at_fork(after_in_child=get_hashing_threads.cache_clear)


class LastingContext(ThreadSensitiveContext):
    """A context whose executor also makes the calls of tasks that outlive it."""

    async def __aexit__(self, *exception: object) -> None:
        # The parent's would have asgiref refuse those calls: RuntimeError.
        SyncToAsync.thread_sensitive_context.reset(cast(Token[ThreadSensitiveContext], self.token))


class LentThread:
    """`async with LentThread():` lends the code inside one thread, on its first blocking call.

    Every request has this around it. A task that outlives its request borrows a thread for each of its calls. Where a
    synchronous caller lends its own thread, this lends none. The thread is one of `get_threads()`, or of `threads`.
    """

    current: ContextVar[Loan | None] = ContextVar("current", default=None)

    def __init__(self, threads: Threads | None = None) -> None:
        self.threads = threads

    async def __aenter__(self) -> None:
        self.loan = None if called_by_sync_code() else Loan(self.threads or get_threads())
        self.outer = self.current.get()
        self.token = self.current.set(self.loan)
        if self.loan is None:
            # Django's test client connects them, and they would close the connection that holds a test's transaction.
            disconnect_receivers()
            return
        self.context = LastingContext(executor=self.loan)
        await self.context.__aenter__()  # type: ignore[no-untyped-call]

    async def __aexit__(self, *exception: object) -> None:
        if self.loan is not None:
            # First: the rest fails where the garbage collector closes a request, in a context that is not its own.
            self.loan.end()
            if self.outer is not None and self.loan.unfinished:
                self.outer.left_behind.append(self.loan)
            await self.context.__aexit__(*exception)
        self.current.reset(self.token)


def give_back_thread() -> None:
    """Give back the thread that this request has borrowed, and its database connection: before a long wait.

    The next blocking call borrows again. Nothing that needs the connection may be open, such as an `aiterator()`.
    """
    loan = LentThread.current.get()
    if loan is not None:
        loan.give_back()


def call_after_running_calls(function: Callable[[], object]) -> bool:
    """Have a function called once the blocking calls that this request has left behind are done.

    It runs in the thread of the last one. Where there are none, nothing is called, and this returns False.
    """
    loan = LentThread.current.get()
    return loan is not None and loan.call_afterwards(function)


class LentThreads:
    """Wrap an ASGI application so that its blocking calls run in lent threads.

    A request keeps its thread from the first call to its end. A WebSocket borrows one for each call, so that its slow
    query delays no other one.
    """

    def __init__(self, application: Application) -> None:
        self.application = application
        disconnect_receivers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, with threads to lend."""
        if scope["type"] == "websocket" and not called_by_sync_code():
            async with LastingContext(executor=LoanPerCall(get_threads())):
                await self.application(scope, receive, send)
            return
        async with LentThread():
            await self.application(scope, receive, send)


def disconnect_receivers() -> None:
    """Have nobody do for a request what is done in each lent thread (`reset_connections`)."""
    request_started.disconnect(reset_queries)
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)


def called_by_sync_code() -> bool:
    """Tell whether a synchronous caller waits for this code (`async_to_sync`), and lends its own thread.

    Django's TestCase does. Its transaction lives in its thread: another would not see what the test has created. And a
    synchronous view that asks its own service holds a thread, while others may hold all the others.
    """
    waiting = getattr(AsyncToSync.executors, "current", None)
    return waiting is not None or asyncio.get_running_loop() in AsyncToSync.loop_thread_executors


class TidyExecutor(ThreadPoolExecutor):
    """The event loop's own threads, in which error pages are made, without the connections that were opened in them.

    Nobody would close those, and each would be missing from a pool.
    """

    def submit[**P, R](self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Call a function in one of the threads; return the future of what it returns."""

        def tidily() -> R:
            try:
                return function(*args, **kwargs)
            finally:
                reset_connections()

        return super().submit(tidily)


@asynccontextmanager
async def drained_threads() -> AsyncIterator[None]:
    """End the threads when the server stops, after what they are doing (see `runtime.server.lifespan`)."""
    asyncio.get_running_loop().set_default_executor(TidyExecutor())
    yield
    pools = (get_threads(), get_hashing_threads())
    if not all(await asyncio.gather(*(asyncio.to_thread(pool.drain, conf.DRAIN_TIMEOUT) for pool in pools))):
        logger.warning("A blocking call has not returned within %s s, and is left behind.", conf.DRAIN_TIMEOUT)
