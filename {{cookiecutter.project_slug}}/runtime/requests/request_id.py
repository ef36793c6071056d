"""A request's ID: taken from its header or made, put in every log line and in the response."""

import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

# What a proxy may send. Anything else could forge log lines, and gets an ID of our own.
ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,128}")

request_id: ContextVar[str] = ContextVar("request_id", default="-")


class RequestIDMiddleware:
    """Give each request an ID, and say in `Server-Timing` how many milliseconds its response took to make.

    It stays on the event loop under ASGI, and works the same under WSGI and with Django's synchronous test client:
    Django wants a coroutine function exactly when `get_response` is one.
    """

    sync_capable = True
    async_capable = True
    # A request that is refused before it reaches any middleware has an ID too (`runtime.requests.errors.refusal`).
    adds_headers = True

    def __init__(
        self,
        get_response: Callable[[HttpRequest], HttpResponseBase] | Callable[[HttpRequest], Awaitable[HttpResponseBase]],
    ) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Handle a request the way `get_response` does: at once, or in the coroutine that this returns."""
        if self.is_async:
            return self.__acall__(request)
        started = time.perf_counter()
        token = request_id.set(self.identify(request))
        try:
            response = cast(HttpResponseBase, self.get_response(request))
        finally:
            # The next request may run in the same thread.
            request_id.reset(token)
        return self.annotate(request, response, started)

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        # Not reset: the server gives each request a task, and so a context, of its own, and a streamed body
        # that is still to be sent logs in it too.
        request_id.set(self.identify(request))
        response = await cast(Awaitable[HttpResponseBase], self.get_response(request))
        return self.annotate(request, response, started)

    @staticmethod
    def identify(request: HttpRequest) -> str:
        """Return the ID of a request: the one it came with, if that is acceptable, or a new one."""
        sent = request.META.get("HTTP_X_REQUEST_ID", "")
        identity = sent if ACCEPTABLE.fullmatch(sent) else secrets.token_hex(16)
        request.META["REQUEST_ID"] = identity
        return identity

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Add the ID to a response that does not come from a view."""
        response["X-Request-ID"] = request.META.get("REQUEST_ID") or self.identify(request)
        return response

    @staticmethod
    def annotate(request: HttpRequest, response: HttpResponseBase, started: float) -> HttpResponseBase:
        """Add the headers to a response whose making began at `started`, in `time.perf_counter()` seconds."""
        milliseconds = (time.perf_counter() - started) * 1000
        response["X-Request-ID"] = request.META["REQUEST_ID"]
        response.headers["Server-Timing"] = f"total;dur={milliseconds:.1f}"
        return response


class RequestIDFilter(logging.Filter):
    """Give each log record a `request_id`: that of the request being handled, or `-`."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Set `record.request_id`, and let every record pass."""
        # Django logs an error response when the middleware is done with it, but says which request it was.
        request = getattr(record, "request", None)
        identity = request.META.get("REQUEST_ID") if isinstance(request, HttpRequest) else None
        record.request_id = identity or request_id.get()
        return True
