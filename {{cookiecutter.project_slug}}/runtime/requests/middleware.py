"""Django's own middleware, with non-blocking hooks on the event loop.

Under ASGI, Django runs every hook of its middleware in a thread. These subclasses inherit the hooks unchanged, and run
a hook in the request's worker thread only if it may block. Under WSGI and with Django's synchronous test client they
behave exactly as Django's classes.

A middleware of yours that never blocks needs one line: `class MyMiddleware(InlineHooksMixin, TheirMiddleware)`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, cast, override

import django
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.messages.storage import default_storage
from django.contrib.messages.storage.base import BaseStorage
from django.contrib.sessions import middleware as sessions
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.http.response import HttpResponseBase
from django.middleware import clickjacking, common, csp, csrf, http, locale, security
from django.utils.functional import SimpleLazyObject

from runtime.auth.login_refusals import replace_if_throttled
from runtime.compat import require
from runtime.conf import conf
from runtime.requests.headers import accepts_any_host
from runtime.requests.outages import with_error_responses

require(csrf.CsrfViewMiddleware, "_reject")
require(messages.MessageMiddleware, "_messages")

# Django 6.2 moves the class, and deprecates the old path.
if TYPE_CHECKING or django.VERSION < (6, 2):
    from django.utils.deprecation import MiddlewareMixin
else:
    from django.middleware import MiddlewareMixin


class InlineHooksMixin(MiddlewareMixin):
    """Runs the hooks of a middleware on the event loop, or in the worker thread if they may block."""

    # A later Django may change these attributes of its own middleware.
    sync_capable = True
    async_capable = True
    # True if `process_response` only adds headers. Error responses that pass no middleware then get them too.
    adds_headers = False

    def request_may_block(self, request: HttpRequest) -> bool:
        """Tell whether `process_request` may block."""
        return False

    def response_may_block(self, request: HttpRequest, response: HttpResponseBase) -> bool:
        """Tell whether `process_response` may block."""
        return False

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        """Run the hooks around the view, as the parent does. A thread runs only the hooks that may block."""
        response: HttpResponseBase | None = None
        if hasattr(self, "process_request"):
            if self.request_may_block(request):
                response = await with_error_responses(request, sync_to_async(self.process_request)(request))
            else:
                response = self.process_request(request)
        response = response or await self.get_response(request)  # type: ignore[misc]
        if hasattr(self, "process_response"):
            if self.response_may_block(request, response):
                return await with_error_responses(request, sync_to_async(self.process_response)(request, response))
            return self.process_response(request, response)  # type: ignore[no-any-return]
        return response


class SecurityMiddleware(InlineHooksMixin, security.SecurityMiddleware):
    """Redirects to https, and sets the security headers."""

    adds_headers = True


class ContentSecurityPolicyMiddleware(InlineHooksMixin, csp.ContentSecurityPolicyMiddleware):
    """Sets the content security policy."""

    adds_headers = True


class ConditionalGetMiddleware(InlineHooksMixin, http.ConditionalGetMiddleware):
    """Returns 304 to a client that has the current version."""


class LocaleMiddleware(InlineHooksMixin, locale.LocaleMiddleware):
    """Chooses the language of a request."""


class CommonMiddleware(InlineHooksMixin, common.CommonMiddleware):
    """Appends slashes, sets Content-Length, and accepts any Host for the health endpoints."""

    @override
    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        try:
            return super().process_request(request)
        except DisallowedHost:
            if not accepts_any_host(request.path_info):
                raise
            return None


class XFrameOptionsMiddleware(InlineHooksMixin, clickjacking.XFrameOptionsMiddleware):
    """Sets X-Frame-Options, which keeps other sites from framing the pages."""

    adds_headers = True


class AuthenticationMiddleware(InlineHooksMixin, auth.AuthenticationMiddleware):
    """Sets `request.user` and `request.auser()`."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Return the view's response, or a 429 if the login that the view tried was throttled."""
        return replace_if_throttled(request, response)


class SessionMiddleware(InlineHooksMixin, sessions.SessionMiddleware):
    """Sets `request.session`, and saves the session if it was modified."""

    @override
    def response_may_block(self, request: HttpRequest, response: HttpResponseBase) -> bool:
        try:
            session = request.session
            return (session.modified or settings.SESSION_SAVE_EVERY_REQUEST) and not session.is_empty()
        except AttributeError:
            # Other code has deleted or replaced the session.
            return False


class MessageMiddleware(InlineHooksMixin, messages.MessageMiddleware):
    """Stores the messages for a user, and deletes those that a page has shown.

    The storage is costly, so it is created for those few requests that use messages.
    """

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        created = []

        def create() -> BaseStorage:
            created.append(default_storage(request))
            return created[0]

        lazy = request._messages = SimpleLazyObject(create)  # type: ignore[attr-defined]
        response = await cast(Awaitable[HttpResponseBase], self.get_response(request))
        if getattr(request, "_messages", None) is lazy and not created:
            return response
        # Messages that do not fit into a cookie go to the session, which may block.
        process_response = sync_to_async(self.process_response)
        return await with_error_responses(request, process_response(request, cast(HttpResponse, response)))


class CsrfViewMiddleware(InlineHooksMixin, csrf.CsrfViewMiddleware):
    """Refuses a request without a valid CSRF token."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        if self.async_mode and type(self).process_view is csrf.CsrfViewMiddleware.process_view:
            # Django runs `process_view` in a thread unless it is a coroutine function.
            self.process_view = self.aprocess_view  # type: ignore[method-assign, assignment]

    def request_may_block(self, request: HttpRequest) -> bool:
        """Tell whether the CSRF secret has to be loaded from a session."""
        session = getattr(request, "session", None)
        return settings.CSRF_USE_SESSIONS and session is not None and session.session_key is not None

    def response_may_block(self, request: HttpRequest, response: HttpResponseBase) -> bool:
        """Tell whether a new CSRF secret has to be put into an existing session."""
        return bool(request.META.get("CSRF_COOKIE_NEEDS_UPDATE")) and self.request_may_block(request)

    async def aprocess_view(
        self,
        request: HttpRequest,
        callback: Callable[..., Any],
        callback_args: tuple[Any, ...],
        callback_kwargs: dict[str, Any],
    ) -> HttpResponseBase | None:
        """Return a 403, or None for a request that passes the check."""
        check: Callable[..., Any] = super().process_view
        # The token may be in a form, and the check parses the form to read it.
        if self.request_may_block(request) or reading_form_may_block(request):
            check = sync_to_async(check)
        verdict = check(request, callback, callback_args, callback_kwargs)
        return cast(HttpResponseBase | None, await verdict if isawaitable(verdict) else verdict)

    def _reject(self, request: HttpRequest, reason: str) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Return the response of CSRF_FAILURE_VIEW. On the event loop, return an awaitable: the view may block."""
        reject: Callable[..., Any] = super()._reject  # type: ignore[misc]
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return cast(HttpResponseBase, reject(request, reason))
        return sync_to_async(reject)(request, reason)


def reading_form_may_block(request: HttpRequest) -> bool:
    """Tell whether reading `request.POST` may block: a long form, or one with files, which go to disk."""
    if request.content_type != "application/x-www-form-urlencoded":
        return bool(request.content_type == "multipart/form-data")
    # A chunked body has no Content-Length.
    length: str = request.META.get("CONTENT_LENGTH") or ""
    return not length.isdecimal() or int(length) > conf.MAX_INLINE_FORM_SIZE
