"""Views and middleware that run longer than their request, and write their results to a file."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

# Tasks that outlive their request.
tasks: set[asyncio.Task[None]] = set()


def note(line: str) -> None:
    """Append a line to the file that the test reads."""
    with Path(os.environ["PROBE_NOTES"]).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


@csrf_exempt
def read_late(request: HttpRequest) -> HttpResponse:
    """Read the body or the file of a request after some seconds, then raise ZeroDivisionError."""
    note("started")
    time.sleep(float(request.GET["seconds"]))
    if request.content_type == "multipart/form-data":
        note(f"file of {len(request.FILES['file'].read())} bytes")
    else:
        note(f"body of {len(request.body)} bytes")
    raise ZeroDivisionError("failed late")


def block(request: HttpRequest) -> HttpResponse:
    """Block the thread for some seconds."""
    time.sleep(float(request.GET["seconds"]))
    note("blocked no longer")
    return HttpResponse("done")


async def start_task(request: HttpRequest) -> HttpResponse:
    """Start a task that queries the database after the response."""
    task = asyncio.create_task(count_users())
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return HttpResponse("started")


async def count_users() -> None:
    """Count the users, twice, after the request has ended."""
    await asyncio.sleep(0.2)
    for _ in range(2):
        note(f"{await get_user_model().objects.acount()} users")


async def own_attribute(request: HttpRequest) -> JsonResponse:
    """Return the attribute that the middleware has set."""
    return JsonResponse({"deadline": request.deadline})  # type: ignore[attr-defined]


def sets_attribute(get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> object:
    """Set a request attribute whose name the machinery might use as well."""

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        request.deadline = "tomorrow"  # type: ignore[attr-defined]
        return await get_response(request)

    return middleware


sets_attribute.async_capable = True  # type: ignore[attr-defined]
sets_attribute.sync_capable = False  # type: ignore[attr-defined]


class SlowMiddleware:
    """An asynchronous middleware that waits before and after the view, as many seconds as two headers say."""

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> None:
        assert iscoroutinefunction(get_response)
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        await asyncio.sleep(float(request.headers.get("X-Wait-Before", "0")))
        response = await self.get_response(request)
        await asyncio.sleep(float(request.headers.get("X-Wait-After", "0")))
        return response


def synchronous(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Return a synchronous middleware that does nothing."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        return get_response(request)

    return middleware


urlpatterns = [path(f"{view.__name__}/", view) for view in (read_late, block, start_task, own_attribute)]
