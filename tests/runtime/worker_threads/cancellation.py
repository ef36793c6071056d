"""A request or WebSocket that ends at any of its awaits releases its thread for the next one."""

import asyncio
import contextlib
import contextvars
import threading
import types
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, wait
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from accounts.models import User
from asgiref.sync import async_to_sync, sync_to_async
from catalog.models import Product
from config.asgi import application as service
from runtime.asgi import Receive, Scope, Send
from runtime.threads.executors import PerCallExecutor, RequestExecutor
from runtime.threads.middleware import WorkerThreadMiddleware, release_thread
from worker_threads.calls import TIMEOUT, wait_until
from worker_threads.clients import Client, in_worker_thread, worker_pool

# Seconds that the event loop waits for a call to return. The call may be waiting for the event loop itself.
SHORT_WAIT = 0.05


class Interrupted(Exception):  # noqa: N818
    """The exception that is thrown into a request."""


class Driver:
    """Runs a request, and ends it at its n-th await.

    `how` says in which way: the request is cancelled, an exception is thrown into it, its client disconnects, or its
    coroutine is closed in another context, as the garbage collector closes an abandoned coroutine. `when` is the state
    of the blocking call that the request may be awaiting: queued, running in the thread, or returned.
    """

    def __init__(self, how: str, when: str, client: Client) -> None:
        self.how = how
        self.when = when
        self.client = client
        self.may_block = threading.Event()
        self.calls: list[Future[Any]] = []
        self.finished = False

    def block(self) -> None:
        """Block until the event loop has reached the await of the request."""
        assert self.may_block.wait(TIMEOUT)

    async def run(self, coroutine: Coroutine[Any, Any, object], at: int) -> None:
        """Run a request up to its n-th await. A request with fewer awaits runs to its end."""
        tasks_before = asyncio.all_tasks()
        with (
            patch.object(RequestExecutor, "submit", self.recording(RequestExecutor)),
            patch.object(PerCallExecutor, "submit", self.recording(PerCallExecutor)),
        ):

            async def steps() -> None:
                await self.drive(coroutine, at)

            task = asyncio.create_task(steps())
            async with asyncio.timeout(TIMEOUT):
                await asyncio.wait({task})
                # The tasks that the request has left behind.
                await asyncio.gather(*asyncio.all_tasks() - tasks_before, return_exceptions=True)
        if not task.cancelled() and task.exception():
            assert isinstance(task.exception(), Interrupted), task.exception()

    def recording(self, kind: Any) -> Callable[..., Any]:
        """Return the `submit` of an executor class, wrapped to record the future that it returns."""
        submit = kind.submit

        def submit_and_record(executor: Any, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = submit(executor, *args, **kwargs)
            self.calls.append(future)
            return future

        return submit_and_record

    @types.coroutine
    def drive(self, coroutine: Coroutine[Any, Any, object], at: int) -> Iterator[Any]:
        """Drive a coroutine as a task does, and interfere at its n-th await."""
        waits = 0
        step: Callable[[], Any] = partial(coroutine.send, None)
        while True:
            self.may_block.clear()
            try:
                awaited = step()
            except StopIteration:
                self.finished = waits <= at
                return
            finally:
                self.may_block.set()
            waits += 1
            if waits == at + 1:
                self.let_call_proceed()
                if self.how == "closed":
                    # asgiref cannot reset a context variable in another context.
                    with contextlib.suppress(ValueError):
                        contextvars.Context().run(coroutine.close)
                    return
                if self.how == "thrown":
                    step = partial(coroutine.throw, Interrupted())
                    continue
                if self.how == "cancelled":
                    asyncio.current_task().cancel()
                else:
                    self.client.disconnected.set()
            try:
                yield awaited
                step = partial(coroutine.send, None)
            except BaseException as error:
                step = partial(coroutine.throw, error)

    def let_call_proceed(self) -> None:
        """Block the event loop until the awaited call is in the state `when`."""
        waiting = [call for call in self.calls if not call.done()]
        if self.when == "running":
            self.may_block.clear()
            wait_until(lambda: all(call.running() or call.done() for call in waiting[:1]), "a call runs")
            asyncio.get_running_loop().call_later(SHORT_WAIT / 10, self.may_block.set)
        elif self.when == "returned":
            wait(waiting, SHORT_WAIT)


@pytest.mark.parametrize("when", ["queued", "running", "returned"])
@pytest.mark.parametrize("how", ["cancelled", "thrown", "disconnected", "closed"])
@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_application_that_ends_at_any_await_releases_its_thread(kind: str, how: str, when: str) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        block = sync_to_async(driver.block)

        def blocking_twice() -> None:
            async_to_sync(block)()
            driver.block()

        await receive()
        await block()
        await asyncio.sleep(0)
        release_thread()
        await asyncio.sleep(0)
        disconnect = asyncio.ensure_future(receive())
        try:
            await asyncio.gather(block(), block())
            with pytest.raises(ZeroDivisionError):
                await sync_to_async(fail)()
            await sync_to_async(blocking_twice)()
            await asyncio.wait({disconnect}, timeout=0)
        except asyncio.CancelledError:
            # Cleaning up may need the thread as well.
            await block()
            raise
        finally:
            disconnect.cancel()
        await send({"type": "end"})

    for at in range(100):
        with worker_pool(1):
            client = Client(kind)
            driver = Driver(how, when, client)
            await driver.run(WorkerThreadMiddleware(application)(client.scope, client.receive, client.send), at)
            assert await in_worker_thread(int, kind) == 0, f"after await number {at}"
        if driver.finished:
            assert at > 5
            return
    raise AssertionError("the request never runs to its end")


@pytest.mark.parametrize("how", ["cancelled", "thrown", "disconnected", "closed"])
async def test_request_that_ends_in_the_queue_leaves_it(how: str) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await sync_to_async(int)()

    with worker_pool(1) as pool:
        holder = RequestExecutor(pool)
        holder.submit(int).result(TIMEOUT)
        client = Client()
        running = Driver(how, "queued", client).run(
            WorkerThreadMiddleware(application)(client.scope, client.receive, client.send), 0
        )
        if how == "disconnected":
            asyncio.get_running_loop().call_later(SHORT_WAIT, holder.release)
            await running
        else:
            await running
            holder.release()
        assert await in_worker_thread(int) == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("when", ["queued", "returned"])
@pytest.mark.parametrize("how", ["cancelled", "thrown", "disconnected", "closed"])
@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/", b"", 200),
        ("/api/products/", b"", 200),
        ("/api/products/export/", b"", 200),
        ("/admin/login/", b"username=admin&password=secret", 302),
        ("/admin/catalog/product/", b"", 302),
    ],
)
async def test_service_that_ends_at_any_await_serves_the_next_request(
    path: str, body: bytes, status: int, how: str, when: str
) -> None:
    await sync_to_async(User.objects.create_superuser)("admin", password="secret")
    await Product.objects.acreate(name="Chair", price=1)

    def client() -> Client:
        csrf = [(b"cookie", b"csrftoken=" + b"a" * 32), (b"x-csrftoken", b"a" * 32)] if body else []
        client = Client("http", path, "POST" if body else "GET", body)
        client.scope["headers"] += csrf
        return client

    for at in range(100):
        with worker_pool(1):
            interrupted = client()
            driver = Driver(how, when, interrupted)
            await driver.run(service(interrupted.scope, interrupted.receive, interrupted.send), at)
            async with asyncio.timeout(TIMEOUT):
                assert await client().request(service) == status, f"after await number {at}"
        if driver.finished:
            return
    raise AssertionError("the request never runs to its end")
