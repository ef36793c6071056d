"""Transactions: they succeed or fail as a whole, also when they run at the same time."""

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
    async def test_count_users_counts_all_users(self) -> None:
        await User.objects.acreate_user("ada")

        assert await services.count_users() == 1

    async def test_create_product_saves_and_returns_it(self) -> None:
        product = await services.create_product("Chair", Decimal("12.50"), stock=3)

        assert await Product.objects.aget() == product

    async def test_create_product_with_a_taken_name_saves_nothing(self) -> None:
        await services.create_product("Chair", Decimal("12.50"))

        with pytest.raises(IntegrityError):
            await services.create_product("Chair", Decimal("9.00"))
        assert await Product.objects.acount() == 1

    async def test_reserve_stock_reduces_the_stock(self) -> None:
        chair = await Product.objects.acreate(name="Chair", price=1, stock=3)
        table = await Product.objects.acreate(name="Table", price=1, stock=1)

        reserved = await services.reserve_stock({table.pk: 1, chair.pk: 2})
        assert [(product.name, product.stock) for product in reserved] == [("Chair", 1), ("Table", 0)]
        assert [product.stock async for product in Product.objects.all()] == [1, 0]

    async def test_reserve_stock_without_enough_of_one_product_changes_nothing(self) -> None:
        chair = await Product.objects.acreate(name="Chair", price=1, stock=3)
        table = await Product.objects.acreate(name="Table", price=1, stock=1)

        with pytest.raises(services.OutOfStockError, match="of 'Table': requested 2, available 1"):
            await services.reserve_stock({chair.pk: 2, table.pk: 2})
        assert [product.stock async for product in Product.objects.all()] == [3, 1]

    async def test_reserve_stock_of_an_unknown_product_raises(self) -> None:
        with pytest.raises(Product.DoesNotExist, match=r"no products with the ids \[404\]"):
            await services.reserve_stock({404: 1})

    async def test_reserve_stock_below_one_raises(self) -> None:
        with pytest.raises(ValueError, match="must be 1 or more"):
            await services.reserve_stock({1: 0})


class ConcurrencyTests(TransactionTestCase):
    async def test_last_piece_is_reserved_once_by_concurrent_buyers(self) -> None:
        product = await Product.objects.acreate(name="Chair", price=1, stock=1)

        def buy() -> bool:
            try:
                services.reserve_stock.func({product.pk: 1})
            except services.OutOfStockError:
                return False
            finally:
                connection.close()
            return True

        # Each buyer has its own thread, and so its own connection, as a request has.
        with ThreadPoolExecutor(max_workers=8) as buyers:
            loop = asyncio.get_running_loop()
            bought = await asyncio.gather(*(loop.run_in_executor(buyers, buy) for _ in range(8)))

        assert sorted(bought) == [False] * 7 + [True]
        await product.arefresh_from_db()
        assert product.stock == 0
