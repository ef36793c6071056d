"""Assigns each request an ID, and adds the ID to every log line and to the response."""

import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import cast, override

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

# An ID with other characters could forge log lines. The middleware replaces it.
ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,128}")

request_id: ContextVar[str] = ContextVar("request_id", default="-")


class RequestIDMiddleware:
    """Sets `X-Request-ID`, and `Server-Timing` with the milliseconds that the response took.

    Under ASGI it runs on the event loop. It also works under WSGI and with Django's synchronous test client, where
    `get_response` is not a coroutine function.
    """

    sync_capable = True
    async_capable = True
    # A request that is refused before the middleware gets an ID too (see `runtime.requests.errors.refusal`).
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
        """Return the response, or a coroutine of it if `get_response` is a coroutine function."""
        if self.is_async:
            return self.__acall__(request)
        started = time.perf_counter()
        token = request_id.set(self.assign_id(request))
        try:
            response = cast(HttpResponseBase, self.get_response(request))
        finally:
            # The next request may run in the same thread.
            request_id.reset(token)
        return self.add_headers(request, response, started)

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        # Not reset: each request has its own task and context, and a streamed body is sent in it later.
        request_id.set(self.assign_id(request))
        response = await cast(Awaitable[HttpResponseBase], self.get_response(request))
        return self.add_headers(request, response, started)

    @staticmethod
    def assign_id(request: HttpRequest) -> str:
        """Return the ID from the request's header if it is acceptable, or else a new one."""
        sent = request.META.get("HTTP_X_REQUEST_ID", "")
        identity = sent if ACCEPTABLE.fullmatch(sent) else secrets.token_hex(16)
        request.META["REQUEST_ID"] = identity
        return identity

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Add the ID to a response that does not come from a view."""
        response["X-Request-ID"] = request.META.get("REQUEST_ID") or self.assign_id(request)
        return response

    @staticmethod
    def add_headers(request: HttpRequest, response: HttpResponseBase, started: float) -> HttpResponseBase:
        """Add the ID and the time since `started`, in `time.perf_counter()` seconds."""
        milliseconds = (time.perf_counter() - started) * 1000
        response["X-Request-ID"] = request.META["REQUEST_ID"]
        response.headers["Server-Timing"] = f"total;dur={milliseconds:.1f}"
        return response


class RequestIDFilter(logging.Filter):
    """Sets `request_id` of each log record to the current request's ID, or to `-` outside of requests."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        # Django logs an error response outside of the middleware, but attaches the request to the record.
        request = getattr(record, "request", None)
        identity = request.META.get("REQUEST_ID") if isinstance(request, HttpRequest) else None
        record.request_id = identity or request_id.get()
        return True
