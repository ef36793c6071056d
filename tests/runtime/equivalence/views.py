"""Helpers for the views of several subjects."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from equivalence.recorder import note

# The prefix of the URLs of asynchronous views.
ASYNC = "async/"
MODES = ("", ASYNC)


def in_both_modes(route: str, view: Callable[..., HttpResponseBase]) -> list[URLPattern]:
    """Return the URLs of a view that never blocks, and of the same view as a coroutine function."""
    return [path(route, view), path(ASYNC + route, asynchronous(view))]


def asynchronous(view: Callable[..., HttpResponseBase]) -> Callable[..., Awaitable[HttpResponseBase]]:
    """Return a view as a coroutine function with the same attributes."""

    @wraps(view)
    async def twin(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
        note("on the event loop:")
        return view(request, **arguments)

    return twin


def trigger_client(request: Any) -> None:
    """Trigger the behaviour of the request's `Client`, such as a disconnect."""
    request.scope["loop"].call_soon_threadsafe(request.scope["triggered"].set)
