"""Transactions, each a synchronous function that async code awaits.

A transaction belongs to one connection, and so to one thread. It cannot be spread over several awaits, so
`sync_to_async` runs the whole function in a thread. Synchronous code (a command, the shell) calls the function inside:
`create_product.func(…)`.
"""

from collections.abc import Mapping
from decimal import Decimal

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.db import transaction

from catalog.models import Product

# The largest numbers that the columns `stock` and `id` can hold.
MAX_QUANTITY = 2**31 - 1
MAX_ID = 2**63 - 1


class OutOfStockError(Exception):
    """There is not enough of a product in stock. The message names it and is for the client."""


@sync_to_async
def count_users() -> int:
    """Return the number of users."""
    return get_user_model()._default_manager.count()


@sync_to_async
@transaction.atomic
def create_product(name: str, price: Decimal, stock: int = 0) -> Product:
    """Save a new product and return it. Raises IntegrityError if the name is taken or a number is negative."""
    return Product.objects.create(name=name, price=price, stock=stock)


@sync_to_async
@transaction.atomic
def reserve_stock(quantities: Mapping[int, int]) -> list[Product]:
    """Take quantities of products, given as `{product id: quantity}`, out of stock: all of them, or none.

    Returns the products in the order of their ids. Raises OutOfStockError if there is not enough of one of them,
    Product.DoesNotExist if one does not exist, and ValueError for a quantity below 1.
    """
    if any(quantity < 1 for quantity in quantities.values()):
        raise ValueError(f"Quantities must be 1 or more: {dict(quantities)}")
    # The lock on the rows lasts until the transaction ends: no other transaction can sell the same stock. All
    # transactions lock in the order of the ids, so that no two of them can deadlock.
    ids = [pk for pk in quantities if pk <= MAX_ID]
    products = list(Product.objects.select_for_update().filter(pk__in=ids).order_by("pk"))
    if len(products) < len(quantities):
        missing = sorted(quantities.keys() - {product.pk for product in products})
        raise Product.DoesNotExist(f"There are no products with the ids {missing}.")
    for product in products:
        if product.stock < quantities[product.pk]:
            raise OutOfStockError(
                f"Not enough stock of {product.name!r}: requested {quantities[product.pk]}, available {product.stock}."
            )
        product.stock -= quantities[product.pk]
        product.save(update_fields=["stock"])
    return products
