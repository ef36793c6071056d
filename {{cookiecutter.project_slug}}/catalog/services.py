"""Transactions, each a whole synchronous function that async code awaits.

A transaction belongs to one connection and so to one thread: it cannot be spread over several awaits. `sync_to_async`
runs the whole of it in one. Synchronous code (a command, the shell) calls the function inside: `create_product.func`.
"""

from collections.abc import Mapping
from decimal import Decimal

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.db import transaction

from catalog.models import Product

# What the columns `stock` and `id` can hold.
MAX_QUANTITY = 2**31 - 1
MAX_ID = 2**63 - 1


class OutOfStockError(Exception):
    """Fewer pieces in stock than were asked for. The message says of what."""


@sync_to_async
def count_users() -> int:
    """Return the number of users."""
    return get_user_model()._default_manager.count()


@sync_to_async
@transaction.atomic
def create_product(name: str, price: Decimal, stock: int = 0) -> Product:
    """Save a new product and return it.

    Raises IntegrityError if the name is taken or a number is negative.
    """
    return Product.objects.create(name=name, price=price, stock=stock)


@sync_to_async
@transaction.atomic
def reserve_stock(quantities: Mapping[int, int]) -> list[Product]:
    """Take pieces of products out of stock, given as `{product id: pieces}`: all of them, or none.

    Returns the products in the order of their ids. Raises OutOfStockError if there are not enough pieces of one of
    them, Product.DoesNotExist if there is no such product, ValueError for a quantity below 1.
    """
    if any(quantity < 1 for quantity in quantities.values()):
        raise ValueError(f"quantities must be 1 or more, not {dict(quantities)}")
    # Locked until the transaction ends, so that nobody else sells them meanwhile; in one order everywhere, so that two
    # transactions never wait for each other. (SQLite has locked the whole database: see settings.py.)
    ids = [pk for pk in quantities if pk <= MAX_ID]
    products = list(Product.objects.select_for_update().filter(pk__in=ids).order_by("pk"))
    if len(products) < len(quantities):
        raise Product.DoesNotExist(f"no products {sorted(quantities.keys() - {product.pk for product in products})}")
    for product in products:
        if product.stock < quantities[product.pk]:
            raise OutOfStockError(f"{product.name}: {quantities[product.pk]} wanted, {product.stock} in stock.")
        product.stock -= quantities[product.pk]
        product.save(update_fields=["stock"])
    return products
