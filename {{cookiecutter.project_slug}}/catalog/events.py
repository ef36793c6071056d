"""Telling the world what happened to products, once it has really happened."""

import asyncio
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import receiver

from catalog.models import Product

# The group of sockets that hear of every product.
PRODUCTS = "products"
# Seconds that whoever saves a product waits for its announcement, at most.
TIMEOUT = 2.0


@receiver(post_save, sender=Product)
def announce_when_committed(instance: Product, using: str, raw: bool = False, **kwargs: Any) -> None:
    """Announce a saved product when its transaction commits: whoever saved it, and never if it is rolled back.

    `update()` and `bulk_create()` send no signal, so what they save is not announced; nor is a loaded fixture.
    """
    if not raw:
        # robust: the product is saved, whatever becomes of the announcement. Django logs its failure.
        transaction.on_commit(partial(announce, instance.to_json()), using=using, robust=True)


@async_to_sync
async def announce(product: dict[str, object]) -> None:
    """Send a product to every socket of the feed. Raises TimeoutError if the channel layer does not take it in time."""
    async with asyncio.timeout(TIMEOUT):
        await get_channel_layer().group_send(PRODUCTS, {"type": "product.saved", "product": product})
