"""Requests inside Django's TestCase, which keeps its transaction in the thread of the test."""

import threading

import httpx
from asgiref.sync import sync_to_async
from catalog.models import Product
from config.asgi import application
from django.db import connection
from django.test import TestCase
from runtime.threads.middleware import WorkerThread
from worker_threads.calls import worker_thread_count


class VisibilityTests(TestCase):
    """Tests with a row that exists only in their transaction."""

    @classmethod
    def setUpTestData(cls) -> None:
        Product.objects.create(name="Of the class", price=1)

    async def get(self, path: str) -> httpx.Response:
        """Return the service's response."""
        transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            return await client.get(path)

    async def names(self) -> list[str]:
        """Return the names of the products that the service lists."""
        response = await self.get("/api/products/")
        return [product["name"] for product in response.json()["products"]]

    async def check(self) -> None:
        """Check that requests run in the transaction of the test and leave it open."""
        before = worker_thread_count()
        assert await self.names() == ["Of the class"]
        await Product.objects.acreate(name="Of the test", price=1)
        for _ in range(3):
            assert await self.names() == ["Of the class", "Of the test"]
        assert await sync_to_async(lambda: connection.in_atomic_block)()
        assert await Product.objects.acount() == 2
        assert worker_thread_count() == before

    async def test_request_sees_rows_that_the_test_created(self) -> None:
        await self.check()

    async def test_transaction_has_no_rows_of_another_test(self) -> None:
        await self.check()

    async def test_nested_worker_thread_uses_the_thread_of_the_test(self) -> None:
        here = await sync_to_async(threading.get_ident)()
        async with WorkerThread():
            assert await sync_to_async(threading.get_ident)() == here
            assert await Product.objects.acount() == 1

    async def test_transaction_survives_signals_that_the_test_client_reconnects(self) -> None:
        # The test client connects `close_old_connections` after a request, even if it was not connected before.
        assert (await self.async_client.get("/")).status_code == 200
        assert len((await self.get("/api/products/export/")).text.splitlines()) == 1
        assert await self.names() == ["Of the class"]
