"""What a WebSocket client sees of a graceful shutdown."""

import pytest
from django.conf import LazySettings

from runtime.development.websocket_client import WebSocketClient
from runtime.server.shutdown import get_shutdown_state


@pytest.fixture(autouse=True)
def _long_phases(settings: LazySettings) -> None:
    settings.SHUTDOWN_DELAY = settings.SHUTDOWN_GRACE = 600


async def test_a_socket_is_closed_and_its_consumer_knows() -> None:
    socket = WebSocketClient("/ws/products/")
    assert await socket.connect()

    get_shutdown_state().request(skip_drain=True)
    assert await socket.receive_output() == {"type": "websocket.close", "code": 1012}
    await socket.wait()
