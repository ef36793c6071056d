"""Products: constraints of the table, the JSON form, migrations."""

from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import IntegrityError
from django.test import TestCase

from catalog.models import Product


class ProductTests(TestCase):
    async def test_str_is_the_name(self) -> None:
        assert str(Product(name="Chair")) == "Chair"

    async def test_name_that_is_taken_raises(self) -> None:
        await Product.objects.acreate(name="Chair", price=1)

        with pytest.raises(IntegrityError):
            await Product.objects.acreate(name="Chair", price=2)

    async def test_negative_price_raises(self) -> None:
        with pytest.raises(IntegrityError):
            await Product.objects.acreate(name="Chair", price=Decimal("-0.01"))
    # {% if cookiecutter.use_channels or cookiecutter.use_async_views %}

    async def test_to_json_has_the_public_fields(self) -> None:
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
    def test_no_migration_is_missing(self) -> None:
        call_command("makemigrations", check=True, dry_run=True)
