"""HTTP requests and WebSockets to an application that uses worker threads."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.test import override_settings
from runtime.asgi import ASGIApp, Receive, Scope, Send
from runtime.threads.middleware import WorkerThreadMiddleware
from runtime.threads.pool import WorkerPool, get_worker_pool
from worker_threads.calls import TIMEOUT


@contextlib.contextmanager
def worker_pool(maximum: int) -> Iterator[WorkerPool]:
    """Give the process a new pool of at most `maximum` worker threads, and check in the end that all are released."""
    get_worker_pool.cache_clear()
    with override_settings(MAX_THREADS=maximum):
        pool = get_worker_pool()
        try:
            yield pool
            assert pool.drain(TIMEOUT), "a thread was not released"
        finally:
            get_worker_pool.cache_clear()


class Client:
    """The scope, `receive` and `send` that an ASGI server passes to an application for one request."""

    def __init__(
        self,
        kind: str = "http",
        path: str = "/",
        method: str = "GET",
        body: bytes = b"",
        reads_first: int | None = None,
    ) -> None:
        headers = [(b"host", b"testserver"), (b"content-type", b"application/x-www-form-urlencoded")]
        self.scope: Scope = {
            "type": kind,
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": headers,
            "asgi": {"version": "3.0"},
        }
        self.body: bytes | None = body
        self.disconnected = asyncio.Event()
        # How many messages the client may_read before it stalled.
        self.reads_first = reads_first
        self.stalled = asyncio.Event()
        self.may_read = asyncio.Event()
        self.sent: list[Any] = []

    async def receive(self) -> dict[str, object]:
        """Return the request, and then wait until the client disconnects."""
        if self.body is not None:
            body, self.body = self.body, None
            return {"type": "http.request", "body": body}
        await self.disconnected.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """Take a message as soon as the client may_read."""
        if len(self.sent) == self.reads_first:
            self.stalled.set()
            await self.may_read.wait()
        self.sent.append(message)

    async def request(self, application: ASGIApp) -> int | None:
        """Send the request to an application. Return the status, or None if there was no response."""
        await application(self.scope, self.receive, self.send)
        return self.sent[0]["status"] if self.sent else None


async def in_worker_thread[R](function: Callable[[], R], kind: str = "http") -> R:
    """Call a function in the worker thread of a new request, or of a new WebSocket, and return its result."""
    results: list[R] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        results.append(await sync_to_async(function)())

    client = Client(kind)
    async with asyncio.timeout(TIMEOUT):
        await WorkerThreadMiddleware(application)(client.scope, client.receive, client.send)
    return results[0]


@contextlib.asynccontextmanager
async def background_request(client: Client, application: ASGIApp) -> AsyncIterator[None]:
    """Send a request in a task during the `with` block, and wait for its end after the block."""
    task = asyncio.create_task(client.request(application))
    try:
        yield
        async with asyncio.timeout(TIMEOUT):
            await task
    finally:
        task.cancel()
