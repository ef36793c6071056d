"""A WebSocket client for tests, which calls the ASGI application without a server."""

import json
from typing import Any

from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.utils.module_loading import import_string


class WebSocketClient(ApplicationCommunicator):
    """A connection to a path. By default its `Origin` is the service's own."""

    def __init__(self, path: str, origin: str | None = "http://testserver") -> None:
        headers = [(b"host", b"testserver")] + ([(b"origin", origin.encode())] if origin else [])
        super().__init__(
            import_string(settings.ASGI_APPLICATION),
            {"type": "websocket", "path": path, "headers": headers, "subprotocols": []},
        )

    async def connect(self) -> bool:
        """Send the handshake. Return whether the application accepts it."""
        await self.send_input({"type": "websocket.connect"})
        answer = await self.receive_output()
        return bool(answer["type"] == "websocket.accept")

    async def disconnect(self) -> None:
        """Disconnect, and wait until the application has returned."""
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait()

    async def send(self, *, text: str | None = None, data: bytes | None = None) -> None:
        """Send a text frame or a binary frame."""
        await self.send_input({"type": "websocket.receive", "text": text, "bytes": data})

    async def receive_json(self) -> Any:
        """Return the JSON of the next frame, which must arrive within a second."""
        answer = await self.receive_output()
        if answer["type"] != "websocket.send":
            raise AssertionError(f"expected a frame, got {answer}")
        return json.loads(answer["text"])
