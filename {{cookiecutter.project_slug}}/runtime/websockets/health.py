"""The readiness probe's check of the channel layer."""

from channels.layers import get_channel_layer


async def channel_layer() -> None:
    """Raise unless a message sent through the channel layer comes back."""
    layer = get_channel_layer()
    # No prefix of its own: a process waits for one at a time, and sockets wait for theirs as long as they are open.
    channel = await layer.new_channel()
    await layer.send(channel, {"type": "health.check"})
    await layer.receive(channel)
