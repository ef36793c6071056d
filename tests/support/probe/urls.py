"""Views that wait, and views that stream."""

import asyncio
from collections.abc import AsyncIterator

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.db import connection
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.urls import path


async def sleep(request: HttpRequest) -> JsonResponse:
    """Wait on the event loop for the seconds of the query string."""
    await asyncio.sleep(float(request.GET["seconds"]))
    return JsonResponse({})


async def read(request: HttpRequest) -> JsonResponse:
    """Read from the database."""
    return JsonResponse({"users": await get_user_model().objects.acount()})


async def query(request: HttpRequest) -> JsonResponse:
    """Wait for the database for the seconds of the query string."""
    await sync_to_async(slow_query)(float(request.GET["seconds"]))
    return JsonResponse({})


def slow_query(seconds: float) -> None:
    """Run a statement that takes some seconds in PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [seconds])


async def ticks(number: float) -> AsyncIterator[bytes]:
    """Yield a number of lines, 20 per second."""
    while number > 0:
        yield b"tick\n"
        number -= 1
        await asyncio.sleep(0.05)


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Stream the number of lines of the query string; `inf` never ends."""
    return StreamingHttpResponse(ticks(float(request.GET["lines"])))


async def endless(request: HttpRequest) -> StreamingHttpResponse:
    """Stream lines until the service stops."""
    from runtime.server.shutdown import until_stopping

    return StreamingHttpResponse(until_stopping(ticks(float("inf"))))


async def megabytes() -> AsyncIterator[bytes]:
    """Yield 100 MB, which is more than any buffer holds."""
    for _ in range(100):
        yield b"x" * 1_000_000


async def flood(request: HttpRequest) -> StreamingHttpResponse:
    """Stream more than the buffers of a client that reads nothing can hold."""
    return StreamingHttpResponse(megabytes())


urlpatterns = [path(f"{view.__name__}/", view) for view in (sleep, read, query, stream, endless, flood)]
