"""`manage.py check`: a channel layer that several processes do not share."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import checks

from runtime.checks import runs_several_processes

LOCAL_LAYER = "channels.layers.InMemoryChannelLayer"


@checks.register("runtime")
def check_channel_layers(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """Warn about a channel layer in memory when there are several worker processes."""
    if not runs_several_processes():
        return
    for alias, layer in settings.CHANNEL_LAYERS.items():
        if layer["BACKEND"] == LOCAL_LAYER:
            yield checks.Warning(
                f"CHANNEL_LAYERS[{alias!r}] is in memory: a message reaches the WebSockets of one process of several.",
                hint="Use channels_redis.core.RedisChannelLayer, which they share, or set WEB_CONCURRENCY=1.",
                id="runtime.W007",
            )
