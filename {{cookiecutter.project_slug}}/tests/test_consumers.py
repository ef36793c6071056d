"""The WebSocket feed of saved products."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from unittest import mock

from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.db import transaction
from django.test import TransactionTestCase
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from catalog.consumers import ProductFeed
from catalog.events import PRODUCTS
from catalog.models import Product
from runtime.development.hops import count_hops
from runtime.development.websocket_client import WebSocketClient

CHAIR = {"name": "Chair", "price": "12.50", "stock": 3}
PING = '{"type": "ping"}'


@asynccontextmanager
async def connected() -> AsyncIterator[WebSocketClient]:
    """Connect to the feed."""
    socket = WebSocketClient("/ws/products/")
    assert await socket.connect()
    yield socket
    await socket.disconnect()


class FrameTests(TransactionTestCase):
    async def test_ping_is_answered_with_pong(self) -> None:
        async with connected() as socket:
            await socket.send(text=PING)
            assert await socket.receive_json() == {"type": "pong"}

    async def test_malformed_frame_is_answered_and_connection_stays_open(self) -> None:
        async with connected() as socket:
            for text in ("{", "null", "[]", '"ping"', "{}", '{"type": "pong"}', "[" * 60_000):
                await socket.send(text=text)
                answer = await socket.receive_json()
                assert answer["type"] == "error", text
            await socket.send(data=b"\xff\x00")
            assert (await socket.receive_json())["type"] == "error"
            await socket.send(text=PING)
            assert await socket.receive_json() == {"type": "pong"}


class HopTests(TransactionTestCase):
    async def test_feed_makes_no_hops(self) -> None:
        with count_hops() as hops:
            async with connected() as socket:
                await socket.send(text=PING)
                await socket.receive_json()
                await get_channel_layer().group_send(PRODUCTS, {"type": "product.saved", "text": "{}"})
                await socket.receive_json()

        assert not hops


class HandshakeTests(TransactionTestCase):
    async def test_foreign_or_missing_origin_is_refused(self) -> None:
        for origin in ("http://evil.example", None):
            assert not await WebSocketClient("/ws/products/", origin).connect()

    async def test_unknown_path_is_refused(self) -> None:
        socket = WebSocketClient("/ws/nowhere/")
        assert not await socket.connect()
        await socket.disconnect()


class AnnouncementTests(TransactionTestCase):
    async def test_saved_product_is_announced_to_every_socket(self) -> None:
        async with connected() as first, connected() as second:
            product = await Product.objects.acreate(**CHAIR)

            for socket in (first, second):
                assert await socket.receive_json() == {"type": "product.saved", "product": product.to_json()}

    async def test_every_socket_gets_the_same_text_which_is_encoded_once(self) -> None:
        async with connected() as first, connected() as second:
            with mock.patch.object(ProductFeed, "encode_json", side_effect=AssertionError):
                await Product.objects.acreate(**CHAIR)
                texts = [(await socket.receive_output())["text"] for socket in (first, second)]

        assert texts[0] == texts[1]

    async def test_product_saved_in_the_admin_is_announced(self) -> None:
        await self.async_client.aforce_login(await sync_to_async(User.objects.create_superuser)("ada"))

        async with connected() as socket:
            await self.async_client.post(reverse("admin:catalog_product_add"), CHAIR)
            assert (await socket.receive_json())["product"]["name"] == "Chair"

    async def test_product_is_not_announced_before_its_transaction_commits(self) -> None:
        announced = []

        async with connected() as socket:

            @sync_to_async
            @transaction.atomic
            def create() -> None:
                Product.objects.create(name="Chair", price=1)
                announced.append(socket.output_queue.qsize())

            await create()
            await socket.receive_json()
            assert announced == [0]

    async def test_product_that_is_rolled_back_is_not_announced(self) -> None:
        @sync_to_async
        @transaction.atomic
        def create_and_roll_back() -> None:
            Product.objects.create(name="Chair", price=1)
            transaction.set_rollback(True)

        async with connected() as socket:
            await create_and_roll_back()
            assert await socket.receive_nothing()

    async def test_loaded_fixture_is_not_announced(self) -> None:
        product = Product(pk=1, created_at=timezone.now(), **CHAIR)

        async with connected() as socket:
            await sync_to_async(product.save_base)(raw=True)
            assert await socket.receive_nothing()
