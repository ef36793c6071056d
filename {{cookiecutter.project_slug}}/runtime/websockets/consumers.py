"""Channels' WebSocket consumers without a switch to a thread for each message."""

import asyncio
from contextvars import copy_context
from functools import partial
from types import new_class
from typing import Any

from channels.consumer import AsyncConsumer, get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from django.urls import URLPattern

from runtime.asgi import Receive, Scope, Send
from runtime.compat import require

require(AsyncConsumer.as_asgi, "consumer_class", "consumer_initkwargs")


class EventLoopConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """A base class that keeps the messages of a consumer on the event loop. Name it after Channels' own class.

        class Feed(AsyncJsonWebsocketConsumer, EventLoopConsumer): ...

    Before each message Channels switches to a thread and closes old database connections there. Here that is redundant:
    a worker thread resets its connections before and after each blocking call (see `runtime.threads.executors`).
    `on_event_loop` adds this class to every consumer that a route leads to.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Dispatch the messages of the client and of the channel layer, one at a time, until a handler stops it."""
        self.scope = scope
        self.base_send = send
        self.channel_layer = get_channel_layer(self.channel_layer_alias)
        sources: list[Any] = [receive]
        if self.channel_layer is not None:
            self.channel_name = await self.channel_layer.new_channel()
            self.channel_receive = partial(self.channel_layer.receive, self.channel_name)
            sources.append(self.channel_receive)
        # One task for each source. Channels makes one for each message, and waits for all sources anew.
        running = asyncio.Lock()
        # They share a context, because a handler may set context variables for the next one.
        context = copy_context()
        tasks = [asyncio.create_task(self.dispatch_all(source, running), context=context) for source in sources]
        try:
            await asyncio.gather(*tasks)
        except StopConsumer:
            pass
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def dispatch_all(self, source: Any, running: asyncio.Lock) -> None:
        """Dispatch each message of a source while no handler is running."""
        while True:
            message = await source()
            async with running:
                await self.dispatch(message)

    async def dispatch(self, message: Any) -> None:
        """Call the handler of a message."""
        handler = getattr(self, get_handler_name(message), None)
        if handler is None:
            raise ValueError(f"No handler for message type {message['type']}")
        await handler(message)

    async def websocket_disconnect(self, message: Any) -> None:
        """Leave the groups, and call `disconnect`."""
        for group in self.groups:
            await self.channel_layer.group_discard(group, self.channel_name)
        await self.disconnect(message["code"])
        raise StopConsumer


def on_event_loop(route: URLPattern) -> URLPattern:
    """Return a route to the same consumer with `EventLoopConsumer` as a base class; any other route as it is."""
    app: Any = route.callback
    if isinstance(app, URLRouter):
        app = URLRouter([on_event_loop(each) for each in app.routes])
    elif issubclass(getattr(app, "consumer_class", object), AsyncWebsocketConsumer):
        app = derive(app.consumer_class).as_asgi(**app.consumer_initkwargs)
    else:
        return route
    return URLPattern(route.pattern, app, route.default_args, route.name)


def derive(consumer: Any) -> Any:
    """Return a subclass of a consumer, under the same name, in which `EventLoopConsumer` replaces Channels' methods."""
    if issubclass(consumer, EventLoopConsumer):
        return consumer
    names = {name: getattr(consumer, name) for name in ("__module__", "__qualname__", "__doc__")}
    # Python puts the second base right before its own base: what the consumer overrides still comes first.
    return new_class(consumer.__name__, (consumer, EventLoopConsumer), exec_body=lambda body: body.update(names))
