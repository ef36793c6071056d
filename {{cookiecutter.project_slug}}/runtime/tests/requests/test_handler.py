"""The handler: the time limit of a request, and a view that still runs after its request."""

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

TIMEOUT = 5.0  # seconds

started, release, ended = threading.Event(), threading.Event(), threading.Event()
bodies: list[object] = []


@csrf_exempt
def read_late(request: HttpRequest) -> HttpResponse:
    """Read the body when the test allows it, and then raise an exception."""
    started.set()
    release.wait(TIMEOUT)
    try:
        bodies.append(request.body)
    finally:
        ended.set()
    raise ZeroDivisionError


async def wait(request: HttpRequest) -> HttpResponse:
    """Wait forever."""
    await asyncio.Event().wait()
    return HttpResponse("never")


async def time_out(request: HttpRequest) -> HttpResponse:
    """Raise a TimeoutError of its own."""
    async with asyncio.timeout(0):
        return await wait(request)


def slow_middleware(get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> object:
    """Wait forever after the view."""

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        await get_response(request)
        return await wait(request)

    return middleware


slow_middleware.async_capable = True
slow_middleware.sync_capable = False


def sync_middleware(get_response: Callable[[HttpRequest], HttpResponseBase]) -> object:
    """Call the view from a thread."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        return get_response(request)

    return middleware


def plain(request: HttpRequest) -> HttpResponse:
    """Return a response without waiting."""
    return HttpResponse("done")


urlpatterns = [path(view.__name__, view) for view in (read_late, wait, time_out, plain)]


@pytest.fixture(autouse=True)
def views() -> Iterator[None]:
    """Serve the views above."""
    for event in (started, release, ended):
        event.clear()
    bodies.clear()
    with override_settings(ROOT_URLCONF=__name__, REQUEST_TIMEOUT=TIMEOUT, MIDDLEWARE=[]):
        yield
        release.set()
    # It cached the middleware of a test.
    header_middleware.cache_clear()


async def post(path: str, wait_for_disconnect: Callable[[], object] | None = None) -> list[Any]:
    """Post a body, and disconnect when a function in a thread returns. Return the messages sent to the client."""
    unread: list[dict[str, object]] = [{"type": "http.request", "body": b"a body"}]
    sent: list[Any] = []

    async def receive() -> dict[str, object]:
        if unread:
            return unread.pop(0)
        if wait_for_disconnect is None:
            await asyncio.Event().wait()
        else:
            await asyncio.to_thread(wait_for_disconnect)
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


@pytest.mark.parametrize("disconnects", [True, False])
async def test_view_that_outlives_its_request_can_read_the_body(
    disconnects: bool, caplog: pytest.LogCaptureFixture
) -> None:
    finished: list[bool] = []
    signal_sent = threading.Event()

    def record_finished(**kwargs: object) -> None:
        finished.append(ended.is_set())
        signal_sent.set()

    request_finished.connect(record_finished)
    try:
        with override_settings(REQUEST_TIMEOUT=TIMEOUT if disconnects else 0.05):
            sent = await post("/read_late", (lambda: started.wait(TIMEOUT)) if disconnects else None)
        assert [message.get("status") for message in sent[:1]] == ([] if disconnects else [504])
        assert not finished
        release.set()
        assert await asyncio.to_thread(signal_sent.wait, TIMEOUT)
    finally:
        request_finished.disconnect(record_finished)

    assert bodies == [b"a body"]
    assert finished == [True]
    # The same thread logs the exception after it has sent the signal.
    assert await asyncio.to_thread(get_worker_pool().drain, TIMEOUT)
    assert "A blocking call failed after its request was cancelled" in caplog.text
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("path", "middleware"), [("/wait", []), ("/plain", [f"{__name__}.slow_middleware"])], ids=["view", "middleware"]
)
async def test_request_after_its_time_limit_is_504(
    path: str, middleware: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(REQUEST_TIMEOUT=0.05, MIDDLEWARE=middleware):
        sent = await post(path)

    assert sent[0]["status"] == 504
    [record] = caplog.records
    assert record.getMessage() == f"Gateway Timeout: {path}: no response within 0.05 s (REQUEST_TIMEOUT)"


async def test_blocking_view_below_synchronous_middleware_is_504_after_its_time_limit() -> None:
    with override_settings(REQUEST_TIMEOUT=0.05, MIDDLEWARE=[f"{__name__}.sync_middleware"]):
        sent = await post("/read_late")

    # The view still waits for the test.
    assert not ended.is_set()
    assert sent[0]["status"] == 504


async def test_timeout_error_of_a_view_is_500(caplog: pytest.LogCaptureFixture) -> None:
    sent = await post("/time_out")

    assert sent[0]["status"] == 500
    assert "TimeoutError" in caplog.text


async def test_request_that_ends_in_time_is_not_cancelled_later() -> None:
    with override_settings(REQUEST_TIMEOUT=0.5):
        assert (await post("/plain"))[0]["status"] == 200
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_request_with_a_running_call_stays_open_after_the_response(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def leave_a_call_behind(request: HttpRequest) -> HttpResponse:
        call = asyncio.create_task(sync_to_async(read_late)(request))
        await asyncio.to_thread(started.wait, TIMEOUT)
        call.cancel()
        return HttpResponse("done")

    monkeypatch.setattr(f"{__name__}.urlpatterns", [path("left", csrf_exempt(leave_a_call_behind))])
    sent = await post("/left")
    release.set()
    await asyncio.to_thread(ended.wait, TIMEOUT)

    assert sent[0]["status"] == 200
    assert bodies == [b"a body"]
