"""The effect of a graceful shutdown on a WebSocket client."""

import pytest
from django.conf import LazySettings

from runtime.development.websocket_client import WebSocketClient
from runtime.server.shutdown import get_shutdown_state


@pytest.fixture(autouse=True)
def _long_phases(settings: LazySettings) -> None:
    settings.SHUTDOWN_DELAY = settings.SHUTDOWN_GRACE = 600


async def test_stopping_closes_the_socket_with_1012_and_ends_its_consumer() -> None:
    socket = WebSocketClient("/ws/products/")
    assert await socket.connect()

    get_shutdown_state().request(skip_drain=True)
    assert await socket.receive_output() == {"type": "websocket.close", "code": 1012}
    await socket.wait()
