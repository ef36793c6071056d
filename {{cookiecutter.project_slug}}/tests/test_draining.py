"""The way of a process to its end: when which phase begins, and what a client sees of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.conf import LazySettings
from django.test import AsyncClient

from config.asgi import application
from runtime import draining
# {% if cookiecutter.use_channels %}
from runtime.development.websocket_client import WebSocketClient
# {% endif %}
from runtime.draining import Stop, get_stop, until_stopping


@pytest.fixture(autouse=True)
def _timetable(settings: LazySettings) -> None:
    """Take minutes, in which no test comes to the next phase by itself."""
    settings.SHUTDOWN_DELAY = settings.SHUTDOWN_GRACE = 600


def phase(stop: Stop) -> str:
    """Return how far it is."""
    begun = [name for name in ("draining", "stopping", "over") if getattr(stop, name).is_set()]
    return begun[-1] if begun else "serving"


async def sent(path: str) -> Any:
    """Return what the application first tells the server when it answers a request."""
    scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"host", b"testserver")]}
    communicator = ApplicationCommunicator(application, scope)
    await communicator.send_input({"type": "http.request"})
    started = await communicator.receive_output()
    await communicator.wait()
    return started


async def events() -> AsyncIterator[int]:
    """Yield an event, and never another one."""
    yield 1
    await asyncio.Event().wait()


async def test_each_phase_ends_in_its_time(settings: LazySettings) -> None:
    settings.SHUTDOWN_DELAY = settings.SHUTDOWN_GRACE = 0.01
    stop = get_stop()
    assert phase(stop) == "serving"

    stop.ask()
    assert phase(stop) == "draining"
    await stop.stopping.wait()
    assert phase(stop) == "stopping"
    await stop.over.wait()


async def test_a_hurry_skips_the_delay_and_not_the_grace() -> None:
    stop = get_stop()
    stop.ask(hurry=True)
    assert phase(stop) == "stopping"


async def test_each_signal_goes_on_to_the_next_phase_unless_it_is_an_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = get_stop()
    stop.ask()
    stop.ask()
    assert phase(stop) == "draining"
    monkeypatch.setattr(draining, "ECHO", -1)
    stop.begin()
    assert phase(stop) == "draining"
    stop.ask()
    assert phase(stop) == "stopping"
    stop.ask()
    assert phase(stop) == "over"


async def test_who_would_not_end_is_told_once_and_waited_for() -> None:
    stop, told = get_stop(), []

    with stop.told(lambda: told.append("early")):
        stop.ask(hurry=True)
        stop.stop()
        waiting = asyncio.create_task(stop.nobody_left_to_tell())
        await asyncio.sleep(0.06)
        assert not waiting.done()
    with stop.told(lambda: told.append("late")):
        pass
    await waiting
    assert told == ["early", "late"]


async def test_a_stream_ends_when_the_service_stops() -> None:
    stream = until_stopping(events())

    assert await anext(stream) == 1
    asyncio.get_running_loop().call_soon(get_stop().ask, True)
    assert [event async for event in stream] == []
    assert [event async for event in until_stopping(events())] == []


async def test_a_stream_that_ends_or_fails_by_itself_does() -> None:
    async def failing() -> AsyncIterator[int]:
        yield 1
        raise TimeoutError("its own")

    stream = until_stopping(failing())
    assert await anext(stream) == 1
    with pytest.raises(TimeoutError, match="its own"):
        await anext(stream)


async def test_it_is_not_ready_while_it_drains_and_answers_on_connections_that_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    live = await sent("/health/live")
    assert (live["status"], (b"Connection", b"close") in live["headers"]) == (200, False)

    get_stop().ask()
    response = await AsyncClient().get("/health/ready")
    assert (response.status_code, response.json()) == (503, {"status": "stopping"})
    assert not caplog.records, "Django logs other 503 as errors"
    live = await sent("/health/live")
    assert (live["status"], (b"Connection", b"close") in live["headers"]) == (200, True)
# {% if cookiecutter.use_channels %}


async def test_a_socket_is_closed_and_its_consumer_knows() -> None:
    socket = WebSocketClient("/ws/products/")
    assert await socket.connect()

    get_stop().ask(hurry=True)
    assert await socket.receive_output() == {"type": "websocket.close", "code": 1012}
    await socket.wait()
# {% endif %}
