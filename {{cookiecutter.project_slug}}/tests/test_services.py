"""Transactions: whole, or not at all, and one after the other where they must be."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection
from django.test import TestCase, TransactionTestCase

from accounts.models import User
from catalog import services
from catalog.models import Product


class ServiceTests(TestCase):
    async def test_counts_users(self) -> None:
        await User.objects.acreate_user("ada")

        assert await services.count_users() == 1

    async def test_creates_a_product(self) -> None:
        product = await services.create_product("Chair", Decimal("12.50"), stock=3)

        assert await Product.objects.aget() == product

    async def test_a_product_that_cannot_be_saved_leaves_nothing(self) -> None:
        await services.create_product("Chair", Decimal("12.50"))

        with pytest.raises(IntegrityError):
            await services.create_product("Chair", Decimal("9.00"))
        assert await Product.objects.acount() == 1

    async def test_reserves_stock(self) -> None:
        chair = await Product.objects.acreate(name="Chair", price=1, stock=3)
        table = await Product.objects.acreate(name="Table", price=1, stock=1)

        reserved = await services.reserve_stock({table.pk: 1, chair.pk: 2})
        assert [(product.name, product.stock) for product in reserved] == [("Chair", 1), ("Table", 0)]
        assert [product.stock async for product in Product.objects.all()] == [1, 0]

    async def test_reserves_everything_or_nothing(self) -> None:
        chair = await Product.objects.acreate(name="Chair", price=1, stock=3)
        table = await Product.objects.acreate(name="Table", price=1, stock=1)

        with pytest.raises(services.OutOfStockError, match=r"Table: 2 wanted, 1 in stock\."):
            await services.reserve_stock({chair.pk: 2, table.pk: 2})
        assert [product.stock async for product in Product.objects.all()] == [3, 1]

    async def test_reserves_only_what_there_is(self) -> None:
        with pytest.raises(Product.DoesNotExist, match=r"no products \[404\]"):
            await services.reserve_stock({404: 1})

    async def test_reserves_no_less_than_one(self) -> None:
        with pytest.raises(ValueError, match="must be 1 or more"):
            await services.reserve_stock({1: 0})


class ConcurrencyTests(TransactionTestCase):
    async def test_of_many_buyers_of_the_last_piece_exactly_one_gets_it(self) -> None:
        product = await Product.objects.acreate(name="Chair", price=1, stock=1)

        def buy() -> bool:
            try:
                services.reserve_stock.func({product.pk: 1})
            except services.OutOfStockError:
                return False
            finally:
                connection.close()
            return True

        # Each buyer has a thread, and so a connection, of their own, as requests do.
        with ThreadPoolExecutor(max_workers=8) as buyers:
            loop = asyncio.get_running_loop()
            bought = await asyncio.gather(*(loop.run_in_executor(buyers, buy) for _ in range(8)))

        assert sorted(bought) == [False] * 7 + [True]
        await product.arefresh_from_db()
        assert product.stock == 0
