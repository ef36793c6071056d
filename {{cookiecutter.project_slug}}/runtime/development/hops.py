"""Counts the switches from the event loop to a thread, for tests."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any
from unittest.mock import patch

# Packages that only forward calls to a thread. A hop names their caller instead.
FORWARDING_PACKAGES = ("asgiref", "asyncio", "concurrent", "contextlib")


@dataclass(frozen=True)
class Hop:
    """One switch from the event loop to a thread: the function called there, and its callers, innermost first."""

    function: str
    callers: tuple[str, ...]


@contextmanager
def count_hops() -> Iterator[list[Hop]]:
    """Collect every switch to a thread in the block, in any code.

        with count_hops() as hops:
            await client.get("/health/live")
        assert not hops

    It patches `run_in_executor` of asyncio's own event loop, through which all switches go: Django's, a library's,
    `sync_to_async` and `asyncio.to_thread`. Resolving a host name is a hop too.
    """
    hops: list[Hop] = []
    run_in_executor = asyncio.BaseEventLoop.run_in_executor

    def counting(loop: asyncio.BaseEventLoop, executor: Any, function: Callable[..., Any], *args: Any) -> Any:
        hop = Hop(dotted_name(function), tuple(callers(sys._getframe(1))))
        future = run_in_executor(loop, executor, function, *args)
        # The ORM's reads of PostgreSQL stay on the event loop.
        if not getattr(future, "is_on_loop", False):
            hops.append(hop)
        return future

    with patch.object(asyncio.BaseEventLoop, "run_in_executor", counting):
        yield hops


def dotted_name(function: Callable[..., Any]) -> str:
    """Return the dotted name of a function that is sent to a thread, without its wrappers."""
    while isinstance(function, partial):
        wrapper = function.func
        wrapped = [argument for argument in function.args if callable(argument)]
        forwards = isinstance(getattr(wrapper, "__self__", None), Context) or only_forwards(wrapper.__module__)
        function = wrapped[-1] if forwards and wrapped else wrapper
    return f"{function.__module__}.{getattr(function, '__qualname__', type(function).__qualname__)}"


def callers(frame: FrameType | None) -> Iterator[str]:
    """Yield the callers of a frame, innermost first, up to Django's handler or the event loop."""
    found = False
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module == "asyncio.events" or (found and module.startswith("django.core.handlers")):
            return
        if not only_forwards(module):
            found = True
            yield f"{module}.{frame.f_code.co_qualname}:{frame.f_lineno}"
        frame = frame.f_back


def only_forwards(module: str | None) -> bool:
    """Tell whether a module belongs to one of the forwarding packages."""
    return (module or "").partition(".")[0] in FORWARDING_PACKAGES
