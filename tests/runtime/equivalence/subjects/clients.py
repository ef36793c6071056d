"""Clients that do not wait: what becomes of the view, of its response and of who waits for the end."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from equivalence.client import Client, case, get
from equivalence.recorder import describe, note
from equivalence.settings import USUAL
from equivalence.views import ASYNC, dismiss


async def wait(request: HttpRequest) -> HttpResponse:
    """Wait for ever."""
    dismiss(request)
    try:
        await asyncio.Event().wait()
    finally:
        note("view has ended")
    return HttpResponse("never")


async def insist(request: HttpRequest) -> HttpResponse:
    """Wait for ever, but answer when that is not to be."""
    dismiss(request)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError as error:
        note(f"not cancelled by {describe(error)}")
    return HttpResponse("nevertheless")


async def fail(request: HttpRequest) -> HttpResponse:
    """Wait for ever, and fail when that is not to be."""
    dismiss(request)
    try:
        await asyncio.Event().wait()
    finally:
        raise ValueError("instead of being cancelled")


async def give_up(request: HttpRequest) -> HttpResponse:
    """Give up by itself, as a view does that waits for somebody else only so long."""
    async with asyncio.timeout(0):
        await asyncio.Event().wait()
    return HttpResponse("never")


async def cancel_itself(request: HttpRequest) -> HttpResponse:
    """Raise what cancels a task."""
    raise asyncio.CancelledError("by the view")


def block(request: HttpRequest) -> HttpResponse:
    """Block a thread until the client has done what it is there to do, and a little longer."""
    dismiss(request)
    time.sleep(0.005)
    note("view has ended")
    return HttpResponse("late")


async def query(request: HttpRequest) -> HttpResponse:
    """Read the database after the client has gone."""
    from django.contrib.sessions.models import Session

    dismiss(request)
    await asyncio.sleep(0.005)
    return HttpResponse(str(await Session.objects.acount()))


async def modify(request: HttpRequest) -> HttpResponse:
    """Modify the session, and then wait for ever."""
    await request.session.aset("seen", 2)
    return await wait(request)


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Answer with a stream that never ends."""

    async def parts() -> AsyncIterator[str]:
        try:
            yield "one"
            dismiss(request)
            await asyncio.Event().wait()
        finally:
            note("stream has ended")

    return StreamingHttpResponse(parts())


def stream_busily(request: HttpRequest) -> StreamingHttpResponse:
    """Answer with a stream that never waits but for its client."""

    async def parts() -> AsyncIterator[str]:
        try:
            for number in range(50):
                yield str(number)
                if number == 3:
                    dismiss(request)
                await asyncio.sleep(0.001 if number < 10 else 10)
        finally:
            note("stream has ended")

    return StreamingHttpResponse(parts())


async def coincide(request: Any) -> HttpResponse:
    """Answer in the very step of the event loop in which the server says that the client has left."""
    await request.scope["listening"].wait()
    ready = asyncio.Event()

    def both() -> None:
        request.scope["dismissed"].set()
        ready.set()

    asyncio.get_running_loop().call_soon(both)
    await ready.wait()
    return HttpResponse("too late")


VIEWS = {
    "wait": wait,
    "insist": insist,
    "fail": fail,
    "give-up": give_up,
    "cancel-itself": cancel_itself,
    "query": query,
    "modify": modify,
    "stream": stream,
    "stream-busily": stream_busily,
    "coincide": coincide,
}

urlpatterns = [
    *(path(f"{ASYNC}clients/{name}/", view) for name, view in VIEWS.items()),
    path("clients/block/", block),
]

ROUTES = {
    Client.LEAVES: [*(f"{ASYNC}clients/{name}/" for name in VIEWS), "clients/block/"],
    Client.IS_DROPPED: [*(f"{ASYNC}clients/{name}/" for name in VIEWS if name != "coincide"), "clients/block/"],
    Client.TALKS_ON: [f"{ASYNC}clients/wait/", f"{ASYNC}clients/stream/"],
    Client.BREAKS: [f"{ASYNC}clients/wait/", f"{ASYNC}clients/stream/"],
    Client.PATIENT: [f"{ASYNC}clients/{name}/" for name in ("give-up", "cancel-itself", "query")],
}

cases = [
    *(
        case(
            f"{client.name.lower().replace('_', ' ')}, /{route}{name}",
            get(f"/{route}", client=client),
            MIDDLEWARE=middleware,
        )
        for client, routes in ROUTES.items()
        for route in routes
        for name, middleware in (("", USUAL), (", without middleware", []))
        # Django's own would still be in a thread when the client leaves.
        if not (middleware and "coincide" in route)
    ),
]
