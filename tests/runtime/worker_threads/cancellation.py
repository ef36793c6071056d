"""Requests and sockets that end at each point where they wait: their thread comes back, and the next one can use it."""

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
from worker_threads.calls import PATIENCE, wait_until
from worker_threads.clients import Client, in_a_lent_thread, lending

# Seconds for a call to get as far as it can while the event loop waits for it: it may need the loop itself.
A_MOMENT = 0.05


class Interrupted(Exception):  # noqa: N818
    """What is thrown into a request."""


class Driver:
    """Runs a request, and ends it where it waits for the n-th time.

    `how` is what happens to it there: it is cancelled, an exception is thrown into it, its client leaves, or it is
    closed as the garbage collector closes what nobody awaits any more, in whatever context that is done. `when` is how
    far the blocking call has come that it may be waiting for: nowhere, into the thread, or to its end.
    """

    def __init__(self, how: str, when: str, client: Client) -> None:
        self.how = how
        self.when = when
        self.client = client
        self.may_block = threading.Event()
        self.calls: list[Future[Any]] = []
        self.finished = False

    def block(self) -> None:
        """Block until the event loop has seen that the request waits."""
        assert self.may_block.wait(PATIENCE)

    async def run(self, coroutine: Coroutine[Any, Any, object], at: int) -> None:
        """Run a request that ends at its n-th wait, or by itself if it has fewer."""
        outlived = asyncio.all_tasks()
        with (
            patch.object(RequestExecutor, "submit", self.noting(RequestExecutor)),
            patch.object(PerCallExecutor, "submit", self.noting(PerCallExecutor)),
        ):

            async def steps() -> None:
                await self.drive(coroutine, at)

            task = asyncio.create_task(steps())
            async with asyncio.timeout(PATIENCE):
                await asyncio.wait({task})
                # Those that it has left behind.
                await asyncio.gather(*asyncio.all_tasks() - outlived, return_exceptions=True)
        if not task.cancelled() and task.exception():
            assert isinstance(task.exception(), Interrupted), task.exception()

    def noting(self, kind: Any) -> Callable[..., Any]:
        """Return the `submit` of a kind of executor, which also notes the future that it returns."""
        submit = kind.submit

        def submit_and_note(executor: Any, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = submit(executor, *args, **kwargs)
            self.calls.append(future)
            return future

        return submit_and_note

    @types.coroutine
    def drive(self, coroutine: Coroutine[Any, Any, object], at: int) -> Iterator[Any]:
        """Do what a task does, step by step."""
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
                self.let_the_call_come_far_enough()
                if self.how == "closed":
                    # asgiref cannot restore a context that it is not in.
                    with contextlib.suppress(ValueError):
                        contextvars.Context().run(coroutine.close)
                    return
                if self.how == "thrown":
                    step = partial(coroutine.throw, Interrupted())
                    continue
                if self.how == "cancelled":
                    asyncio.current_task().cancel()
                else:
                    self.client.gone.set()
            try:
                yield awaited
                step = partial(coroutine.send, None)
            except BaseException as error:
                step = partial(coroutine.throw, error)

    def let_the_call_come_far_enough(self) -> None:
        """Hold the event loop until the calls that the request waits for are where they ought to be."""
        waiting = [call for call in self.calls if not call.done()]
        if self.when == "running":
            self.may_block.clear()
            wait_until(lambda: all(call.running() or call.done() for call in waiting[:1]), "a call is made")
            asyncio.get_running_loop().call_later(A_MOMENT / 10, self.may_block.set)
        elif self.when == "returned":
            wait(waiting, A_MOMENT)


@pytest.mark.parametrize("when", ["asked for", "running", "returned"])
@pytest.mark.parametrize("how", ["cancelled", "thrown", "disconnected", "closed"])
@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_any_application(kind: str, how: str, when: str) -> None:
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
        leaves = asyncio.ensure_future(receive())
        try:
            await asyncio.gather(block(), block())
            with pytest.raises(ZeroDivisionError):
                await sync_to_async(fail)()
            await sync_to_async(blocking_twice)()
            await asyncio.wait({leaves}, timeout=0)
        except asyncio.CancelledError:
            # To clean up may need the thread, too.
            await block()
            raise
        finally:
            leaves.cancel()
        await send({"type": "end"})

    for at in range(100):
        with lending(1):
            client = Client(kind)
            driver = Driver(how, when, client)
            await driver.run(WorkerThreadMiddleware(application)(client.scope, client.receive, client.send), at)
            assert await in_a_lent_thread(int, kind) == 0, f"after the wait number {at}"
        if driver.finished:
            assert at > 5
            return
    raise AssertionError("it never ends by itself")


@pytest.mark.parametrize("how", ["cancelled", "thrown", "disconnected", "closed"])
async def test_a_request_whose_turn_has_not_come(how: str) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await sync_to_async(int)()

    with lending(1) as threads:
        holder = RequestExecutor(threads)
        holder.submit(int).result(PATIENCE)
        client = Client()
        running = Driver(how, "asked for", client).run(
            WorkerThreadMiddleware(application)(client.scope, client.receive, client.send), 0
        )
        if how == "disconnected":
            asyncio.get_running_loop().call_later(A_MOMENT, holder.release)
            await running
        else:
            await running
            holder.release()
        assert await in_a_lent_thread(int) == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("when", ["asked for", "returned"])
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
async def test_the_service(path: str, body: bytes, status: int, how: str, when: str) -> None:
    await sync_to_async(User.objects.create_superuser)("admin", password="secret")
    await Product.objects.acreate(name="Chair", price=1)

    def client() -> Client:
        csrf = [(b"cookie", b"csrftoken=" + b"a" * 32), (b"x-csrftoken", b"a" * 32)] if body else []
        client = Client("http", path, "POST" if body else "GET", body)
        client.scope["headers"] += csrf
        return client

    for at in range(100):
        with lending(1):
            interrupted = client()
            driver = Driver(how, when, interrupted)
            await driver.run(service(interrupted.scope, interrupted.receive, interrupted.send), at)
            async with asyncio.timeout(PATIENCE):
                assert await client().ask(service) == status, f"after the wait number {at}"
        if driver.finished:
            return
    raise AssertionError("it never ends by itself")
