"""Whose socket it is, and for how long: a socket that came with a login ends when that does."""

import asyncio
import hashlib
from importlib import import_module
from typing import Any

from channels.auth import AuthMiddleware, UserLazyObject
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from channels.sessions import CookieMiddleware, SessionMiddleware
from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, parse_cookie

from runtime.asgi import ASGIApp, Receive, Scope, Send
from runtime.compat import require
from runtime.conf import conf
from runtime.websockets.channel_layer import group_send
from runtime.websockets.guard import SESSION_ENDED, retrieve_exception

require(UserLazyObject, "_wrapped")


class WebSocketAuthMiddleware:
    """Sets `scope["user"]` of an ASGI application to the session's user, and closes the socket when the session ends.

    It must be inside `runtime.websockets.guard.WebSocketGuardMiddleware`, which closes the socket. A socket without a
    session cookie causes no query and takes no thread.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.authenticated = CookieMiddleware(SessionMiddleware(SessionAuthMiddleware(self.watched)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set the user and run the application."""
        if has_session(scope):
            await self.authenticated(scope, receive, send)
        else:
            await self.app({**scope, "user": AnonymousUser()}, receive, send)

    async def watched(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, and close the socket when the session ends."""
        if scope["user"].is_anonymous:
            await self.app(scope, receive, send)
            return
        application = asyncio.ensure_future(self.app(scope, receive, send))
        watch = asyncio.create_task(wait_for_end(scope["session"].session_key))
        try:
            await asyncio.wait({application, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not application.done():
                # Raises the exception of a failed check: a session that cannot be checked is not kept.
                watch.result()
                scope["close"](SESSION_ENDED)
            await application
        finally:
            for task in (application, watch):
                task.cancel()
                task.add_done_callback(retrieve_exception)
            await asyncio.wait({application, watch})


async def wait_for_end(session_key: str) -> None:
    """Return when a session has ended: at once after a logout, otherwise at the next check."""
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(group_of(session_key), channel)
    heard = asyncio.ensure_future(layer.receive(channel))
    try:
        while await session_is_valid(session_key):
            await asyncio.wait({heard}, timeout=conf.SESSION_CHECK_INTERVAL)
            if heard.done():
                heard.result()
                return
    finally:
        heard.cancel()
        await asyncio.wait({heard})
        await layer.group_discard(group_of(session_key), channel)


async def session_is_valid(session_key: str) -> bool:
    """Return whether a session exists and still belongs to the user who has logged in."""
    session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    return not (await user_of(session)).is_anonymous


class SessionAuthMiddleware(AuthMiddleware):  # type: ignore[misc]
    """Channels' middleware, which ignores SECRET_KEY_FALLBACKS: it would log users out when SECRET_KEY is replaced."""

    async def resolve_scope(self, scope: Scope) -> None:
        """Set the user of the session."""
        scope["user"]._wrapped = await user_of(scope["session"])


class ReadOnlySession(dict[str, Any]):
    """The data of a session. The cookie of a WebSocket cannot change, so that its session must not change either."""

    def cycle_key(self) -> None:
        """Keep the key, where Django would replace it because the session is signed with an old SECRET_KEY."""

    def flush(self) -> None:
        """Keep the session, where Django would delete it because its user has a new password."""


@database_sync_to_async  # type: ignore[untyped-decorator]
def user_of(session: SessionBase) -> AbstractBaseUser | AnonymousUser:
    """Return the user who has logged in with a session, or AnonymousUser."""
    request = HttpRequest()
    request.session = ReadOnlySession(session.items())  # type: ignore[assignment]
    return get_user(request)


async def close_sockets_of_session(session_key: str) -> bool:
    """Tell the sockets of a session, in every process, that it has ended; see `group_send`."""
    return await group_send(group_of(session_key), {"type": "session.ended"})


def group_of(session_key: str) -> str:
    """Return the name of the group of a session's sockets, which does not give the session away."""
    return f"session.{hashlib.sha256(session_key.encode()).hexdigest()}"


def has_session(scope: Scope) -> bool:
    """Tell whether a session's cookie came with the handshake."""
    cookies = [value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie"]
    return any(settings.SESSION_COOKIE_NAME in parse_cookie(cookie) for cookie in cookies)
