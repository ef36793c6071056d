"""Clients that disconnect: how the view, its response and receivers of request_finished end."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from equivalence.client import Client, case, get
from equivalence.recorder import describe, note
from equivalence.settings import USUAL
from equivalence.views import ASYNC, trigger_client


async def wait(request: HttpRequest) -> HttpResponse:
    """Wait forever."""
    trigger_client(request)
    try:
        await asyncio.Event().wait()
    finally:
        note("view has ended")
    return HttpResponse("never")


async def insist(request: HttpRequest) -> HttpResponse:
    """Wait forever, but respond when the view is cancelled."""
    trigger_client(request)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError as error:
        note(f"not cancelled by {describe(error)}")
    return HttpResponse("nevertheless")


async def fail(request: HttpRequest) -> HttpResponse:
    """Wait forever, but raise ValueError when the view is cancelled."""
    trigger_client(request)
    try:
        await asyncio.Event().wait()
    finally:
        raise ValueError("instead of being cancelled")


async def give_up(request: HttpRequest) -> HttpResponse:
    """Raise TimeoutError, as a view with a timeout of its own does."""
    async with asyncio.timeout(0):
        await asyncio.Event().wait()
    return HttpResponse("never")


async def cancel_itself(request: HttpRequest) -> HttpResponse:
    """Raise CancelledError."""
    raise asyncio.CancelledError("by the view")


def block(request: HttpRequest) -> HttpResponse:
    """Block a thread until the client has disconnected, and a little longer."""
    trigger_client(request)
    time.sleep(0.005)
    note("view has ended")
    return HttpResponse("late")


async def query(request: HttpRequest) -> HttpResponse:
    """Query the database after the client has disconnected."""
    from django.contrib.sessions.models import Session

    trigger_client(request)
    await asyncio.sleep(0.005)
    return HttpResponse(str(await Session.objects.acount()))


async def modify(request: HttpRequest) -> HttpResponse:
    """Modify the session, and then wait forever."""
    await request.session.aset("seen", 2)
    return await wait(request)


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Respond with a stream that never ends."""

    async def parts() -> AsyncIterator[str]:
        try:
            yield "one"
            trigger_client(request)
            await asyncio.Event().wait()
        finally:
            note("stream has ended")

    return StreamingHttpResponse(parts())


def stream_busily(request: HttpRequest) -> StreamingHttpResponse:
    """Respond with a stream that waits for nothing but its client."""

    async def parts() -> AsyncIterator[str]:
        try:
            for number in range(50):
                yield str(number)
                if number == 3:
                    trigger_client(request)
                await asyncio.sleep(0.001 if number < 10 else 10)
        finally:
            note("stream has ended")

    return StreamingHttpResponse(parts())


async def coincide(request: Any) -> HttpResponse:
    """Respond in the same step of the event loop in which the server reports the disconnect."""
    await request.scope["receiving"].wait()
    ready = asyncio.Event()

    def both() -> None:
        request.scope["triggered"].set()
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
    Client.DISCONNECTS: [*(f"{ASYNC}clients/{name}/" for name in VIEWS), "clients/block/"],
    Client.REQUEST_CANCELLED: [*(f"{ASYNC}clients/{name}/" for name in VIEWS if name != "coincide"), "clients/block/"],
    Client.SENDS_TOO_MUCH: [f"{ASYNC}clients/wait/", f"{ASYNC}clients/stream/"],
    Client.CONNECTION_BREAKS: [f"{ASYNC}clients/wait/", f"{ASYNC}clients/stream/"],
    Client.NORMAL: [f"{ASYNC}clients/{name}/" for name in ("give-up", "cancel-itself", "query")],
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
        # Django's own middleware would still be in a thread when the client disconnects.
        if not (middleware and "coincide" in route)
    ),
]
