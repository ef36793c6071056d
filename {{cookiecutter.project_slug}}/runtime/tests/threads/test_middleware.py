"""Worker threads of requests: when a request takes one, and when it releases it."""

import asyncio
import threading

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.test import TestCase

from runtime.asgi import ASGIApp, Receive, Scope, Send
from runtime.tests.service import User, application
from runtime.tests.threads.calls import SECONDS
from runtime.threads.middleware import WorkerThread, WorkerThreadMiddleware, release_thread
from runtime.threads.pool import WorkerPool

KINDS = [
    "http",
    "websocket",
]

this_thread = sync_to_async(threading.get_ident)


async def request(application: ASGIApp, kind: str = "http") -> None:
    """Pass one request of a kind to an application inside WorkerThreadMiddleware."""

    async def receive() -> dict[str, object]:
        return {"type": f"{kind}.disconnect"}

    async def send(message: object) -> None:
        pass

    await WorkerThreadMiddleware(application)({"type": kind}, receive, send)


async def test_a_request_keeps_one_thread_and_the_next_one_gets_the_same() -> None:
    seen = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append([await this_thread() for _ in range(3)])

    await request(application)
    await asyncio.sleep(0.01)
    await request(application)

    assert len(set(seen[0] + seen[1])) == 1
    assert threading.get_ident() not in seen[0]


async def test_a_request_that_does_not_block_takes_no_thread(one_thread: WorkerPool) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)

    await request(application)

    assert not one_thread.workers


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_a_request_that_fails_releases_its_thread(one_thread: WorkerPool, error: type[BaseException]) -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await this_thread()
        raise error

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await this_thread()

    with pytest.raises(error):
        await request(failing)
    async with asyncio.timeout(SECONDS):
        await request(application)


async def test_a_request_that_is_cancelled_releases_its_thread_when_the_call_returns(one_thread: WorkerPool) -> None:
    started, release = threading.Event(), threading.Event()

    def call() -> None:
        started.set()
        release.wait(SECONDS)

    async def blocked(scope: Scope, receive: Receive, send: Send) -> None:
        await sync_to_async(call)()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await this_thread()

    task = asyncio.create_task(request(blocked))
    await asyncio.to_thread(started.wait, SECONDS)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    waiting = asyncio.create_task(request(application))
    await asyncio.sleep(0.05)
    assert not waiting.done()

    release.set()
    async with asyncio.timeout(SECONDS):
        await waiting


async def test_a_released_thread_serves_other_requests(one_thread: WorkerPool) -> None:
    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await this_thread()
        release_thread()
        async with asyncio.timeout(SECONDS):
            await asyncio.create_task(other())
        await this_thread()

    async def other() -> None:
        async with WorkerThread():
            await this_thread()

    await request(waiting)


async def test_a_websocket_makes_several_calls_at_once() -> None:
    together = threading.Barrier(3)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.gather(*(sync_to_async(together.wait)(SECONDS) for _ in range(3)))

    await request(application, "websocket")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_task_that_outlives_its_request_takes_a_thread_for_each_call(one_thread: WorkerPool, kind: str) -> None:
    tasks: list[asyncio.Task[None]] = []
    ended = asyncio.Event()

    async def late() -> None:
        await ended.wait()
        # With one thread, the second call would wait for ever if the first one kept it.
        async with asyncio.timeout(SECONDS):
            await this_thread()
            await request(other)
            await this_thread()

    async def other(scope: Scope, receive: Receive, send: Send) -> None:
        await this_thread()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        tasks.append(asyncio.create_task(late()))

    await request(application, kind)
    ended.set()
    await tasks[0]


class TestCaseTests(TestCase):
    async def test_the_test_and_the_application_share_a_transaction(self) -> None:
        await User.objects.acreate(username="made in the test")
        transport = httpx.ASGITransport(application)  # type: ignore[arg-type]

        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            response = await client.post("/admin/login/", data={"username": "x", "password": "y"})

        assert response.status_code == 403  # no CSRF token
        assert await User.objects.acount() == 1
