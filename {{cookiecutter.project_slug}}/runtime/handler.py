"""Django's ASGI handler, without the switches to a thread that no code of the service has asked for."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.cache import close_caches
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.base import reset_urlconf
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, reset_queries
from django.dispatch import Signal
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix, set_urlconf
from django.utils.log import log_response

from runtime.asgi import Receive, Scope, Send
from runtime.threads import give_back_thread

# Django's own receivers of the signals that a request starts and has finished. None of them blocks on the event loop:
# there are no connections there, and those of a lent thread are looked after where it is lent.
HARMLESS = frozenset({reset_queries, close_old_connections, reset_urlconf, close_caches})


def get_asgi_application() -> "Handler":
    """Set Django up, and return its part of the ASGI application."""
    django.setup(set_prefix=False)
    return Handler()


class Handler(ASGIHandler):
    """Answers as Django's handler does, but stays on the event loop where Django's goes to a thread by default."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; stop when its client leaves."""
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        with closing(body):
            set_script_prefix(get_script_prefix(scope))
            if unknown_receivers(request_started):
                await request_started.asend(sender=type(self), scope=scope)
            response: Any
            request, response = self.create_request(scope, body)
            if request is None:
                await self.send_response(response, send)
            else:
                try:
                    async with asyncio.timeout(None) as connected:
                        with expiring_on_disconnect(connected, receive):
                            response = await self.run_get_response(request)
                            await self.send_response(response, send)
                except TimeoutError:
                    if not connected.expired():
                        raise
            await self.finish(response)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response that the middleware and the view make; log one that reports an error."""
        set_urlconf(settings.ROOT_URLCONF)
        response: HttpResponse = await self._middleware_chain(request)  # type: ignore[attr-defined]
        response._resource_closers.append(request.close)  # type: ignore[attr-defined]
        if response.status_code >= 400:
            line = partial(log_response, "%s: %s", response.reason_phrase, request.path)
            if response.status_code >= 500:
                # Django's own logging sends these by mail.
                await sync_to_async(line, thread_sensitive=False)(response=response, request=request)
            else:
                line(response=response, request=request)
        return response

    async def send_response(self, response: HttpResponseBase, send: Send) -> None:
        """Send a response; a stream, which may take long, without the thread that its view has borrowed."""
        if response.streaming:
            give_back_thread()
        await super().send_response(response, send)

    async def finish(self, response: HttpResponseBase | None) -> None:
        """Close the response, which says that the request has finished; say so where there is none."""
        if response is None:
            await request_finished.asend(sender=type(self))
        elif closing_may_block(response):
            await sync_to_async(response.close)()
        else:
            response.close()


def closing_may_block(response: HttpResponseBase) -> bool:
    """Tell whether something may block that a response closes or that is told of it."""
    # A stream closes what it was made from, and a class of somebody's own whatever it likes.
    is_plain = not response.streaming and type(response).close is HttpResponseBase.close
    return not is_plain or bool(unknown_receivers(request_finished))


def unknown_receivers(signal: Signal) -> list[Callable[..., Any]]:
    """Return those receivers of a signal of the handler that may block, for all that is known."""
    receivers, async_receivers = signal._live_receivers(Handler)
    return [receiver for receiver in receivers if receiver not in HARMLESS] + async_receivers


@contextmanager
def expiring_on_disconnect(connected: asyncio.Timeout, receive: Receive) -> Iterator[None]:
    """Let a timeout expire when the client leaves.

    Most responses are ready without ever waiting for anything: only one that waits is worth a task that listens.
    """
    loop = asyncio.get_running_loop()
    listeners: list[asyncio.Future[Any]] = []

    def listen() -> None:
        listener = asyncio.ensure_future(receive())
        listener.add_done_callback(expire)
        listeners.append(listener)

    def expire(listener: asyncio.Future[Any]) -> None:
        if not listener.cancelled():
            connected.reschedule(loop.time())

    start = loop.call_soon(listen)
    try:
        yield
    finally:
        start.cancel()
        for listener in listeners:
            listener.remove_done_callback(expire)
            listener.cancel()
