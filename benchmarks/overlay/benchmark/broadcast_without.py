"""The service's application without one of the parts that make a broadcast fast. `BROADCAST_WITHOUT` names the part."""

import asyncio
import os
from typing import Any

import django

django.setup()

from catalog.consumers import ProductFeed  # noqa: E402
from channels.consumer import AsyncConsumer  # noqa: E402
from channels_redis.core import RedisChannelLayer  # noqa: E402
from runtime.conf import conf  # noqa: E402
from runtime.websockets import application as websockets  # noqa: E402
from runtime.websockets.channel_layer import ChannelLayer  # noqa: E402
from runtime.websockets.consumers import EventLoopConsumer  # noqa: E402
from runtime.websockets.guard import TRY_AGAIN_LATER, Socket  # noqa: E402


async def encode_and_send(self: ProductFeed, event: dict[str, Any]) -> None:
    """Encode the event for each socket."""
    await self.send_json({"message": "Hello"})


async def send_with_timer(self: Socket, message: Any) -> None:
    """Start a timer for each message, whether it waits for the client or not."""
    if self.is_closed or self.ended.done():
        return
    try:
        async with asyncio.timeout(conf.WEBSOCKET_SEND_TIMEOUT):
            await self.pass_on(message)
    except TimeoutError:
        self.end(TRY_AGAIN_LATER)


match os.environ["BROADCAST_WITHOUT"]:
    case "consumers":
        websockets.on_event_loop = lambda route: route
    case "tasks":
        EventLoopConsumer.__call__ = AsyncConsumer.__call__
    case "reader":
        ChannelLayer.receive = RedisChannelLayer.receive
    case "encoding":
        ProductFeed.product_saved = encode_and_send
    case "timers":
        Socket.send = send_with_timer
    case part:
        raise ValueError(f"BROADCAST_WITHOUT={part!r} is not a part")

from config.asgi import application  # noqa: E402, F401
