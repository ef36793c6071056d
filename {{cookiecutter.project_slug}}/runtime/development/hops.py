"""What a service's own tests need to hold its requests to the event loop."""

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

# These only pass a call on to a thread. Who has called them is of interest.
PLUMBING = ("asgiref", "asyncio", "concurrent", "contextlib")


@dataclass(frozen=True)
class Hop:
    """One switch from the event loop to a thread: what was called there, and by whom, innermost first."""

    function: str
    callers: tuple[str, ...]


@contextmanager
def count_hops() -> Iterator[list[Hop]]:
    """Collect every switch to a thread in the block, whichever code causes it.

        with count_hops() as hops:
            await client.get("/health/live")
        assert not hops

    Django's, a library's, `sync_to_async` and `asyncio.to_thread`: all of them end in `run_in_executor` of the event
    loop, which has to be asyncio's own, as in tests. Resolving the name of a host is a hop too.
    """
    hops: list[Hop] = []
    run_in_executor = asyncio.BaseEventLoop.run_in_executor

    def counting(loop: asyncio.BaseEventLoop, executor: Any, function: Callable[..., Any], *args: Any) -> Any:
        hop = Hop(name(function), tuple(callers(sys._getframe(1))))
        future = run_in_executor(loop, executor, function, *args)
        # The ORM's reads of PostgreSQL stay on the event loop.
        if not getattr(future, "is_on_loop", False):
            hops.append(hop)
        return future

    with patch.object(asyncio.BaseEventLoop, "run_in_executor", counting):
        yield hops


def name(function: Callable[..., Any]) -> str:
    """Return the dotted name of a function that is sent to a thread, without what it is wrapped in."""
    while isinstance(function, partial):
        wrapper = function.func
        inside = [argument for argument in function.args if callable(argument)]
        is_plumbing = isinstance(getattr(wrapper, "__self__", None), Context) or is_part_of_plumbing(wrapper.__module__)
        function = inside[-1] if is_plumbing and inside else wrapper
    return f"{function.__module__}.{getattr(function, '__qualname__', type(function).__qualname__)}"


def callers(frame: FrameType | None) -> Iterator[str]:
    """Yield where a frame was called from, innermost first, as far as Django's handler or the event loop."""
    found = False
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module == "asyncio.events" or (found and module.startswith("django.core.handlers")):
            return
        if not is_part_of_plumbing(module):
            found = True
            yield f"{module}.{frame.f_code.co_qualname}:{frame.f_lineno}"
        frame = frame.f_back


def is_part_of_plumbing(module: str | None) -> bool:
    """Tell whether a module belongs to one of the packages that only pass a call on."""
    return (module or "").partition(".")[0] in PLUMBING
