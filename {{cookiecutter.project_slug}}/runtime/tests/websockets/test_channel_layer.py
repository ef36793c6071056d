"""Telling a group something through a channel layer that is down."""

import asyncio
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from channels.layers import InMemoryChannelLayer
from django.test import override_settings
from redis.exceptions import ConnectionError as RedisConnectionError

from runtime.websockets import channel_layer
from runtime.websockets.channel_layer import ChannelLayer, Doubts, tell

MESSAGE = {"type": "product.saved"}


class Unreachable(InMemoryChannelLayer):  # type: ignore[misc]
    """A layer whose server has gone."""

    async def group_send(self, group: str, message: Any) -> None:
        raise RedisConnectionError("no Valkey")

    async def group_add(self, group: str, channel: str) -> None:
        raise RedisConnectionError("no Valkey")


class Hanging(InMemoryChannelLayer):  # type: ignore[misc]
    """A layer whose server takes connections, and no more."""

    calls = 0
    hangs = True

    async def group_send(self, group: str, message: Any) -> None:
        Hanging.calls += 1
        if Hanging.hangs:
            await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def hanging() -> Iterator[None]:
    Hanging.calls, Hanging.hangs = 0, True
    layers = {"default": {"BACKEND": f"{__name__}.Hanging"}}
    with override_settings(CHANNEL_LAYERS=layers), mock.patch.object(channel_layer, "doubts", Doubts()):
        yield


async def test_one_at_a_time_waits_for_a_layer_that_hangs() -> None:
    with mock.patch.object(channel_layer, "TIMEOUT", 0.02):
        assert await tell("group", MESSAGE) is False
        assert await asyncio.gather(*(tell("group", MESSAGE) for _ in range(5))) == [False] * 5
        assert Hanging.calls == 2

        Hanging.hangs = False
        assert await tell("group", MESSAGE) is True
        assert await asyncio.gather(*(tell("group", MESSAGE) for _ in range(5))) == [True] * 5


async def test_a_connection_that_is_not_free_is_waited_for() -> None:
    layer = ChannelLayer(hosts=[{"address": "redis://localhost", "max_connections": 1, "timeout": 0.01}])

    pool = layer.create_pool(0)
    with mock.patch.object(pool, "ensure_connection"):
        await pool.get_connection()
        with pytest.raises(RedisConnectionError, match="No connection available"):
            await pool.get_connection()
