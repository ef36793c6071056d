"""Django's ASGI handler, without the switches to a thread that no code of the service has asked for."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, cast

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
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix, set_urlconf
from django.utils.log import log_response

from runtime.asgi import Receive, Scope, Send
from runtime.compat import require
from runtime.requests.body import read_body, refuse_body
from runtime.requests.deadline import Deadline
from runtime.requests.error_views import json_not_found
from runtime.requests.errors import is_json_only
from runtime.requests.headers import RequestRefusedError, check_headers
from runtime.requests.outages import answer_outages, answer_timeout
from runtime.server.shutdown import get_shutdown_state
from runtime.threads.middleware import WorkerThread, call_after_running_calls, release_thread

require(ASGIHandler, "_get_response_async", "_middleware_chain")
require(HttpResponseBase, "_resource_closers")
require(StreamingHttpResponse, "_iterator")
require(log_response, "_has_been_logged")
require(Signal, "_live_receivers")

# Django's own receivers of the signals that a request starts and has finished: on the event loop none of them blocks.
NON_BLOCKING_RECEIVERS = frozenset({reset_queries, close_old_connections, reset_urlconf, close_caches})


def get_django_application() -> "Handler":
    """Set Django up, and return its part of the ASGI application."""
    django.setup(set_prefix=False)
    return Handler()


class Handler(ASGIHandler):
    """Answers as Django's handler does, but stays on the event loop where Django's goes to a thread by default."""

    # A server sets this if it reports a malformed body as a disconnect, and would answer it with a 500.
    answers_aborted_bodies = False

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; stop when its client leaves."""
        try:
            check_headers(scope["path"], scope.get("http_version", "1.1"), scope["headers"])
            body = await read_body(scope, receive)
        except RequestAborted:
            if self.answers_aborted_bodies:
                refused = RequestRefusedError(400, "The body breaks off, or is malformed.")
                await refuse_body(refused, scope, receive, send)
            return
        except RequestRefusedError as refused:
            await refuse_body(refused, scope, receive, send)
            return
        try:
            set_script_prefix(get_script_prefix(scope))
            if possibly_blocking_receivers(request_started):
                await request_started.asend(sender=type(self), scope=scope)
            response: Any
            request, response = self.create_request(scope, body)
            if request is None:
                await self.send_response(response, send)
            else:
                with suppress(RequestAborted):
                    async with CancelOnDisconnect(partial(self.listen_for_disconnect, receive)):
                        response = await self.run_get_response(request)
                        await self.send_response(response, send)
            await self.finish(response)
        finally:
            if not call_after_running_calls(body.close):
                body.close()

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response that the middleware and the view make; log one that reports an error."""
        set_urlconf(settings.ROOT_URLCONF)
        response: HttpResponse
        deadline = Deadline(settings.REQUEST_TIMEOUT)
        try:
            with deadline:
                response = await self._middleware_chain(request)  # type: ignore[attr-defined]
        except TimeoutError:
            if not deadline.expired:
                raise
            response = answer_timeout(request)
        response._resource_closers.append(request.close)  # type: ignore[attr-defined]
        if response.status_code >= 400 and not hasattr(response, "_has_been_logged"):
            line = partial(log_response, "%s: %s", response.reason_phrase, request.path)
            if response.status_code >= 500:
                # Django's own logging sends these by mail.
                await sync_to_async(line, thread_sensitive=False)(response=response, request=request)
            else:
                line(response=response, request=request)
        return response

    async def _get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response of the view, below all middleware, or one that says what is down."""
        try:
            return await answer_outages(request, super()._get_response_async(request))  # type: ignore[misc]
        except Http404 as error:
            # Django would return a page of HTML with DEBUG, and would make each 404 in a thread.
            if is_json_only(request):
                return json_not_found(request, error)
            raise

    async def send_response(self, response: HttpResponseBase, send: Send) -> None:
        """Send a response, which a slow client may make last, without the thread that its view has borrowed."""
        if get_shutdown_state().draining.is_set():
            # The next request needs a new connection, which leads to a process that stays.
            response.headers["Connection"] = "close"
        if not response.streaming or response.is_async:  # type: ignore[attr-defined]
            release_thread()
            try:
                await super().send_response(response, send)
            finally:
                # If the client has left, Python would close a generator only when it collects garbage.
                if response.streaming and hasattr(response._iterator, "aclose"):  # type: ignore[attr-defined]
                    await response._iterator.aclose()  # type: ignore[attr-defined]
            return

        async def send_part(message: Mapping[str, Any]) -> None:
            # Django has read it to its end in a thread, which the view may have begun to, before the first part.
            if message["type"] == "http.response.body":
                release_thread()
            await send(message)

        await super().send_response(response, send_part)

    async def finish(self, response: HttpResponseBase | None) -> None:
        """Close the response, which says that the request has finished; say so where there is none.

        A view may still run in its thread after its client has left or its time is up. It needs the request's body and
        files, so nothing is closed before it has ended.
        """
        tell = partial(request_finished.send, sender=type(self))
        close: Callable[[], object] = tell if response is None else response.close
        if call_after_running_calls(close):
            return
        if WorkerThread.current.get() is None:
            # The thread is not ours, so only its queue knows whether the view has ended.
            await sync_to_async(close)()
        elif response is None:
            if possibly_blocking_receivers(request_finished):
                await request_finished.asend(sender=type(self))
            else:
                request_finished.send(sender=type(self))
        elif closing_may_block(response):
            await sync_to_async(response.close)()
        else:
            response.close()


class CancelOnDisconnect:
    """`async with CancelOnDisconnect(listen):` cancels the code inside when `listen()` ends, and raises its exception.

    Most responses are ready without waiting. The task that listens starts only when the code inside first waits.
    """

    def __init__(self, listen: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.listen = listen
        self.listener: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        # asyncio.timeout cancels nothing but the code inside, and loses no cancellation that comes from outside.
        self.timeout = await asyncio.timeout(None).__aenter__()
        self.start = asyncio.get_running_loop().call_soon(self.begin)

    def begin(self) -> None:
        """Listen."""
        self.listener = asyncio.create_task(self.listen())
        self.listener.add_done_callback(self.end)

    def end(self, listener: asyncio.Task[None]) -> None:
        """Cancel the code inside, unless it has ended."""
        if self.listener is listener:
            self.timeout.reschedule(asyncio.get_running_loop().time())

    async def __aexit__(self, *raised: Any) -> None:
        self.start.cancel()
        listener, self.listener = self.listener, None
        if listener is not None:
            listener.cancel()
            if listener.done() and not listener.cancelled():
                # Retrieve the exception, or asyncio logs that it was never retrieved.
                listener.exception()
        try:
            await self.timeout.__aexit__(*raised)
        except TimeoutError:
            cast(asyncio.Task[None], listener).result()


def closing_may_block(response: HttpResponseBase) -> bool:
    """Tell whether something may block that a response closes or that is told of it."""
    # A stream closes its iterator. A response closes the request, and everything that other code has added.
    is_plain = (
        not response.streaming
        and getattr(response.close, "__func__", None) is HttpResponseBase.close
        and len(response._resource_closers) <= 1  # type: ignore[attr-defined]
    )
    return not is_plain or bool(possibly_blocking_receivers(request_finished))


def possibly_blocking_receivers(signal: Signal) -> list[Callable[..., Any]]:
    """Return the receivers of a signal of the handler that are not known to be non-blocking."""
    if not signal.receivers:
        return []
    receivers, async_receivers = signal._live_receivers(Handler)
    return [receiver for receiver in receivers if receiver not in NON_BLOCKING_RECEIVERS] + async_receivers
