"""Announces saved products to the WebSocket feed, after their transactions commit."""

import json
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import receiver

from catalog.models import Product
from runtime.websockets.channel_layer import group_send

# The channel layer's group of all sockets of the feed.
PRODUCTS = "products"


@receiver(post_save, sender=Product)
def announce_when_committed(instance: Product, using: str, raw: bool = False, **kwargs: Any) -> None:
    """Announce a saved product when its transaction commits, and not if it is rolled back.

    `update()` and `bulk_create()` send no signal, so their products are not announced. Loaded fixtures (`raw`) are not
    announced either.
    """
    if not raw:
        # The product is already saved: `robust` keeps a failed announcement from failing the request.
        transaction.on_commit(partial(announce, instance.to_json()), using=using, robust=True)


@async_to_sync
async def announce(product: dict[str, object]) -> None:
    """Send a product to every socket of the feed, as far as the channel layer is available (see `group_send`)."""
    # Encode it here, once, and not in the consumer of each socket.
    text = json.dumps({"type": "product.saved", "product": product})
    await group_send(PRODUCTS, {"type": "product.saved", "text": text})
