"""What the views of several subjects are made with."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from equivalence.recorder import note

# Paths of the asynchronous twins of views begin with it.
ASYNC = "async/"
MODES = ("", ASYNC)


def in_both_modes(route: str, view: Callable[..., HttpResponseBase]) -> list[URLPattern]:
    """Return the paths of a view that never blocks, and of its asynchronous twin."""
    return [path(route, view), path(ASYNC + route, asynchronous(view))]


def asynchronous(view: Callable[..., HttpResponseBase]) -> Callable[..., Awaitable[HttpResponseBase]]:
    """Return a coroutine function that does what a view does, and has been marked as it has."""

    @wraps(view)
    async def twin(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
        note("on the event loop:")
        return view(request, **arguments)

    return twin


def dismiss(request: Any) -> None:
    """Have the client do, from now on, what it is there to do."""
    request.scope["loop"].call_soon_threadsafe(request.scope["dismissed"].set)
