"""Worker threads for the blocking calls of a request: when it gets one, and when it releases it."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import cast

from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext

from runtime.asgi import ASGIApp, Receive, Scope, Send
from runtime.threads.connections import disconnect_receivers
from runtime.threads.executors import PerCallExecutor, RequestExecutor
from runtime.threads.pool import WorkerPool, get_worker_pool


class LastingContext(ThreadSensitiveContext):
    """A context whose executor also serves tasks that outlive the context."""

    async def __aexit__(self, *exception: object) -> None:
        # The parent's method would make asgiref refuse the calls of such tasks with a RuntimeError.
        SyncToAsync.thread_sensitive_context.reset(cast(Token[ThreadSensitiveContext], self.token))


class WorkerThread:
    """`async with WorkerThread():` makes the blocking calls of the code inside in one thread of a pool.

    The first blocking call takes the thread, from `pool` or else from `get_worker_pool()`. `WorkerThreadMiddleware`
    puts this around every request. Inside `async_to_sync`, it takes no thread: the synchronous caller's serves.
    """

    current: ContextVar[RequestExecutor | None] = ContextVar("current", default=None)

    def __init__(self, pool: WorkerPool | None = None) -> None:
        self.pool = pool

    async def __aenter__(self) -> None:
        self.executor = None if inside_async_to_sync() else RequestExecutor(self.pool or get_worker_pool())
        self.outer = self.current.get()
        self.token = self.current.set(self.executor)
        if self.executor is None:
            # Django's test client connects the receivers, which would close the connection of a test's transaction.
            disconnect_receivers()
            return
        self.context = LastingContext(executor=self.executor)
        await self.context.__aenter__()  # type: ignore[no-untyped-call]

    async def __aexit__(self, *exception: object) -> None:
        if self.executor is not None:
            # Release the thread first. When the garbage collector closes a request, it does so in another context,
            # where resetting the context variables raises.
            self.executor.end()
            if self.outer is not None and self.executor.unfinished:
                self.outer.unfinished_nested.append(self.executor)
            await self.context.__aexit__(*exception)
        self.current.reset(self.token)


def release_thread() -> None:
    """Release the worker thread of this request, with its database connection: call this before a long wait.

    The next blocking call takes a thread again. Nothing that needs the connection may be open, such as an
    `aiterator()`.
    """
    executor = WorkerThread.current.get()
    if executor is not None:
        executor.release()


def call_after_running_calls(function: Callable[[], object]) -> bool:
    """Call a function after the blocking calls that this request left unfinished, in the thread of the last one.

    Returns False, and calls nothing, if there are none.
    """
    executor = WorkerThread.current.get()
    return executor is not None and executor.call_afterwards(function)


class WorkerThreadMiddleware:
    """Runs the blocking calls of an ASGI application in the process's worker pool.

    A request keeps its thread from its first blocking call to its end. A WebSocket takes a thread for each call, so
    that a slow query delays none of its other calls.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        disconnect_receivers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with an executor that suits the connection."""
        if scope["type"] == "websocket" and not inside_async_to_sync():
            async with LastingContext(executor=PerCallExecutor(get_worker_pool())):
                await self.app(scope, receive, send)
            return
        async with WorkerThread():
            await self.app(scope, receive, send)


def inside_async_to_sync() -> bool:
    """Return whether a synchronous caller waits for this code in `async_to_sync`, and runs its blocking calls.

    Django's TestCase does. Its transaction belongs to its thread: another thread would not see the test's objects. So
    does a synchronous view that calls its own service: it holds a thread, and the pool may have no other one.
    """
    waiting = getattr(AsyncToSync.executors, "current", None)
    return waiting is not None or asyncio.get_running_loop() in AsyncToSync.loop_thread_executors
