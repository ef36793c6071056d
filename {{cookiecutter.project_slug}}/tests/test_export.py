"""The view that streams all products."""

import asyncio
import json
from typing import Any

from django.test import TransactionTestCase

from catalog.models import Product
from catalog.views.export import BATCH_SIZE
from config.asgi import application

EXPORT = "/api/products/export/"


class ExportTests(TransactionTestCase):
    async def test_every_product_is_one_line(self) -> None:
        await Product.objects.abulk_create(Product(name=f"{n}", price=n) for n in range(BATCH_SIZE + 1))

        response = await self.async_client.get(EXPORT)
        assert response.headers["Content-Type"] == "application/x-ndjson"
        lines = [json.loads(line) async for line in response]
        assert [line["name"] for line in lines] == [str(n) for n in range(BATCH_SIZE + 1)]

    async def test_disconnect_ends_the_export(self) -> None:
        await Product.objects.abulk_create(Product(name=f"{n}", price=n) for n in range(3 * BATCH_SIZE))
        messages: asyncio.Queue[Any] = asyncio.Queue()
        messages.put_nowait({"type": "http.request"})
        lines = 0

        async def send(message: Any) -> None:
            nonlocal lines
            lines += bool(message.get("body"))
            if lines == BATCH_SIZE:
                messages.put_nowait({"type": "http.disconnect"})
            await asyncio.sleep(0)

        scope = {"type": "http", "method": "GET", "path": EXPORT, "headers": [(b"host", b"testserver")]}
        await application(scope, messages.get, send)
        assert BATCH_SIZE <= lines <= 2 * BATCH_SIZE
