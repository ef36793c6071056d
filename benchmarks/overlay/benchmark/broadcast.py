"""Publishing to the service's own feed, through its channel layer."""

from catalog.events import PRODUCTS
from channels.layers import get_channel_layer
from django.http import HttpRequest, JsonResponse


async def publish(request: HttpRequest) -> JsonResponse:
    """Send every open WebSocket of the feed the same text."""
    await get_channel_layer().group_send(PRODUCTS, {"type": "product.saved", "message": "Hello"})
    return JsonResponse({"message": "Hello"})
