"""Django's TestCase, whose transaction lives in the test's own thread."""

import threading

import httpx
from asgiref.sync import sync_to_async
from catalog.models import Product
from config.asgi import application
from django.db import connection
from django.test import TestCase
from runtime.threads.middleware import WorkerThread
from worker_threads.calls import lent_threads


class VisibilityTests(TestCase):
    """A test with a row that only its transaction has."""

    @classmethod
    def setUpTestData(cls) -> None:
        Product.objects.create(name="Of the class", price=1)

    async def get(self, path: str) -> httpx.Response:
        """Have the service answer a request."""
        transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            return await client.get(path)

    async def names(self) -> list[str]:
        """Return the names of the products that the service lists."""
        response = await self.get("/api/products/")
        return [product["name"] for product in response.json()["products"]]

    async def check(self) -> None:
        """Check that the service and the test share a transaction, which survives the requests."""
        lent = lent_threads()
        assert await self.names() == ["Of the class"]
        await Product.objects.acreate(name="Of the test", price=1)
        for _ in range(3):
            assert await self.names() == ["Of the class", "Of the test"]
        assert await sync_to_async(lambda: connection.in_atomic_block)()
        assert await Product.objects.acount() == 2
        assert lent_threads() == lent

    async def test_a_request_sees_what_the_test_created(self) -> None:
        await self.check()

    async def test_nothing_is_left_of_another_test(self) -> None:
        await self.check()

    async def test_a_loan_of_its_own_steps_aside_too(self) -> None:
        here = await sync_to_async(threading.get_ident)()
        async with WorkerThread():
            assert await sync_to_async(threading.get_ident)() == here
            assert await Product.objects.acount() == 1

    async def test_the_transaction_survives_what_the_test_client_does_to_signals(self) -> None:
        # It connects what closes old connections, whether or not that was connected before.
        assert (await self.async_client.get("/")).status_code == 200
        assert len((await self.get("/api/products/export/")).text.splitlines()) == 1
        assert await self.names() == ["Of the class"]
