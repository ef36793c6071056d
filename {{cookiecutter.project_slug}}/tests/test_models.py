"""What the database insists on."""

from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import IntegrityError
from django.test import TestCase

from catalog.models import Product


class ProductTests(TestCase):
    async def test_is_named_by_its_name(self) -> None:
        assert str(Product(name="Chair")) == "Chair"

    async def test_two_products_cannot_share_a_name(self) -> None:
        await Product.objects.acreate(name="Chair", price=1)

        with pytest.raises(IntegrityError):
            await Product.objects.acreate(name="Chair", price=2)

    async def test_a_price_cannot_be_negative(self) -> None:
        with pytest.raises(IntegrityError):
            await Product.objects.acreate(name="Chair", price=Decimal("-0.01"))
    # {% if cookiecutter.use_channels or cookiecutter.use_async_views %}

    async def test_becomes_json(self) -> None:
        product = await Product.objects.acreate(name="Chair", price="12.5", stock=3)

        assert product.to_json() == {
            "id": product.pk,
            "name": "Chair",
            "price": "12.50",
            "stock": 3,
            "created_at": product.created_at.isoformat(),
        }
    # {% endif %}


class MigrationTests(TestCase):
    def test_none_is_missing(self) -> None:
        call_command("makemigrations", check=True, dry_run=True)
