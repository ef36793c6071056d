"""Django's own middleware, on the event loop for all that cannot block.

Under ASGI Django runs each hook of its middleware in a thread, whatever it does. Here the hooks are the same, inherited
and unchanged, and only where they run differs: in the request's worker thread if they may block, else where the request
already is. Under WSGI and with Django's synchronous test client nothing differs at all.

A middleware of your own that never blocks needs no more than `class MyMiddleware(InlineHooksMixin, TheirMiddleware)`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, cast

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
from runtime.requests.headers import answers_any_host
from runtime.requests.outages import answer_outages

require(csrf.CsrfViewMiddleware, "_reject")
require(messages.MessageMiddleware, "_messages")

# Django 6.2 moves it, and warns about the old place.
if TYPE_CHECKING or django.VERSION < (6, 2):
    from django.utils.deprecation import MiddlewareMixin
else:
    from django.middleware import MiddlewareMixin


class InlineHooksMixin(MiddlewareMixin):
    """Runs the hooks of a middleware on the event loop, except for requests and responses with which they may block."""

    # Both modes, whatever a later Django's own middleware says about itself.
    sync_capable = True
    async_capable = True
    # True where `process_response` only adds headers: error responses made before the middleware get them too.
    adds_headers = False

    def request_may_block(self, request: HttpRequest) -> bool:
        """Tell whether `process_request` may block."""
        return False

    def response_may_block(self, request: HttpRequest, response: HttpResponseBase) -> bool:
        """Tell whether `process_response` may block."""
        return False

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        """Do what the parent does, with a thread only where it is needed."""
        response: HttpResponseBase | None = None
        if hasattr(self, "process_request"):
            if self.request_may_block(request):
                response = await answer_outages(request, sync_to_async(self.process_request)(request))
            else:
                response = self.process_request(request)
        response = response or await cast(Awaitable[HttpResponseBase], self.get_response(request))
        if hasattr(self, "process_response"):
            if self.response_may_block(request, response):
                return await answer_outages(request, sync_to_async(self.process_response)(request, response))
            return self.process_response(request, response)  # type: ignore[no-any-return]
        return response


class SecurityMiddleware(InlineHooksMixin, security.SecurityMiddleware):
    """Redirects to https, and sets the security headers."""

    adds_headers = True


class ContentSecurityPolicyMiddleware(InlineHooksMixin, csp.ContentSecurityPolicyMiddleware):
    """Sets the content security policy."""

    adds_headers = True


class ConditionalGetMiddleware(InlineHooksMixin, http.ConditionalGetMiddleware):
    """Answers 304 to a client that has the current version."""


class LocaleMiddleware(InlineHooksMixin, locale.LocaleMiddleware):
    """Chooses the language of a request."""


class CommonMiddleware(InlineHooksMixin, common.CommonMiddleware):
    """Appends slashes, and sets the length of the content."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        """Do what the parent does, but let health checks pass whatever their Host."""
        try:
            return super().process_request(request)
        except DisallowedHost:
            if not answers_any_host(request.path_info):
                raise
            return None


class XFrameOptionsMiddleware(InlineHooksMixin, clickjacking.XFrameOptionsMiddleware):
    """Keeps responses out of the frames of other sites."""

    adds_headers = True


class AuthenticationMiddleware(InlineHooksMixin, auth.AuthenticationMiddleware):
    """Gives a request its user, who is looked up when asked for: `await request.auser()`.

    A login that was throttled is answered 429, whatever its view has made of it.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Return the view's response, or a 429."""
        return replace_if_throttled(request, response)


class SessionMiddleware(InlineHooksMixin, sessions.SessionMiddleware):
    """Gives a request its session, and saves it if it was modified."""

    def response_may_block(self, request: HttpRequest, response: HttpResponseBase) -> bool:
        """Tell whether there is a session to be saved."""
        try:
            session = request.session
            return (session.modified or settings.SESSION_SAVE_EVERY_REQUEST) and not session.is_empty()
        except AttributeError:
            # There is none, or something else by its name.
            return False


class MessageMiddleware(InlineHooksMixin, messages.MessageMiddleware):
    """Gives a request its messages, and stores those that were added, or forgets those that were shown.

    Few requests ask for them: the storage, which is costly to make, is made when one does.
    """

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        """Do what the parent does, for a request that asks."""
        made = []

        def make() -> BaseStorage:
            made.append(default_storage(request))
            return made[0]

        lazy = request._messages = SimpleLazyObject(make)  # type: ignore[attr-defined]
        response = await cast(Awaitable[HttpResponseBase], self.get_response(request))
        if getattr(request, "_messages", None) is lazy and not made:
            return response
        # What does not fit into a cookie is kept in the session.
        process_response = sync_to_async(self.process_response)
        return await answer_outages(request, process_response(request, cast(HttpResponse, response)))


class CsrfViewMiddleware(InlineHooksMixin, csrf.CsrfViewMiddleware):
    """Refuses a request that another site made its user send."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        if self.async_mode and type(self).process_view is csrf.CsrfViewMiddleware.process_view:
            # Django looks at it to know whether it has to run it in a thread.
            self.process_view = self.aprocess_view  # type: ignore[method-assign, assignment]

    def request_may_block(self, request: HttpRequest) -> bool:
        """Tell whether the secret has to be loaded, with the session that it is in."""
        session = getattr(request, "session", None)
        return settings.CSRF_USE_SESSIONS and session is not None and session.session_key is not None

    def response_may_block(self, request: HttpRequest, response: HttpResponseBase) -> bool:
        """Tell whether a new secret is to be put into a session that exists."""
        return bool(request.META.get("CSRF_COOKIE_NEEDS_UPDATE")) and self.request_may_block(request)

    async def aprocess_view(
        self,
        request: HttpRequest,
        callback: Callable[..., Any],
        callback_args: tuple[Any, ...],
        callback_kwargs: dict[str, Any],
    ) -> HttpResponseBase | None:
        """Return the response that refuses a request, or None for one that is accepted."""
        check: Callable[..., Any] = super().process_view
        # The token may be in a form.
        if self.request_may_block(request) or reading_form_may_block(request):
            check = sync_to_async(check)
        verdict = check(request, callback, callback_args, callback_kwargs)
        return cast(HttpResponseBase | None, await verdict if isawaitable(verdict) else verdict)

    def _reject(self, request: HttpRequest, reason: str) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Return the response of CSRF_FAILURE_VIEW, which may block: on the event loop, an awaitable of it."""
        reject: Callable[..., Any] = super()._reject  # type: ignore[misc]
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return cast(HttpResponseBase, reject(request, reason))
        return sync_to_async(reject)(request, reason)


def reading_form_may_block(request: HttpRequest) -> bool:
    """Tell whether `request.POST` would take long to read: a form with files, which go to disk, or a long one."""
    if request.content_type != "application/x-www-form-urlencoded":
        return bool(request.content_type == "multipart/form-data")
    # A body that comes in chunks does not say how long it is.
    length: str = request.META.get("CONTENT_LENGTH") or ""
    return not length.isdecimal() or int(length) > conf.MAX_INLINE_FORM_SIZE
