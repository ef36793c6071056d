"""The phases of the graceful shutdown, and their effect on clients."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.conf import LazySettings
from django.test import AsyncClient

from runtime.conf import conf
from runtime.server.shutdown import ShutdownState, get_shutdown_state, until_stopping
from runtime.tests.service import application


@pytest.fixture(autouse=True)
def _long_phases(settings: LazySettings) -> None:
    """Make the phases too long to end without a signal."""
    settings.SHUTDOWN_DELAY = settings.SHUTDOWN_GRACE = 600


def phase(state: ShutdownState) -> str:
    """Return the name of the current phase."""
    reached = [name for name in ("draining", "stopping", "deadline_passed") if getattr(state, name).is_set()]
    return reached[-1] if reached else "serving"


async def get(path: str) -> Any:
    """Return the first message of the response: its status and headers."""
    scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"host", b"testserver")]}
    communicator = ApplicationCommunicator(application, scope)
    await communicator.send_input({"type": "http.request"})
    response_start = await communicator.receive_output()
    await communicator.wait()
    return response_start


async def events() -> AsyncIterator[int]:
    """Yield one event, and then wait forever."""
    yield 1
    await asyncio.Event().wait()


async def test_each_phase_ends_after_its_time(settings: LazySettings) -> None:
    settings.SHUTDOWN_DELAY = settings.SHUTDOWN_GRACE = 0.01
    state = get_shutdown_state()
    assert phase(state) == "serving"

    state.request()
    assert phase(state) == "draining"
    await state.stopping.wait()
    assert phase(state) == "stopping"
    await state.deadline_passed.wait()


async def test_request_with_skip_drain_starts_stopping_at_once() -> None:
    state = get_shutdown_state()
    state.request(skip_drain=True)
    assert phase(state) == "stopping"


async def test_request_starts_the_next_phase_except_for_a_duplicate(monkeypatch: pytest.MonkeyPatch) -> None:
    state = get_shutdown_state()
    state.request()
    state.request()
    assert phase(state) == "draining"
    monkeypatch.setattr(conf, "DUPLICATE_SIGNAL_WINDOW", -1)
    state.begin()
    assert phase(state) == "draining"
    state.request()
    assert phase(state) == "stopping"
    state.request()
    assert phase(state) == "deadline_passed"


async def test_listeners_are_called_once_and_awaited() -> None:
    state, notified = get_shutdown_state(), []

    with state.notify_on_stop(lambda: notified.append("early")):
        state.request(skip_drain=True)
        state.stop()
        waiting = asyncio.create_task(state.wait_for_listeners())
        await asyncio.sleep(0.06)
        assert not waiting.done()
    with state.notify_on_stop(lambda: notified.append("late")):
        pass
    await waiting
    assert notified == ["early", "late"]


async def test_until_stopping_ends_when_the_service_stops() -> None:
    stream = until_stopping(events())

    assert await anext(stream) == 1
    asyncio.get_running_loop().call_soon(get_shutdown_state().request, True)
    assert [event async for event in stream] == []
    assert [event async for event in until_stopping(events())] == []


async def test_until_stopping_raises_the_exception_of_its_iterator() -> None:
    async def failing() -> AsyncIterator[int]:
        yield 1
        raise TimeoutError("its own")

    stream = until_stopping(failing())
    assert await anext(stream) == 1
    with pytest.raises(TimeoutError, match="its own"):
        await anext(stream)


async def test_draining_fails_the_readiness_probe_and_closes_connections(caplog: pytest.LogCaptureFixture) -> None:
    live = await get("/health/live")
    assert (live["status"], (b"Connection", b"close") in live["headers"]) == (200, False)

    get_shutdown_state().request()
    response = await AsyncClient().get("/health/ready")
    assert (response.status_code, response.json()) == (503, {"status": "stopping"})
    assert not caplog.records, "Django logs other 503 as errors"
    live = await get("/health/live")
    assert (live["status"], (b"Connection", b"close") in live["headers"]) == (200, True)
