"""The channel layer: receivers that share a reader, and callers that send through a layer which is unavailable."""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any
from unittest import mock

import pytest
from channels.layers import InMemoryChannelLayer
from django.test import override_settings
from redis.exceptions import ConnectionError as RedisConnectionError

from runtime.conf import conf
from runtime.websockets import channel_layer
from runtime.websockets.channel_layer import ChannelLayer, CircuitBreaker, Message, Reader, group_send

MESSAGE = {"type": "product.saved"}


class Unreachable(InMemoryChannelLayer):  # type: ignore[misc]
    """A layer whose server is down."""

    async def group_send(self, group: str, message: Any) -> None:
        raise RedisConnectionError("no Valkey")

    async def group_add(self, group: str, channel: str) -> None:
        raise RedisConnectionError("no Valkey")


class Hanging(InMemoryChannelLayer):  # type: ignore[misc]
    """A layer whose server accepts connections and never answers."""

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
    with override_settings(CHANNEL_LAYERS=layers), mock.patch.object(channel_layer, "breaker", CircuitBreaker()):
        yield


async def test_one_caller_at_a_time_waits_for_a_layer_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    with mock.patch.object(conf, "CHANNEL_LAYER_TIMEOUT", 0.02):
        assert await group_send("group", MESSAGE) is False
        assert await asyncio.gather(*(group_send("group", MESSAGE) for _ in range(5))) == [False] * 5
        assert Hanging.calls == 2
        dropped = 'Channel layer unavailable; dropped "product.saved" for group "group": '
        assert Counter(caplog.messages) == {
            f"{dropped}TimeoutError": 2,
            f"{dropped}another caller is probing it": 4,
        }

        Hanging.hangs = False
        assert await group_send("group", MESSAGE) is True
        assert await asyncio.gather(*(group_send("group", MESSAGE) for _ in range(5))) == [True] * 5


async def test_callers_queue_for_a_free_connection() -> None:
    layer = ChannelLayer(hosts=[{"address": "redis://localhost", "max_connections": 1, "timeout": 0.01}])

    pool = layer.create_pool(0)
    with mock.patch.object(pool, "ensure_connection"):
        await pool.get_connection()
        with pytest.raises(RedisConnectionError, match="No connection available"):
            await pool.get_connection()


class FakeConnection:
    """A server that has the messages of a test and nothing else."""

    def __init__(self) -> None:
        self.members: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self.polls = 0

    async def bzpopmin(self, key: str, **options: float) -> tuple[bytes, bytes, float] | None:
        self.polls += 1
        try:
            async with asyncio.timeout(options["timeout"]):
                member = await self.members.get()
        except TimeoutError:
            return None
        if isinstance(member, Exception):
            raise member
        return key.encode(), member, 0.0


class FakeLayer(ChannelLayer):
    """A layer whose server is a fake."""

    brpop_timeout = 0.02

    def __init__(self, **config: Any) -> None:
        super().__init__(hosts=["redis://localhost"], **config)
        self.fake = FakeConnection()

    def connection(self, index: int) -> FakeConnection:
        return self.fake

    def arrive(self, number: int, *channels: str) -> None:
        """Let one message for some channels arrive at the server: from `send` for one, else from `group_send`."""
        message = {"number": number, "__asgi_channel__": channels[0] if len(channels) == 1 else list(channels)}
        self.fake.members.put_nowait(self.serialize(message))

    @property
    def reader(self) -> Reader:
        """The only reader."""
        [reader] = self.readers.values()
        return reader

    async def reading_ends(self) -> None:
        """Wait until the reader has found that no receiver waits."""
        assert self.reader.task is not None
        await asyncio.wait_for(asyncio.shield(self.reader.task), 5)


async def test_each_receiver_gets_the_messages_of_its_channel() -> None:
    layer = FakeLayer()
    first, second = await layer.new_channel(), await layer.new_channel()
    layer.arrive(1, first)
    layer.arrive(2, first, second)

    assert await layer.receive(second) == {"number": 2}
    assert [await layer.receive(first) for _ in range(2)] == [{"number": 1}, {"number": 2}]
    assert not layer.reader.mailboxes


async def test_a_cancelled_receiver_takes_no_message_from_others() -> None:
    layer = FakeLayer()
    leaving, staying = await layer.new_channel(), await layer.new_channel()
    left = asyncio.create_task(layer.receive(leaving))
    stayed = asyncio.create_task(layer.receive(staying))
    await asyncio.sleep(0)

    layer.arrive(1, staying)
    left.cancel()

    assert await stayed == {"number": 1}
    assert left.cancelled()


async def test_a_receiver_that_is_cancelled_as_its_message_arrives_can_receive_it_later() -> None:
    layer = FakeLayer()
    channel = await layer.new_channel()
    receiver = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)

    layer.reader.deliver({"number": 1, "__asgi_channel__": channel})
    receiver.cancel()
    await asyncio.wait({receiver})

    assert receiver.cancelled()
    assert await layer.receive(channel) == {"number": 1}


async def test_a_full_mailbox_drops_its_oldest_message() -> None:
    layer = FakeLayer(capacity=2)
    busy, other = await layer.new_channel(), await layer.new_channel()
    for number in range(3):
        layer.arrive(number, busy)
    layer.arrive(3, other)
    await layer.receive(other)

    assert [await layer.receive(busy) for _ in range(2)] == [{"number": 1}, {"number": 2}]


async def test_a_mailbox_that_is_not_used_is_dropped() -> None:
    layer = FakeLayer(expiry=1)
    closed, slow, other = [await layer.new_channel() for _ in range(3)]
    for number in range(3):
        layer.arrive(number, closed, slow)
    layer.arrive(3, other)
    await layer.receive(other)
    for mailbox in layer.reader.mailboxes.values():
        mailbox.last_used -= 2
    assert await layer.receive(slow) == {"number": 0}

    layer.arrive(4, other)
    await layer.receive(other)

    assert list(layer.reader.mailboxes) == [slow]


async def test_an_error_reaches_every_receiver_and_the_next_one_tries_again() -> None:
    layer = FakeLayer()
    channels = [await layer.new_channel() for _ in range(3)]
    receivers = [asyncio.create_task(layer.receive(channel)) for channel in channels]
    await asyncio.sleep(0)
    layer.fake.members.put_nowait(RedisConnectionError("no Valkey"))

    errors = await asyncio.gather(*receivers, return_exceptions=True)

    assert list(map(str, errors)) == ["no Valkey"] * 3
    layer.arrive(1, channels[0])
    assert await layer.receive(channels[0]) == {"number": 1}


async def test_reading_ends_when_no_receiver_waits() -> None:
    layer = FakeLayer()
    channel = await layer.new_channel()
    receiver = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(3 * layer.brpop_timeout)
    assert layer.fake.polls > 1
    receiver.cancel()
    await layer.reading_ends()
    polls = layer.fake.polls

    layer.arrive(1, channel)
    await asyncio.sleep(2 * layer.brpop_timeout)

    assert (layer.fake.polls, layer.reader.waiters) == (polls, {})
    assert await layer.receive(channel) == {"number": 1}


async def test_an_error_that_no_receiver_waits_for_is_retrieved() -> None:
    layer = FakeLayer()
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    receiver = asyncio.create_task(layer.receive(await layer.new_channel()))
    await asyncio.sleep(0)
    receiver.cancel()
    layer.fake.members.put_nowait(RedisConnectionError("no Valkey"))
    await layer.reading_ends()

    layer.readers.clear()
    gc.collect()

    assert complaints == []


async def test_the_reader_does_not_keep_the_context_of_the_request_that_starts_it() -> None:
    layer = FakeLayer()
    channel = await layer.new_channel()
    variable: ContextVar[str] = ContextVar("variable")
    variable.set("of the request")
    receiver = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)

    assert layer.reader.task is not None
    assert variable not in layer.reader.task.get_context()
    receiver.cancel()
    await layer.reading_ends()


def test_an_event_loop_receives_after_another_one_has_ended() -> None:
    async def give_up() -> None:
        layer.fake = FakeConnection()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(layer.receive(channel), 0.001)

    async def receive() -> Message:
        layer.fake = FakeConnection()
        layer.arrive(1, channel)
        return await layer.receive(channel)

    layer = FakeLayer()
    channel = asyncio.run(layer.new_channel())

    asyncio.run(give_up())
    assert asyncio.run(receive()) == {"number": 1}


async def test_two_event_loops_at_a_time_are_refused() -> None:
    layer = FakeLayer()
    receiver = asyncio.create_task(layer.receive(await layer.new_channel()))
    await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="Two event loops"):
        await asyncio.to_thread(asyncio.run, layer.receive(await layer.new_channel()))
    receiver.cancel()
    await layer.reading_ends()


async def test_a_channel_of_another_process_is_refused() -> None:
    with pytest.raises(ValueError, match="belongs to another process"):
        await FakeLayer().receive(await FakeLayer().new_channel())
