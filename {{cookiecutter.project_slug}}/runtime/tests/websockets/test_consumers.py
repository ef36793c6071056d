"""Consumers on the event loop: what they save, and what they keep of Channels' promises."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from typing import Any, ClassVar
from unittest import mock

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer, JsonWebsocketConsumer
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from django.db import connection, transaction
from django.test import override_settings
from django.urls import path
from redis.exceptions import ConnectionError as RedisConnectionError

from runtime.asgi import Receive, Scope, Send
from runtime.development.hops import count_hops
from runtime.tests.service import User
from runtime.tests.websockets.test_channel_layer import FakeLayer
from runtime.threads import executors
from runtime.threads.middleware import WorkerThreadMiddleware
from runtime.threads.pool import get_worker_pool
from runtime.websockets import consumers
from runtime.websockets.application import with_websockets
from runtime.websockets.consumers import EventLoopConsumer, on_event_loop

GROUP = "group"
LONG_AGO = -1.0  # seconds, on the clock of time.monotonic()


class Feed(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """Sends each frame back, and each message of a group."""

    groups: tuple[str, ...] = (GROUP,)

    def __init__(self, subprotocol: str | None = None) -> None:
        super().__init__()
        self.subprotocol = subprotocol

    async def connect(self) -> None:
        await self.accept(self.subprotocol)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json(content)

    async def news(self, event: Any) -> None:
        await self.send_json(event["number"])


async def refuse_http(scope: Scope, receive: Receive, send: Send) -> None:
    """Take the place of Django."""
    raise NotImplementedError


class Client(ApplicationCommunicator):
    """A client of one route of a service."""

    def __init__(self, app: Any, path_: str = "/feed/") -> None:
        routes = app if isinstance(app, list) else [path("feed/", app)]
        headers = [(b"host", b"testserver"), (b"origin", b"http://testserver")]
        scope = {"type": "websocket", "path": path_, "headers": headers, "subprotocols": []}
        super().__init__(WorkerThreadMiddleware(with_websockets(refuse_http, routes)), scope)

    async def connect(self) -> str | None:
        """Connect. Return the subprotocol."""
        await self.send_input({"type": "websocket.connect"})
        answer = await self.receive_output()
        assert answer["type"] == "websocket.accept", answer
        return answer["subprotocol"]  # type: ignore[no-any-return]

    async def ask(self, text: str) -> str:
        """Send a frame. Return the next one that arrives."""
        await self.send_input({"type": "websocket.receive", "text": text})
        return await self.text()

    async def text(self) -> str:
        answer = await self.receive_output()
        assert answer["type"] == "websocket.send", answer
        return answer["text"]  # type: ignore[no-any-return]

    async def cancel(self) -> None:
        """Cancel the application, as a server does that stops at once."""
        self.future.cancel()
        await asyncio.wait({self.future})

    async def leave(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait()


@asynccontextmanager
async def connected(app: Any) -> AsyncIterator[Client]:
    """Connect a client to an application."""
    client = Client(app)
    await client.connect()
    yield client
    if not client.future.cancelled():
        await client.leave()


async def talk(app: Any) -> None:
    """Connect, exchange a frame for a frame, receive a message of the group, and leave."""
    async with connected(app) as client:
        assert await client.ask("1") == "1"
        await get_channel_layer().group_send(GROUP, {"type": "news", "number": 2})
        assert await client.text() == "2"


async def test_consumer_that_asks_no_database_makes_no_hops() -> None:
    with count_hops() as hops:
        await talk(Feed.as_asgi())

    assert not hops


async def test_consumer_of_channels_alone_makes_a_hop_for_each_message() -> None:
    with mock.patch("runtime.websockets.application.on_event_loop", lambda route: route), count_hops() as hops:
        await talk(Feed.as_asgi())

    # One for the handshake, the frame and the message of the group, and two for the end.
    assert [hop.function for hop in hops] == ["django.db.close_old_connections"] * 5


async def test_consumer_with_overrides_and_arguments_keeps_them() -> None:
    dispatched: list[str] = []

    class Recorder(Feed):
        async def dispatch(self, message: Any) -> None:
            dispatched.append(message["type"])
            await super().dispatch(message)

    with count_hops() as hops:
        await talk(Recorder.as_asgi())
        client = Client(Recorder.as_asgi(subprotocol="v1"))
        assert await client.connect() == "v1"
        await client.leave()

    assert not hops
    first = ["websocket.connect", "websocket.receive", "news", "websocket.disconnect"]
    assert dispatched == [*first, "websocket.connect", "websocket.disconnect"]


async def test_consumer_in_a_nested_router_makes_no_hops() -> None:
    inner = URLRouter([path("feed/", Feed.as_asgi())])
    client = Client([path("inner/", inner)], "/inner/feed/")

    with count_hops() as hops:
        await client.connect()
        assert await client.ask("1") == "1"
        await client.leave()

    assert not hops


def test_derived_consumer_is_called_as_its_original() -> None:
    derived = consumers.derive(Feed)

    assert (derived.__name__, derived.__module__, derived.__doc__) == (Feed.__name__, __name__, Feed.__doc__)
    assert derived.__mro__[-4:-2] == (EventLoopConsumer, AsyncWebsocketConsumer)
    assert consumers.derive(derived) is derived


async def test_other_applications_are_left_alone() -> None:
    class Synchronous(JsonWebsocketConsumer):  # type: ignore[misc]
        def receive_json(self, content: Any, **kwargs: Any) -> None:
            self.send_json(content)

    application: Any = refuse_http

    async with connected(Synchronous.as_asgi()) as client:
        assert await client.ask("1") == "1"
    for each in (path("", Synchronous.as_asgi()), path("", application)):
        assert on_event_loop(each) is each


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Let all blocking calls take the same thread, so that each call finds the connection of the last one."""
    get_worker_pool.cache_clear()
    with override_settings(MAX_THREADS=1):
        yield
        assert get_worker_pool().drain(5)
    get_worker_pool.cache_clear()


def age() -> None:
    """Leave a connection behind that should have been closed long ago."""
    connection.ensure_connection()
    connection.close_at = LONG_AGO


def fail() -> None:
    """Leave a connection behind that has failed and no longer answers."""
    connection.ensure_connection()
    connection.errors_occurred = True
    connection.connection.close()


def begin() -> None:
    """Leave a transaction open that has added a user."""
    transaction.atomic().__enter__()
    User.objects.create(username="half")


def look() -> tuple[int, bool]:
    """Return how many users there are, and whether the connection is another one than `age` has left."""
    return User.objects.count(), connection.close_at != LONG_AGO


async def look_with_the_orm() -> tuple[int, bool]:
    return await User.objects.acount(), True


class Asking(Feed):
    """Asks the database, in each way that a consumer has."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        match content:
            case "age" | "fail" | "begin":
                await sync_to_async({"age": age, "fail": fail, "begin": begin}[content])()
                await self.send_json("done")
            case "sync_to_async":
                await self.send_json(await sync_to_async(look)())
            case "database_sync_to_async":
                await self.send_json(await database_sync_to_async(look)())
            case "acount":
                await self.send_json(await look_with_the_orm())


@pytest.mark.parametrize("state", ["age", "fail", "begin"])
@pytest.mark.parametrize("way", ["sync_to_async", "database_sync_to_async", "acount"])
@pytest.mark.usefixtures("one_thread")
@pytest.mark.django_db(transaction=True)
async def test_message_finds_a_healthy_connection_whatever_the_last_one_left(state: str, way: str) -> None:
    async with connected(Asking.as_asgi()) as client:
        await client.ask(f'"{state}"')
        assert await client.ask(f'"{way}"') == "[0, true]"


@pytest.mark.usefixtures("one_thread")
@pytest.mark.django_db(transaction=True)
async def test_without_the_reset_of_worker_threads_a_message_finds_an_old_connection() -> None:
    with mock.patch.object(executors, "reset_connections"):
        async with connected(Asking.as_asgi()) as client:
            await client.ask('"age"')
            assert await client.ask('"sync_to_async"') == "[0, false]"


async def test_handlers_share_their_context_and_run_one_at_a_time() -> None:
    name: ContextVar[str] = ContextVar("name", default="")
    log: list[str] = []

    class Slow(Feed):
        async def connect(self) -> None:
            name.set("set by connect")
            await self.accept()

        async def receive_json(self, content: Any, **kwargs: Any) -> None:
            log.append("frame begins")
            await asyncio.sleep(0.05)
            log.append("frame ends")

        async def news(self, event: Any) -> None:
            log.append("news")
            await self.send_json(name.get())

    async with connected(Slow.as_asgi()) as client:
        await client.send_input({"type": "websocket.receive", "text": "1"})
        await asyncio.sleep(0)
        await get_channel_layer().group_send(GROUP, {"type": "news"})
        assert await client.text() == '"set by connect"'

    assert log == ["frame begins", "frame ends", "news"]


async def test_messages_keep_their_order() -> None:
    async with connected(Feed.as_asgi()) as client:
        for number in range(20):
            await client.send_input({"type": "websocket.receive", "text": str(number)})
        assert [await client.text() for _ in range(20)] == [str(number) for number in range(20)]
        for number in range(50):
            await get_channel_layer().group_send(GROUP, {"type": "news", "number": number})
        assert [await client.text() for _ in range(50)] == [str(number) for number in range(50)]


async def test_error_of_a_handler_ends_the_consumer_and_its_tasks() -> None:
    class Broken(Feed):
        async def receive_json(self, content: Any, **kwargs: Any) -> None:
            raise ZeroDivisionError

    before = asyncio.all_tasks()
    client = Client(Broken.as_asgi())
    await client.connect()
    await client.send_input({"type": "websocket.receive", "text": "1"})

    with pytest.raises(ZeroDivisionError):
        await client.wait()
    assert asyncio.all_tasks() <= before


async def test_message_without_handler_is_an_error() -> None:
    client = Client(Feed.as_asgi())
    await client.connect()
    await get_channel_layer().group_send(GROUP, {"type": "unknown"})

    with pytest.raises(ValueError, match="No handler for message type unknown"):
        await client.wait()


async def test_handler_of_a_group_can_stop_the_consumer() -> None:
    class Leaving(Feed):
        async def news(self, event: Any) -> None:
            raise StopConsumer

    client = Client(Leaving.as_asgi())
    await client.connect()
    await get_channel_layer().group_send(GROUP, {"type": "news"})

    await client.wait()


async def test_consumer_without_channel_layer_receives_frames() -> None:
    class Alone(Feed):
        groups = ()

    with override_settings(CHANNEL_LAYERS={}):
        async with connected(Alone.as_asgi()) as client:
            assert await client.ask("1") == "1"


@pytest.fixture
def layer() -> Iterator[FakeLayer]:
    """Use a channel layer of this package whose server is a fake. A mailbox holds five messages."""
    layer = FakeLayer(capacity=5)
    with mock.patch.object(consumers, "get_channel_layer", return_value=layer):
        yield layer


class Listener(Feed):
    """Belongs to no group; a test addresses it by the name of its channel."""

    groups = ()
    channels: ClassVar[list[str]] = []

    async def connect(self) -> None:
        self.channels.append(self.channel_name)
        await self.accept()


@asynccontextmanager
async def listening(layer: FakeLayer, app: Any, count: int) -> AsyncIterator[tuple[list[Client], list[str]]]:
    """Connect clients to an application; yield them and the names of their channels."""
    Listener.channels.clear()
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(app)) for _ in range(count)]
        await asyncio.sleep(0.01)
        yield clients, list(Listener.channels)
    await layer.reading_ends()


def arrive(layer: FakeLayer, number: int, channels: list[str]) -> None:
    """Let one message for several channels arrive."""
    layer.fake.members.put_nowait(layer.serialize({"type": "news", "number": number, "__asgi_channel__": channels}))


async def test_slow_consumer_delays_no_other_and_keeps_only_the_newest_messages(layer: FakeLayer) -> None:
    proceed = asyncio.Event()

    class FirstIsSlow(Listener):
        async def news(self, event: Any) -> None:
            if self.channel_name == self.channels[0]:
                await proceed.wait()
            await super().news(event)

    async with listening(layer, FirstIsSlow.as_asgi(), 2) as ([slow, quick], channels):
        for number in range(50):
            arrive(layer, number, channels)
            assert await quick.text() == str(number)
        assert await slow.receive_nothing()
        proceed.set()
        # One was in its handler, and five in its mailbox.
        assert [int(await slow.text()) for _ in range(6)] == [0, *range(45, 50)]
        assert await slow.receive_nothing()


async def test_consumer_that_is_cancelled_takes_no_message_of_another(layer: FakeLayer) -> None:
    async with listening(layer, Listener.as_asgi(), 3) as (clients, channels):
        arrive(layer, 1, channels)
        await clients[0].cancel()
        assert [await client.text() for client in clients[1:]] == ["1", "1"]
        arrive(layer, 2, channels)
        assert [await client.text() for client in clients[1:]] == ["2", "2"]


async def test_error_of_the_channel_layer_closes_all_sockets(layer: FakeLayer) -> None:
    Listener.channels.clear()
    clients = [Client(Listener.as_asgi()) for _ in range(3)]
    for client in clients:
        await client.connect()
    await asyncio.sleep(0.01)
    layer.fake.members.put_nowait(RedisConnectionError("no Valkey"))

    for client in clients:
        answer = await client.receive_output()
        assert (answer["type"], answer["code"]) == ("websocket.close", 1013)
        await client.leave()
