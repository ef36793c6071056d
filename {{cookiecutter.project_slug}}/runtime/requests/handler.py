"""Django's ASGI handler, without the switches to a thread that Django makes for every request."""

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
from runtime.requests.body import read_body, send_refusal
from runtime.requests.deadline import Deadline
from runtime.requests.error_views import json_not_found
from runtime.requests.errors import is_json_only
from runtime.requests.headers import RequestRefusedError, check_headers
from runtime.requests.outages import timeout_response, with_error_responses
from runtime.server.shutdown import get_shutdown_state
from runtime.threads.middleware import WorkerThread, call_after_running_calls, release_thread

require(ASGIHandler, "_get_response_async", "_middleware_chain")
require(HttpResponseBase, "_resource_closers")
require(StreamingHttpResponse, "_iterator")
require(log_response, "_has_been_logged")
require(Signal, "_live_receivers")

# Django's own receivers of request_started and request_finished. None of them blocks on the event loop.
NON_BLOCKING_RECEIVERS = frozenset({reset_queries, close_old_connections, reset_urlconf, close_caches})
# The receivers of a signal when none of them could block. Every request asks, and they seldom change.
NON_BLOCKING: dict[Signal, list[Any]] = {}


def get_django_application() -> "Handler":
    """Set Django up, and return its ASGI application."""
    django.setup(set_prefix=False)
    return Handler()


class Handler(ASGIHandler):
    """Django's handler, which runs on the event loop and uses a thread only for code that may block."""

    # Set for a server that reports a malformed body as a disconnect, and would itself send a 500.
    rejects_aborted_bodies = False

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request. The view is cancelled when the client disconnects."""
        try:
            check_headers(scope["path"], scope.get("http_version", "1.1"), scope["headers"])
            body = await read_body(scope, receive)
        except RequestAborted:
            if self.rejects_aborted_bodies:
                refused = RequestRefusedError(400, "The body is incomplete or malformed.")
                await send_refusal(refused, scope, receive, send)
            return
        except RequestRefusedError as refused:
            await send_refusal(refused, scope, receive, send)
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
            await self.close_response(response)
        finally:
            if not call_after_running_calls(body.close):
                body.close()

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response of middleware and view, or a 504 after REQUEST_TIMEOUT. Error responses are logged."""
        set_urlconf(settings.ROOT_URLCONF)
        response: HttpResponse
        deadline = Deadline(settings.REQUEST_TIMEOUT)
        try:
            with deadline:
                response = await self._middleware_chain(request)  # type: ignore[attr-defined]
        except TimeoutError:
            if not deadline.expired:
                raise
            response = timeout_response(request)
        response._resource_closers.append(request.close)  # type: ignore[attr-defined]
        if response.status_code >= 400 and not hasattr(response, "_has_been_logged"):
            log = partial(log_response, "%s: %s", response.reason_phrase, request.path)
            if response.status_code >= 500:
                # Django's default logging mails these to the admins, which blocks.
                await sync_to_async(log, thread_sensitive=False)(response=response, request=request)
            else:
                log(response=response, request=request)
        return response

    async def _get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response of the view, or a 503 for an outage."""
        try:
            return await with_error_responses(request, super()._get_response_async(request))  # type: ignore[misc]
        except Http404 as error:
            # Django would build each 404 in a thread, and return HTML with DEBUG.
            if is_json_only(request):
                return json_not_found(request, error)
            raise

    async def send_response(self, response: HttpResponseBase, send: Send) -> None:
        """Send a response. The worker thread is released first, because a slow client may take long to read."""
        if get_shutdown_state().draining.is_set():
            # The client's next connection reaches a process that is not shutting down.
            response.headers["Connection"] = "close"
        if not response.streaming or response.is_async:  # type: ignore[attr-defined]
            release_thread()
            try:
                await super().send_response(response, send)
            finally:
                # When the client has disconnected, Python would close the generator only at garbage collection.
                if response.streaming and hasattr(response._iterator, "aclose"):  # type: ignore[attr-defined]
                    await response._iterator.aclose()  # type: ignore[attr-defined]
            return

        async def send_part(message: Mapping[str, Any]) -> None:
            # Django reads a synchronous stream completely, in the view's thread, before it sends the first part.
            if message["type"] == "http.response.body":
                release_thread()
            await send(message)

        await super().send_response(response, send_part)

    async def close_response(self, response: HttpResponseBase | None) -> None:
        """Close the response, which sends `request_finished`. Without a response, send the signal.

        A view may still run in its thread after a disconnect or a timeout. It needs the request's body and files, so
        they are closed only after the view has returned.
        """
        send_finished = partial(request_finished.send, sender=type(self))
        close: Callable[[], object] = send_finished if response is None else response.close
        if call_after_running_calls(close):
            return
        if WorkerThread.current.get() is None:
            # asgiref's thread runs one call at a time, so this call runs after the view has returned.
            await sync_to_async(close)()
        elif response is None:
            if possibly_blocking_receivers(request_finished):
                await request_finished.asend(sender=type(self))
            else:
                send_finished()
        elif closing_may_block(response):
            await sync_to_async(response.close)()
        else:
            response.close()


class CancelOnDisconnect:
    """`async with CancelOnDisconnect(listen):` cancels its block when `listen()` ends, and raises its exception.

    The task that listens starts only when the block first waits, because most responses are ready without waiting.
    """

    def __init__(self, listen: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.listen = listen
        self.listener: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        # asyncio.timeout cancels only the block, and does not lose a cancellation from outside.
        self.timeout = await asyncio.timeout(None).__aenter__()
        self.start = asyncio.get_running_loop().call_soon(self.start_listener)

    def start_listener(self) -> None:
        """Start the task that listens."""
        self.listener = asyncio.create_task(self.listen())
        self.listener.add_done_callback(self.cancel_block)

    def cancel_block(self, listener: asyncio.Task[None]) -> None:
        """Cancel the block, unless it has already ended."""
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
    """Tell whether `response.close()` may block: a closer that other code has added, or a signal receiver."""
    # A stream closes its iterator. Every response closes its request.
    is_plain = (
        not response.streaming
        and getattr(response.close, "__func__", None) is HttpResponseBase.close
        and len(response._resource_closers) <= 1  # type: ignore[attr-defined]
    )
    return not is_plain or bool(possibly_blocking_receivers(request_finished))


def possibly_blocking_receivers(signal: Signal) -> list[Callable[..., Any]]:
    """Return the receivers of a handler's signal that are not known to be non-blocking."""
    if not signal.receivers or signal.receivers == NON_BLOCKING.get(signal):
        return []
    connected = list(signal.receivers)
    receivers, async_receivers = signal._live_receivers(Handler)
    blocking = [receiver for receiver in receivers if receiver not in NON_BLOCKING_RECEIVERS] + async_receivers
    if not blocking:
        NON_BLOCKING[signal] = connected
    return blocking
