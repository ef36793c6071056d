"""Views that wait."""

import asyncio
from collections.abc import AsyncIterator

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.db import connection
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.urls import path


async def sleep(request: HttpRequest) -> JsonResponse:
    """Wait on the event loop, for as many seconds as the query says."""
    await asyncio.sleep(float(request.GET["seconds"]))
    return JsonResponse({})


async def read(request: HttpRequest) -> JsonResponse:
    """Wait for the database: read a row."""
    return JsonResponse({"users": await get_user_model().objects.acount()})


async def query(request: HttpRequest) -> JsonResponse:
    """Wait for the database, for as many seconds as the query says."""
    await sync_to_async(slow_query)(float(request.GET["seconds"]))
    return JsonResponse({})


def slow_query(seconds: float) -> None:
    """Have PostgreSQL take its time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [seconds])


async def ticks(number: float) -> AsyncIterator[bytes]:
    """Yield a number of lines, one every twentieth of a second."""
    while number > 0:
        yield b"tick\n"
        number -= 1
        await asyncio.sleep(0.05)


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Stream as many lines as the query says: `inf` for ever."""
    return StreamingHttpResponse(ticks(float(request.GET["lines"])))


async def endless(request: HttpRequest) -> StreamingHttpResponse:
    """Stream lines until the service stops."""
    from runtime.server.shutdown import until_stopping

    return StreamingHttpResponse(until_stopping(ticks(float("inf"))))


async def megabytes() -> AsyncIterator[bytes]:
    """Yield more than any buffer holds."""
    for _ in range(100):
        yield b"x" * 1_000_000


async def flood(request: HttpRequest) -> StreamingHttpResponse:
    """Stream more than a client takes that reads nothing."""
    return StreamingHttpResponse(megabytes())


urlpatterns = [path(f"{view.__name__}/", view) for view in (sleep, read, query, stream, endless, flood)]
