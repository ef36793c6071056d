"""Requests that Django answers: how long they keep their thread, and that they take none that they do not need."""

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
from worker_threads.calls import PATIENCE
from worker_threads.clients import Client, asking, in_a_lent_thread, lending

application: Any = None
# What the view that waits waits for.
answered: asyncio.Future[None]


def plain(request: HttpRequest) -> HttpResponse:
    """Answer in a thread."""
    return HttpResponse("plain")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Answer with what has to be iterated over in a thread."""
    return StreamingHttpResponse(iter([b"one", b"two"]))


async def astream(request: HttpRequest) -> StreamingHttpResponse:
    """Answer with what is iterated over on the event loop."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    return StreamingHttpResponse(parts())


def file(request: HttpRequest) -> FileResponse:
    """Answer with a file."""
    return FileResponse(ContentFile(b"file"))


async def wait(request: HttpRequest) -> HttpResponse:
    """Answer when the test says so."""
    await answered
    return HttpResponse("waited")


def ask_itself(request: HttpRequest) -> HttpResponse:
    """Answer what another view answers to a request that is made in this process."""
    client = Client(path="/plain")
    return HttpResponse(status=async_to_sync(client.ask)(application))


urlpatterns = [path(view.__name__, view) for view in (plain, stream, astream, file, wait, ask_itself)]


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    """Have Django answer with the views above, without any middleware."""
    global application
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[]):
        application = WorkerThreadMiddleware(Handler())
        yield


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators:Warning")
@pytest.mark.parametrize(
    ("view", "reads_first"),
    # What is read synchronously keeps its thread until it has been read, before its first part is sent.
    [("plain", 0), ("plain", 1), ("astream", 0), ("astream", 1), ("stream", 1), ("file", 1)],
)
async def test_a_client_that_does_not_read_keeps_no_thread(view: str, reads_first: int) -> None:
    with lending(1):
        client = Client(path=f"/{view}", reads_first=reads_first)
        async with asking(client, application):
            async with asyncio.timeout(PATIENCE):
                await client.stalls.wait()
                assert await in_a_lent_thread(int) == 0
            client.reads.set()
        assert client.sent[0]["status"] == 200


async def test_a_client_that_leaves_a_view_that_never_blocked_takes_no_thread() -> None:
    global answered
    answered = asyncio.get_running_loop().create_future()
    with lending(1) as threads:
        client = Client(path="/wait")
        async with asking(client, application):
            await asyncio.sleep(0.01)
            client.gone.set()
        assert not client.sent
        assert not threads.workers


async def test_a_client_that_leaves_just_as_it_is_answered_is_no_error() -> None:
    global answered
    errors: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.append(context))
    answered = loop.create_future()

    with lending(1):
        client = Client(path="/wait")

        def leave_as_it_is_answered() -> None:
            client.gone.set()
            answered.set_result(None)

        async with asking(client, application):
            await asyncio.sleep(0.01)
            loop.call_soon(leave_as_it_is_answered)
        await asyncio.sleep(0.01)

    assert not errors


async def test_a_view_may_ask_its_own_service_from_the_only_thread() -> None:
    with lending(1):
        client = Client(path="/ask_itself")
        async with asking(client, application):
            pass
        assert client.sent[0]["status"] == 200
