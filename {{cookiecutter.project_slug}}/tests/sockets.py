"""The client's end of a WebSocket to the application, without a server between them."""

import json
from typing import Any

from asgiref.testing import ApplicationCommunicator

from config.asgi import application


class Socket(ApplicationCommunicator):
    """A WebSocket to a path, from a page of the service unless another origin is given."""

    def __init__(self, path: str, origin: str | None = "http://testserver") -> None:
        headers = [(b"host", b"testserver")] + ([(b"origin", origin.encode())] if origin else [])
        super().__init__(application, {"type": "websocket", "path": path, "headers": headers, "subprotocols": []})

    async def connect(self) -> bool:
        """Shake hands; tell whether the application accepts."""
        await self.send_input({"type": "websocket.connect"})
        answer = await self.receive_output()
        return bool(answer["type"] == "websocket.accept")

    async def disconnect(self) -> None:
        """Leave, and wait until the application has noticed."""
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait()

    async def send(self, *, text: str | None = None, data: bytes | None = None) -> None:
        """Send a frame of text or of bytes."""
        await self.send_input({"type": "websocket.receive", "text": text, "bytes": data})

    async def receive(self) -> Any:
        """Return the next message, which must come within a second."""
        answer = await self.receive_output()
        assert answer["type"] == "websocket.send", answer
        return json.loads(answer["text"])
