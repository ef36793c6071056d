"""A view that publishes to the service's feed through its channel layer."""

import json

from catalog.events import PRODUCTS
from channels.layers import get_channel_layer
from django.http import HttpRequest, JsonResponse


async def publish(request: HttpRequest) -> JsonResponse:
    """Send every open WebSocket of the feed the same text, encoded once, as `catalog.events` does."""
    text = json.dumps({"message": "Hello"})
    await get_channel_layer().group_send(PRODUCTS, {"type": "product.saved", "text": text})
    return JsonResponse({"message": "Hello"})
