"""Whose pages may open sockets."""

import pytest
from asgiref.testing import ApplicationCommunicator

from config.asgi import application


@pytest.mark.parametrize(
    "origins",
    [
        [],
        [b"null"],
        [b"http://evil.example"],
        [b"http://["],
        [b"http://testserver:port"],
        [b"\xff"],
        [b"http://evil.example", b"http://testserver"],
        [b"http://testserver", b"http://evil.example"],
    ],
)
async def test_other_origins_are_refused(origins: list[bytes]) -> None:
    headers = [(b"host", b"testserver"), *((b"origin", origin) for origin in origins)]
    scope = {"type": "websocket", "path": "/ws/products/", "headers": headers, "subprotocols": []}
    communicator = ApplicationCommunicator(application, scope)

    await communicator.send_input({"type": "websocket.connect"})
    assert (await communicator.receive_output())["type"] == "websocket.close"
    await communicator.send_input({"type": "websocket.disconnect", "code": 1006})
    await communicator.wait()
