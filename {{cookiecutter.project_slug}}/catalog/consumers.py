"""The WebSocket consumers of the catalog."""

import json
from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer

from catalog.events import PRODUCTS


class ProductFeed(AsyncJsonWebsocketConsumer):
    """A public feed of saved products.

    It sends `{"type": "product.saved", "product": {…}}` for each saved product. It answers `{"type": "ping"}` with
    `{"type": "pong"}`, and every other frame with `{"type": "error", "detail": …}`.
    """

    groups = (PRODUCTS,)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any) -> None:
        """Answer one frame. A malformed frame does not close the connection."""
        try:
            message = json.loads(text_data or "")
        except (ValueError, RecursionError):
            await self.send_json({"type": "error", "detail": 'Invalid JSON. Send text such as {"type": "ping"}.'})
            return
        match message:
            case {"type": "ping"}:
                await self.send_json({"type": "pong"})
            case _:
                await self.send_json({"type": "error", "detail": 'Unknown message. Send {"type": "ping"}.'})

    async def product_saved(self, event: dict[str, Any]) -> None:
        """Send the text of an event to the client. Channels calls this for the type `product.saved`."""
        await self.send(text_data=event["text"])


class UnknownPath(AsyncWebsocketConsumer):
    """Refuses the handshake on a path that no other pattern matches."""

    async def connect(self) -> None:
        """Close without accepting. The client gets a 403."""
        await self.close()
