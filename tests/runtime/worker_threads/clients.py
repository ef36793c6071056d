"""Requests and sockets for applications with threads to lend."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.test import override_settings
from runtime.asgi import ASGIApp, Receive, Scope, Send
from runtime.threads.middleware import WorkerThreadMiddleware
from runtime.threads.pool import WorkerPool, get_worker_pool
from worker_threads.calls import PATIENCE


@contextlib.contextmanager
def lending(maximum: int) -> Iterator[WorkerPool]:
    """Have a process with so many threads to lend, all of which are back in the end."""
    get_worker_pool.cache_clear()
    with override_settings(MAX_THREADS=maximum):
        threads = get_worker_pool()
        try:
            yield threads
            assert threads.drain(PATIENCE), "a thread is not back"
        finally:
            get_worker_pool.cache_clear()


class Client:
    """Both ends that an ASGI server gives to an application, for one request."""

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
        self.gone = asyncio.Event()
        # How many messages the client reads before it stalls.
        self.reads_first = reads_first
        self.stalls = asyncio.Event()
        self.reads = asyncio.Event()
        self.sent: list[Any] = []

    async def receive(self) -> dict[str, object]:
        """Return the request; then wait until the client leaves."""
        if self.body is not None:
            body, self.body = self.body, None
            return {"type": "http.request", "body": body}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """Take a message when the client reads."""
        if len(self.sent) == self.reads_first:
            self.stalls.set()
            await self.reads.wait()
        self.sent.append(message)

    async def ask(self, application: ASGIApp) -> int | None:
        """Have an application answer; return the status, or None where it does not."""
        await application(self.scope, self.receive, self.send)
        return self.sent[0]["status"] if self.sent else None


async def in_a_lent_thread[R](function: Callable[[], R], kind: str = "http") -> R:
    """Return what a function returns in a thread that is lent to a request, or to a socket, of its own."""
    results: list[R] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        results.append(await sync_to_async(function)())

    client = Client(kind)
    async with asyncio.timeout(PATIENCE):
        await WorkerThreadMiddleware(application)(client.scope, client.receive, client.send)
    return results[0]


@contextlib.asynccontextmanager
async def asking(client: Client, application: ASGIApp) -> AsyncIterator[None]:
    """Have an application answer in the background, and be done with it in the end."""
    task = asyncio.create_task(client.ask(application))
    try:
        yield
        async with asyncio.timeout(PATIENCE):
            await task
    finally:
        task.cancel()
