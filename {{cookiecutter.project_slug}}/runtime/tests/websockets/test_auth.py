"""A socket that came with a login ends when that does."""

from collections.abc import Callable
from typing import Any
from unittest import mock

from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import TransactionTestCase, override_settings

from runtime.asgi import Receive, Scope, Send
from runtime.conf import conf
from runtime.development.hops import count_hops
from runtime.tests.service import User
from runtime.websockets import auth as sessions
from runtime.websockets.auth import WebSocketAuthMiddleware
from runtime.websockets.guard import WebSocketGuardMiddleware

UNREACHABLE = {"default": {"BACKEND": "runtime.tests.websockets.test_channel_layer.Unreachable"}}


async def greet(scope: Scope, receive: Receive, send: Send) -> None:
    """Accept as soon as it is known who it is, and say so."""
    await receive()
    await send({"type": "websocket.accept", "subprotocol": scope["user"].get_username()})
    while (await receive())["type"] != "websocket.disconnect":
        pass


class SessionTests(TransactionTestCase):
    def setUp(self) -> None:
        self.user = User.objects.create_user("ada", password="secret")

    async def connect(self, cookie: str = "") -> tuple[ApplicationCommunicator, str]:
        """Connect with a cookie; return the client, and who the application takes it for."""
        headers = [(b"cookie", cookie.encode())] if cookie else []
        client = ApplicationCommunicator(
            WebSocketGuardMiddleware(WebSocketAuthMiddleware(greet)), {"type": "websocket", "headers": headers}
        )
        await client.send_input({"type": "websocket.connect"})
        return client, (await client.receive_output())["subprotocol"]

    async def log_in(self) -> tuple[ApplicationCommunicator, str]:
        """Connect with a session."""
        await self.async_client.aforce_login(self.user)
        key = self.async_client.cookies[settings.SESSION_COOKIE_NAME].value
        return await self.connect(f"theme=dark; {settings.SESSION_COOKIE_NAME}={key}")

    async def assert_ended_by(self, end: Callable[[], Any]) -> None:
        client, name = await self.log_in()
        assert name == "ada"
        await end()
        answer = await client.receive_output()
        assert (answer["type"], answer["code"]) == ("websocket.close", 4401)
        await client.send_input({"type": "websocket.disconnect", "code": 4401})
        await client.wait()

    async def test_a_logout_ends_it_at_once(self) -> None:
        await self.assert_ended_by(self.async_client.alogout)

    async def test_what_nobody_tells_of_ends_it_soon(self) -> None:
        async def new_password() -> None:
            self.user.set_password("another")
            await self.user.asave()

        with mock.patch.object(conf, "SESSION_CHECK_INTERVAL", 0.01):
            await self.assert_ended_by(Session.objects.all().adelete)
            await self.assert_ended_by(new_password)
            await self.assert_ended_by(lambda: User.objects.aupdate(is_active=False))

    async def test_a_login_outlives_a_new_secret_key(self) -> None:
        await self.async_client.aforce_login(self.user)
        key = self.async_client.cookies[settings.SESSION_COOKIE_NAME].value
        cookie = f"{settings.SESSION_COOKIE_NAME}={key}"
        for fallbacks, expected in (([settings.SECRET_KEY], "ada"), ([], "")):
            with override_settings(SECRET_KEY="a new one", SECRET_KEY_FALLBACKS=fallbacks):
                client, name = await self.connect(cookie)
                assert name == expected
                assert await sessions.session_is_valid(key) == bool(expected)
                await client.send_input({"type": "websocket.disconnect", "code": 1000})
                await client.wait()
        # A handshake changes nothing: with the old key, the session is still good.
        assert await sessions.session_is_valid(key)

    @override_settings(CHANNEL_LAYERS=UNREACHABLE)
    async def test_a_logout_needs_no_channel_layer(self) -> None:
        await self.async_client.aforce_login(self.user)
        with self.assertLogs("runtime.websockets.channel_layer"):
            await self.async_client.alogout()
        assert not await Session.objects.aexists()

    async def test_a_socket_without_a_session_costs_nothing(self) -> None:
        with count_hops() as hops:
            for cookie in ("", "theme=dark"):
                client, name = await self.connect(cookie)
                assert name == ""
                await client.send_input({"type": "websocket.disconnect", "code": 1000})
                await client.wait()
        assert not hops

    async def test_one_that_nobody_has_logged_in_with_is_anonymous(self) -> None:
        client, name = await self.connect(f"{settings.SESSION_COOKIE_NAME}=unknown")
        assert name == ""
        await client.send_input({"type": "websocket.disconnect", "code": 1000})
        await client.wait()
