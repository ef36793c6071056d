"""Responses of Django: how long each holds a worker thread, and which need none."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.files.base import ContentFile
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path
from runtime.requests.handler import Handler
from runtime.threads.middleware import WorkerThreadMiddleware
from worker_threads.calls import TIMEOUT
from worker_threads.clients import Client, background_request, in_worker_thread, worker_pool

application: Any = None
# The view `wait` awaits it.
answered: asyncio.Future[None]


def plain(request: HttpRequest) -> HttpResponse:
    """Return a response from a thread."""
    return HttpResponse("plain")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Return a stream whose iterator is synchronous, so Django reads it in a thread."""
    return StreamingHttpResponse(iter([b"one", b"two"]))


async def astream(request: HttpRequest) -> StreamingHttpResponse:
    """Return a stream whose iterator is asynchronous, so Django reads it on the event loop."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    return StreamingHttpResponse(parts())


def file(request: HttpRequest) -> FileResponse:
    """Return a file."""
    return FileResponse(ContentFile(b"file"))


async def wait(request: HttpRequest) -> HttpResponse:
    """Return a response once the test resolves `answered`."""
    await answered
    return HttpResponse("waited")


def call_itself(request: HttpRequest) -> HttpResponse:
    """Return the status of a request to another view in the same process."""
    client = Client(path="/plain")
    return HttpResponse(status=async_to_sync(client.request)(application))


urlpatterns = [path(view.__name__, view) for view in (plain, stream, astream, file, wait, call_itself)]


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    """Serve the views above without any middleware."""
    global application
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[]):
        application = WorkerThreadMiddleware(Handler())
        yield


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators:Warning")
@pytest.mark.parametrize(
    ("view", "reads_first"),
    # Django reads a synchronous stream to its end in the thread, before it sends the first part.
    [("plain", 0), ("plain", 1), ("astream", 0), ("astream", 1), ("stream", 1), ("file", 1)],
)
async def test_response_to_client_that_does_not_read_releases_its_thread(view: str, reads_first: int) -> None:
    with worker_pool(1):
        client = Client(path=f"/{view}", reads_first=reads_first)
        async with background_request(client, application):
            async with asyncio.timeout(TIMEOUT):
                await client.stalled.wait()
                assert await in_worker_thread(int) == 0
            client.may_read.set()
        assert client.sent[0]["status"] == 200


async def test_client_that_leaves_a_non_blocking_view_starts_no_thread() -> None:
    global answered
    answered = asyncio.get_running_loop().create_future()
    with worker_pool(1) as pool:
        client = Client(path="/wait")
        async with background_request(client, application):
            await asyncio.sleep(0.01)
            client.disconnected.set()
        assert not client.sent
        assert not pool.workers


async def test_client_that_leaves_as_the_response_starts_is_no_error() -> None:
    global answered
    errors: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.append(context))
    answered = loop.create_future()

    with worker_pool(1):
        client = Client(path="/wait")

        def disconnect_and_answer() -> None:
            client.disconnected.set()
            answered.set_result(None)

        async with background_request(client, application):
            await asyncio.sleep(0.01)
            loop.call_soon(disconnect_and_answer)
        await asyncio.sleep(0.01)

    assert not errors


async def test_view_in_the_only_thread_may_call_its_own_service() -> None:
    with worker_pool(1):
        client = Client(path="/call_itself")
        async with background_request(client, application):
            pass
        assert client.sent[0]["status"] == 200
