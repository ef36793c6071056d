"""The WebSocket URLs of the catalog."""

from django.urls import path, re_path

from catalog.consumers import ProductFeed, UnknownPath

websocket_urlpatterns = [
    path("ws/products/", ProductFeed.as_asgi()),
    # Every other path. Channels would raise ValueError for it.
    re_path("", UnknownPath.as_asgi()),
]
