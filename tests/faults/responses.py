"""Views for a rendered service whose responses are large, never end, or break."""

import asyncio
from collections.abc import AsyncIterator

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

PART = b"x" * 65_536
PLAIN_SIZE = 12 * 1024 * 1024  # bytes of the response that is not streamed

open_streams = 0


async def parts() -> AsyncIterator[bytes]:
    """Yield a few megabytes a second, until the stream is closed."""
    global open_streams
    open_streams += 1
    try:
        while True:
            yield PART
            await asyncio.sleep(0.01)
    finally:
        open_streams -= 1


async def parts_without_waiting() -> AsyncIterator[bytes]:
    """Yield 64 MB without awaiting: other requests run only if the server applies backpressure."""
    global open_streams
    open_streams += 1
    try:
        for _ in range(1_000):
            yield PART
    finally:
        open_streams -= 1


async def broken_parts() -> AsyncIterator[bytes]:
    """Yield one part, then fail."""
    yield b"first part\n"
    raise RuntimeError("the table is gone")


async def endless(request: HttpRequest) -> StreamingHttpResponse:
    """Stream without an end."""
    return StreamingHttpResponse(parts())


async def eager(request: HttpRequest) -> StreamingHttpResponse:
    """Stream 64 MB without awaiting between the parts."""
    return StreamingHttpResponse(parts_without_waiting())


async def broken(request: HttpRequest) -> StreamingHttpResponse:
    """Stream one part, then fail."""
    return StreamingHttpResponse(broken_parts())


async def plain(request: HttpRequest) -> HttpResponse:
    """Return PLAIN_SIZE bytes at once."""
    return HttpResponse(b"x" * PLAIN_SIZE)


async def count(request: HttpRequest) -> JsonResponse:
    """Return the number of open streams."""
    return JsonResponse({"open": open_streams})


urlpatterns = [path(f"{view.__name__}/", view) for view in (endless, eager, broken, plain, count)]
