"""Messages between processes and sockets, through Valkey or Redis, which may be slow, full or away."""

import asyncio
import logging
from typing import Any

from channels.layers import get_channel_layer
from channels_redis.core import RedisChannelLayer
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import RedisError

# Seconds that whoever tells a group something waits for the channel layer to take it, at most.
TIMEOUT = 2.0

logger = logging.getLogger(__name__)


class ChannelLayer(RedisChannelLayer):
    """The layer of channels_redis, but whoever finds no connection free waits for one, where that one would fail.

    All sockets of a process share the connections, and after a restart all of them come back at once.
    """

    def create_pool(self, index: int) -> BlockingConnectionPool:
        """Return the connections to one of the hosts."""
        host = dict(self.hosts[index])
        return BlockingConnectionPool.from_url(host.pop("address"), **host)


class Doubts:
    """What is known of the channel layer from the last message: whether it was taken, whether one is on its way."""

    def __init__(self) -> None:
        self.it_failed = False
        self.somebody_tries = False


doubts = Doubts()


async def tell(group: str, message: dict[str, Any]) -> bool:
    """Send a message to every socket of a group, in all processes; tell whether the channel layer has taken it.

    It takes `TIMEOUT` seconds at most. After a failure one caller at a time waits to find out whether the layer is
    back, and the others give up at once: they hold a thread each. What nobody is told is logged.
    """
    if doubts.it_failed and doubts.somebody_tries:
        logger.warning("Nobody is told of %s: the channel layer is down", message["type"])
        return False
    doubts.somebody_tries = True
    try:
        async with asyncio.timeout(TIMEOUT):
            await get_channel_layer().group_send(group, message)
    except (TimeoutError, RedisError) as error:
        doubts.it_failed = True
        reason = str(error) or type(error).__name__
        logger.warning("Nobody is told of %s: the channel layer is down: %s", message["type"], reason)
        return False
    finally:
        doubts.somebody_tries = False
    doubts.it_failed = False
    return True
