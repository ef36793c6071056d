"""Streams and files: the messages that are sent, and the resources that are closed."""

import asyncio
import io
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from equivalence.client import Client, case, get
from equivalence.fixtures import KNOWN
from equivalence.recorder import describe, note
from equivalence.views import ASYNC, MODES, in_both_modes

SESSION = {"sessionid": KNOWN}


def parts() -> Iterator[str]:
    """Yield a few parts, one of which is too long for one message."""
    try:
        for part in ("one", "two" * 30000, ""):
            note(f"part of {len(part)}")
            yield part
    finally:
        note("no more parts")


async def aparts() -> AsyncIterator[str]:
    """Yield the same parts."""
    try:
        for part in parts():
            yield part
    finally:
        note("no more asynchronous parts")


def failing() -> Iterator[str]:
    """Raise ValueError after the first part."""
    yield "one"
    raise ValueError("after the first part")


async def afailing() -> AsyncIterator[str]:
    """Raise ValueError after the first part."""
    for part in failing():
        yield part


async def querying() -> AsyncIterator[str]:
    """Yield the keys of the sessions in the database."""
    from django.contrib.sessions.models import Session

    async for session in Session.objects.order_by("session_key"):
        yield session.session_key


class Resource:
    """Notes that it is closed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"from a resource"])

    def close(self) -> None:
        note(f"{self.name} is closed")


class Closing(HttpResponse):
    """A response with a `close` of its own."""

    def close(self) -> None:
        """Note the beginning and the end of the parent's `close`."""
        note("closing")
        super().close()
        note("closed")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Respond with an iterator."""
    return StreamingHttpResponse(parts())


def astream(request: HttpRequest) -> StreamingHttpResponse:
    """Respond with an asynchronous iterator."""
    return StreamingHttpResponse(aparts())


def fail(request: HttpRequest) -> StreamingHttpResponse:
    """Respond with an iterator that fails."""
    return StreamingHttpResponse(afailing() if "async" in request.GET else failing())


def query(request: HttpRequest) -> StreamingHttpResponse:
    """Respond with an asynchronous iterator that reads the database."""
    return StreamingHttpResponse(querying())


def read_on(request: HttpRequest) -> StreamingHttpResponse:
    """Respond with rows that the view has begun to read from the database."""
    from django.contrib.sessions.models import Session

    rows = Session.objects.order_by("session_key").values_list("session_key", flat=True).iterator(chunk_size=1)
    first = next(rows)

    def on() -> Iterator[str]:
        yield first
        # Enough time for the end of the view to close the connection.
        time.sleep(0.02)
        yield from rows

    return StreamingHttpResponse(on())


async def aread_on(request: HttpRequest) -> StreamingHttpResponse:
    """Respond with rows that the view has begun to read from the database."""
    from django.contrib.sessions.models import Session

    rows = Session.objects.order_by("session_key").values_list("session_key", flat=True).aiterator(chunk_size=1)
    first = await anext(rows)

    async def on() -> AsyncIterator[str]:
        yield first
        # Enough time for the end of the view to close the connection.
        await asyncio.sleep(0.02)
        async for row in rows:
            yield row

    return StreamingHttpResponse(on())


def write_session(request: HttpRequest) -> StreamingHttpResponse:
    """Respond with a stream, and modify the session before it is sent."""
    request.session["seen"] = 2
    return StreamingHttpResponse(parts())


async def awrite_session(request: HttpRequest) -> StreamingHttpResponse:
    """Respond with a stream, and modify the session before it is sent."""
    await request.session.aset("seen", 2)
    return StreamingHttpResponse(aparts())


def write_session_late(request: HttpRequest) -> StreamingHttpResponse:
    """Respond with a stream that modifies the session while it is sent, which is too late."""

    async def late() -> AsyncIterator[str]:
        request.session["seen"] = 2
        yield "late"

    return StreamingHttpResponse(late())


def resource(request: HttpRequest) -> StreamingHttpResponse:
    """Respond with a stream that has a `close`."""
    return StreamingHttpResponse(Resource("the stream"))


def send_file(request: HttpRequest) -> FileResponse:
    """Respond with a file."""
    file = tempfile.NamedTemporaryFile(suffix=".txt")  # noqa: SIM115
    file.write(b"file" * 30000)
    file.seek(0)
    return FileResponse(file, as_attachment=True, filename="file.txt")


def send_memory(request: HttpRequest) -> FileResponse:
    """Respond with a file that is in memory."""
    return FileResponse(io.BytesIO(b"memory"), content_type="application/octet-stream")


def close_own(request: HttpRequest) -> Closing:
    """Respond with a response that has a `close` of its own."""
    return Closing("closing")


def close_instance(request: HttpRequest) -> HttpResponse:
    """Respond with a response whose `close` was replaced by one with a query."""
    from django.contrib.sessions.models import Session

    response = HttpResponse("closing")
    close = response.close

    def replaced() -> None:
        note(f"closing, with {Session.objects.count()} sessions")
        close()

    response.close = replaced
    return response


def close_resources(request: HttpRequest) -> HttpResponse:
    """Respond with a response with resources: closing one fails, and closing another makes a query."""
    from django.contrib.sessions.models import Session

    def count() -> None:
        try:
            note(f"closing, with {Session.objects.count()} sessions")
        except Exception as error:
            note(f"not closed: {describe(error)}")
            raise

    def broken() -> None:
        note("a broken resource")
        raise ValueError("cannot be closed")

    response: Any = HttpResponse("resources")
    response._resource_closers += [Resource("a resource").close, broken, count]
    return response


def close_iterator(request: HttpRequest) -> HttpResponse:
    """Respond with the items of an iterator, which Django closes at once."""
    return HttpResponse(Resource("the content"))


urlpatterns = [
    *in_both_modes("streams/sync/", stream),
    *in_both_modes("streams/async/", astream),
    *in_both_modes("streams/fail/", fail),
    *in_both_modes("streams/query/", query),
    path("streams/read-on/", read_on),
    path(f"{ASYNC}streams/read-on/", aread_on),
    path("streams/session/", write_session),
    path(f"{ASYNC}streams/session/", awrite_session),
    path("streams/session-late/", write_session_late),
    *in_both_modes("streams/resource/", resource),
    *in_both_modes("streams/file/", send_file),
    *in_both_modes("streams/memory/", send_memory),
    *in_both_modes("streams/close-own/", close_own),
    *in_both_modes("streams/close-instance/", close_instance),
    *in_both_modes("streams/close-resources/", close_resources),
    *in_both_modes("streams/close-iterator/", close_iterator),
]

ROUTES = (
    "streams/sync/",
    "streams/async/",
    "streams/fail/",
    "streams/fail/?async",
    "streams/query/",
    "streams/session/",
    "streams/resource/",
    "streams/file/",
    "streams/memory/",
    "streams/close-own/",
    "streams/close-instance/",
    "streams/close-resources/",
    "streams/close-iterator/",
)

cases = [
    *(case(f"/{mode}{route}", get(f"/{mode}{route}", cookies=SESSION)) for mode in MODES for route in ROUTES),
    *(
        case(f"/{mode}{route}, to a slow client", get(f"/{mode}{route}", client=Client.SLOW), MIDDLEWARE=[])
        for mode in MODES
        for route in ROUTES
        if "session" not in route
    ),
    *(
        case(f"/{mode}{route}, sending fails", get(f"/{mode}{route}", client=Client.SEND_FAILS))
        for mode in MODES
        for route in ("plain/", "streams/sync/", "streams/async/", "streams/file/", "streams/close-own/")
    ),
    *(case(f"a stream that the view has begun to read, /{mode}", get(f"/{mode}streams/read-on/")) for mode in MODES),
    case("a session that is modified too late", get("/streams/session-late/", cookies=SESSION)),
]
