"""The readiness probe's check of the channel layer."""

from channels.layers import get_channel_layer


async def channel_layer() -> None:
    """Raise unless a message sent through the channel layer comes back."""
    layer = get_channel_layer()
    # The default prefix, so that the check shares the reader of the sockets.
    channel = await layer.new_channel()
    await layer.send(channel, {"type": "health.check"})
    await layer.receive(channel)
