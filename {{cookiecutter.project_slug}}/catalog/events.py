"""Telling the world what happened to products, once it has really happened."""

from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import receiver

from catalog.models import Product
from runtime.websockets.channel_layer import tell

# The group of sockets that hear of every product.
PRODUCTS = "products"


@receiver(post_save, sender=Product)
def announce_when_committed(instance: Product, using: str, raw: bool = False, **kwargs: Any) -> None:
    """Announce a saved product when its transaction commits: whoever saved it, and never if it is rolled back.

    `update()` and `bulk_create()` send no signal, so what they save is not announced; nor is a loaded fixture.
    """
    if not raw:
        # robust: the product is saved, whatever becomes of the announcement.
        transaction.on_commit(partial(announce, instance.to_json()), using=using, robust=True)


@async_to_sync
async def announce(product: dict[str, object]) -> None:
    """Send a product to every socket of the feed, as far as the channel layer takes it (see `tell`)."""
    await tell(PRODUCTS, {"type": "product.saved", "product": product})
