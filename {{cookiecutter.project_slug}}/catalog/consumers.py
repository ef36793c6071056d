"""The WebSocket side of the catalog."""

import json
from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer

from catalog.events import PRODUCTS


class ProductFeed(AsyncJsonWebsocketConsumer):
    """A feed of saved products, for everyone.

    It sends `{"type": "product.saved", "product": {…}}`, answers `{"type": "ping"}` with `{"type": "pong"}`, and
    anything else with `{"type": "error", "detail": …}`.
    """

    groups = (PRODUCTS,)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any) -> None:
        """Answer one frame. No frame that the server lets through, however malformed, ends the connection."""
        try:
            message = json.loads(text_data or "")
        except (ValueError, RecursionError):
            await self.send_json({"type": "error", "detail": 'Not JSON text, such as {"type": "ping"}.'})
            return
        match message:
            case {"type": "ping"}:
                await self.send_json({"type": "pong"})
            case _:
                await self.send_json({"type": "error", "detail": 'Unknown message; there is {"type": "ping"}.'})

    async def product_saved(self, event: dict[str, Any]) -> None:
        """Pass on an event of the group."""
        await self.send_json(event)


class NotFound(AsyncWebsocketConsumer):
    """Refuses the handshake on a path that leads nowhere, where Channels would raise ValueError."""

    async def connect(self) -> None:
        """Close without having accepted: the server answers 403."""
        await self.close()
