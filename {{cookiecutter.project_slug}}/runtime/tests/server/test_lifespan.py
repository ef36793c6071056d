"""The lifespan protocol: the order of resources, and what the server hears of their exceptions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from runtime.server.lifespan import LifespanMiddleware

STARTUP = {"type": "lifespan.startup"}
SHUTDOWN = {"type": "lifespan.shutdown"}


class Resources:
    """Two resources that note when they open and close, and fail where they are told to."""

    def __init__(self, failing: str = "") -> None:
        self.events: list[str] = []
        self.failing = failing

    def note(self, event: str) -> None:
        if event == self.failing:
            raise OSError(f"{event} failed")
        self.events.append(event)

    @asynccontextmanager
    async def first(self) -> AsyncIterator[None]:
        self.note("open first")
        yield
        self.note("close first")

    @asynccontextmanager
    async def second(self) -> AsyncIterator[None]:
        self.note("open second")
        yield
        self.note("close second")


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "seen", "scope": scope["type"]})


def server(resources: Resources, scope: str = "lifespan") -> ApplicationCommunicator:
    """Return the server's end of an application with two resources."""
    return ApplicationCommunicator(LifespanMiddleware(application, resources.first, resources.second), {"type": scope})


async def test_resources_open_in_order_and_close_in_reverse() -> None:
    resources = Resources()
    communicator = server(resources)

    await communicator.send_input(STARTUP)
    assert await communicator.receive_output() == {"type": "lifespan.startup.complete"}
    assert resources.events == ["open first", "open second"]
    await communicator.send_input(SHUTDOWN)
    assert await communicator.receive_output() == {"type": "lifespan.shutdown.complete"}
    assert resources.events[2:] == ["close second", "close first"]
    await communicator.wait()


async def test_a_resource_that_does_not_open_stops_the_start() -> None:
    resources = Resources(failing="open second")
    communicator = server(resources)

    await communicator.send_input(STARTUP)
    assert await communicator.receive_output() == {
        "type": "lifespan.startup.failed",
        "message": "open second failed",
    }
    with pytest.raises(OSError, match="open second failed"):
        await communicator.wait()


async def test_a_resource_that_does_not_close_is_reported_and_the_others_close() -> None:
    resources = Resources(failing="close second")
    communicator = server(resources)

    await communicator.send_input(STARTUP)
    await communicator.receive_output()
    await communicator.send_input(SHUTDOWN)
    assert await communicator.receive_output() == {
        "type": "lifespan.shutdown.failed",
        "message": "close second failed",
    }
    with pytest.raises(OSError, match="close second failed"):
        await communicator.wait()


async def test_everything_else_goes_to_the_application() -> None:
    resources = Resources()
    communicator = server(resources, scope="http")

    assert await communicator.receive_output() == {"type": "seen", "scope": "http"}
    assert resources.events == []
    await communicator.wait()
