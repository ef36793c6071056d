"""A service without WebSockets refuses a handshake."""

import pytest
from asgiref.testing import ApplicationCommunicator

from runtime.asgi import Receive, Scope, Send
from runtime.websockets.refusal import RefuseWebSocketMiddleware


async def http(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 204})


@pytest.mark.parametrize(
    ("kind", "event", "answer"),
    [
        ("websocket", "websocket.connect", "websocket.close"),
        ("http", "http.request", "http.response.start"),
    ],
)
async def test_only_a_handshake_is_refused(kind: str, event: str, answer: str) -> None:
    communicator = ApplicationCommunicator(RefuseWebSocketMiddleware(http), {"type": kind})

    await communicator.send_input({"type": event})
    assert (await communicator.receive_output())["type"] == answer
    await communicator.wait()
