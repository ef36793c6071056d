"""A WebSocket that waits for the database."""

from typing import Any

from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from probe.urls import slow_query


class SlowConsumer(AsyncJsonWebsocketConsumer):
    """Receives a number of seconds, and returns it after PostgreSQL has slept for that long."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await sync_to_async(slow_query)(content)
        await self.send_json(content)
