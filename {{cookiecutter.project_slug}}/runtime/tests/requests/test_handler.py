"""A request's way through the handler: its time limit, and what a view finds that outlives its request."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.signals import request_finished
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.test import override_settings
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from runtime.requests.errors import header_middleware
from runtime.requests.handler import Handler
from runtime.threads.middleware import WorkerThreadMiddleware
from runtime.threads.pool import get_worker_pool

SECONDS = 5.0

started, release, ended = threading.Event(), threading.Event(), threading.Event()
found: list[object] = []


@csrf_exempt
def read_late(request: HttpRequest) -> HttpResponse:
    """Read the body when the test says so, and then fail."""
    started.set()
    release.wait(SECONDS)
    try:
        found.append(request.body)
    finally:
        ended.set()
    raise ZeroDivisionError


async def wait(request: HttpRequest) -> HttpResponse:
    """Wait for ever."""
    await asyncio.Event().wait()
    return HttpResponse("never")


async def time_out(request: HttpRequest) -> HttpResponse:
    """Raise a TimeoutError of its own."""
    async with asyncio.timeout(0):
        return await wait(request)


def slow_middleware(get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> object:
    """Wait for ever after the view."""

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        await get_response(request)
        return await wait(request)

    return middleware


slow_middleware.async_capable = True
slow_middleware.sync_capable = False


def sync_middleware(get_response: Callable[[HttpRequest], HttpResponseBase]) -> object:
    """Do nothing, in a thread."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        return get_response(request)

    return middleware


def plain(request: HttpRequest) -> HttpResponse:
    """Answer at once."""
    return HttpResponse("done")


urlpatterns = [path(view.__name__, view) for view in (read_late, wait, time_out, plain)]


@pytest.fixture(autouse=True)
def views() -> Iterator[None]:
    """Serve the views above."""
    for event in (started, release, ended):
        event.clear()
    found.clear()
    with override_settings(ROOT_URLCONF=__name__, REQUEST_TIMEOUT=SECONDS, MIDDLEWARE=[]):
        yield
        release.set()
    # It was found for the tests' own middleware.
    header_middleware.cache_clear()


async def ask(path: str, leaves: Callable[[], object] | None = None) -> list[Any]:
    """Return what is sent to a client that posts a body and, perhaps, leaves when a function in a thread returns."""
    coming: list[dict[str, object]] = [{"type": "http.request", "body": b"a body"}]
    sent: list[Any] = []

    async def receive() -> dict[str, object]:
        if coming:
            return coming.pop(0)
        if leaves is None:
            await asyncio.Event().wait()
        else:
            await asyncio.to_thread(leaves)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "http_version": "1.1",
        "headers": [(b"host", b"testserver"), (b"content-length", b"6")],
    }
    await WorkerThreadMiddleware(Handler())(scope, receive, send)
    return sent


@pytest.mark.parametrize("leaves", [True, False])
async def test_a_view_that_outlives_its_request_finds_its_body(leaves: bool, caplog: pytest.LogCaptureFixture) -> None:
    finished: list[bool] = []
    told = threading.Event()

    def note_finished(**kwargs: object) -> None:
        finished.append(ended.is_set())
        told.set()

    request_finished.connect(note_finished)
    try:
        with override_settings(REQUEST_TIMEOUT=SECONDS if leaves else 0.05):
            sent = await ask("/read_late", leaves=(lambda: started.wait(SECONDS)) if leaves else None)
        assert [message.get("status") for message in sent[:1]] == ([] if leaves else [504])
        assert not finished
        release.set()
        assert await asyncio.to_thread(told.wait, SECONDS)
    finally:
        request_finished.disconnect(note_finished)

    assert found == [b"a body"]
    assert finished == [True]
    # It is logged after the request has finished, by the same thread.
    assert await asyncio.to_thread(get_worker_pool().drain, SECONDS)
    assert "A blocking call failed after its request was cancelled" in caplog.text
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("path", "middleware"), [("/wait", []), ("/plain", [f"{__name__}.slow_middleware"])], ids=["view", "middleware"]
)
async def test_the_time_limit_holds(path: str, middleware: list[str], caplog: pytest.LogCaptureFixture) -> None:
    with override_settings(REQUEST_TIMEOUT=0.05, MIDDLEWARE=middleware):
        sent = await ask(path)

    assert sent[0]["status"] == 504
    assert [record.getMessage() for record in caplog.records] == [f"Gateway Timeout: {path}: no response within 0.05 s (REQUEST_TIMEOUT)"]


async def test_the_time_limit_holds_for_a_blocking_view_below_synchronous_middleware() -> None:
    with override_settings(REQUEST_TIMEOUT=0.05, MIDDLEWARE=[f"{__name__}.sync_middleware"]):
        sent = await ask("/read_late")

    # The view still waits for the test.
    assert not ended.is_set()
    assert sent[0]["status"] == 504


async def test_a_timeout_of_the_view_itself_is_an_error_of_the_view(caplog: pytest.LogCaptureFixture) -> None:
    sent = await ask("/time_out")

    assert sent[0]["status"] == 500
    assert "TimeoutError" in caplog.text


async def test_a_request_that_ends_in_time_is_not_cancelled_later() -> None:
    with override_settings(REQUEST_TIMEOUT=0.5):
        assert (await ask("/plain"))[0]["status"] == 200
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_a_view_that_answers_while_its_thread_is_busy_keeps_the_request_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def leave_a_call_behind(request: HttpRequest) -> HttpResponse:
        call = asyncio.create_task(sync_to_async(read_late)(request))
        await asyncio.to_thread(started.wait, SECONDS)
        call.cancel()
        return HttpResponse("done")

    monkeypatch.setattr(f"{__name__}.urlpatterns", [path("left", csrf_exempt(leave_a_call_behind))])
    sent = await ask("/left")
    release.set()
    await asyncio.to_thread(ended.wait, SECONDS)

    assert sent[0]["status"] == 200
    assert found == [b"a body"]
