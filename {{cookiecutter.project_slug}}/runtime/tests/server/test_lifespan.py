"""The lifespan protocol: the order of resources, and the replies after their exceptions."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from runtime.server.lifespan import LifespanMiddleware

STARTUP = {"type": "lifespan.startup"}
SHUTDOWN = {"type": "lifespan.shutdown"}


class Resources:
    """Two resources that record when they open and close. One of these events may fail."""

    def __init__(self, failing: str = "") -> None:
        self.events: list[str] = []
        self.failing = failing

    def record(self, event: str) -> None:
        if event == self.failing:
            raise OSError(f"{event} failed")
        self.events.append(event)

    @asynccontextmanager
    async def first(self) -> AsyncIterator[None]:
        self.record("open first")
        yield
        self.record("close first")

    @asynccontextmanager
    async def second(self) -> AsyncIterator[None]:
        self.record("open second")
        yield
        self.record("close second")


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "called", "scope": scope["type"]})


def connect(resources: Resources, scope: str = "lifespan") -> ApplicationCommunicator:
    """Return the server's side of an application with two resources."""
    return ApplicationCommunicator(LifespanMiddleware(application, resources.first, resources.second), {"type": scope})


async def test_garbage_collection_skips_what_start_up_created() -> None:
    communicator = connect(Resources())

    await communicator.send_input(STARTUP)
    assert await communicator.receive_output() == {"type": "lifespan.startup.complete"}
    assert gc.get_freeze_count() > 0
    await communicator.send_input(SHUTDOWN)
    await communicator.wait()
    assert gc.get_freeze_count() == 0


async def test_resources_open_in_order_and_close_in_reverse() -> None:
    resources = Resources()
    communicator = connect(resources)

    await communicator.send_input(STARTUP)
    assert await communicator.receive_output() == {"type": "lifespan.startup.complete"}
    assert resources.events == ["open first", "open second"]
    await communicator.send_input(SHUTDOWN)
    assert await communicator.receive_output() == {"type": "lifespan.shutdown.complete"}
    assert resources.events[2:] == ["close second", "close first"]
    await communicator.wait()


async def test_resource_that_fails_to_open_fails_the_startup() -> None:
    resources = Resources(failing="open second")
    communicator = connect(resources)

    await communicator.send_input(STARTUP)
    assert await communicator.receive_output() == {
        "type": "lifespan.startup.failed",
        "message": "open second failed",
    }
    with pytest.raises(OSError, match="open second failed"):
        await communicator.wait()


async def test_resource_that_fails_to_close_fails_the_shutdown() -> None:
    resources = Resources(failing="close second")
    communicator = connect(resources)

    await communicator.send_input(STARTUP)
    await communicator.receive_output()
    await communicator.send_input(SHUTDOWN)
    assert await communicator.receive_output() == {
        "type": "lifespan.shutdown.failed",
        "message": "close second failed",
    }
    with pytest.raises(OSError, match="close second failed"):
        await communicator.wait()


async def test_other_scope_calls_the_application() -> None:
    resources = Resources()
    communicator = connect(resources, scope="http")

    assert await communicator.receive_output() == {"type": "called", "scope": "http"}
    assert resources.events == []
    await communicator.wait()
