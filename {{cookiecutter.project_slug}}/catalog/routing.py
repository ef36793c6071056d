"""Where each WebSocket path leads."""

from django.urls import path, re_path

from catalog.consumers import NotFound, ProductFeed

websocket_urlpatterns = [
    path("ws/products/", ProductFeed.as_asgi()),
    re_path("", NotFound.as_asgi()),
]
