"""What every socket is held to."""

import asyncio
import logging
from typing import Any
from unittest import mock

import pytest
from asgiref.testing import ApplicationCommunicator
from django.db import OperationalError
from django.test import override_settings
from redis.exceptions import ConnectionError as RedisConnectionError

from runtime.asgi import Receive, Scope, Send
from runtime.websockets import guard as sockets
from runtime.websockets.guard import WebSocketGuardMiddleware, end_all, open_sockets


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Accept, and send back each frame, until the client leaves."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
    scope["left"].append(message["code"])


async def hesitate(scope: Scope, receive: Receive, send: Send) -> None:
    """Never decide whether to accept."""
    await asyncio.Event().wait()


class Client(ApplicationCommunicator):
    """A client of an application within what is tested."""

    def __init__(self, application: Any = echo) -> None:
        # The codes that the application has heard.
        self.left: list[int] = []
        super().__init__(WebSocketGuardMiddleware(application), {"type": "websocket", "left": self.left})

    async def connect(self) -> None:
        await self.send_input({"type": "websocket.connect"})
        assert (await self.receive_output())["type"] == "websocket.accept"

    async def code(self) -> int:
        """Return the code with which it is closed next, and let the application see that the client has left."""
        answer = await self.receive_output()
        assert answer["type"] == "websocket.close", answer
        await self.send_input({"type": "websocket.disconnect", "code": answer["code"]})
        await self.wait()
        assert not open_sockets
        return int(answer["code"])


@pytest.mark.parametrize("frame", [{"text": "12345"}, {"bytes": b"12345"}, {"text": "\u00e9\u00e9\u00e9"}])
async def test_a_frame_that_is_too_long_is_refused(frame: dict[str, Any]) -> None:
    client = Client()
    await client.connect()
    with override_settings(WEBSOCKET_MAX_SIZE=4):
        await client.send_input({"type": "websocket.receive", "text": "1234"})
        assert (await client.receive_output())["text"] == "1234"
        await client.send_input({"type": "websocket.receive", **frame})
        assert await client.code() == 1009
    assert client.left == [1009]


async def test_a_burst_is_let_through_and_a_flood_is_not() -> None:
    client = Client()
    await client.connect()
    with override_settings(WEBSOCKET_BURST=3, WEBSOCKET_RATE=1):
        for _ in range(3):
            await client.send_input({"type": "websocket.receive", "text": ""})
            assert (await client.receive_output())["type"] == "websocket.send"
        await client.send_input({"type": "websocket.receive", "text": ""})
        assert await client.code() == 1008


async def test_a_client_that_takes_nothing_is_left() -> None:
    incoming: asyncio.Queue[Any] = asyncio.Queue()
    left: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] != "websocket.accept":
            await asyncio.Event().wait()

    incoming.put_nowait({"type": "websocket.connect"})
    incoming.put_nowait({"type": "websocket.receive", "text": ""})
    with override_settings(
        RUNTIME_WEBSOCKET_SEND_TIMEOUT=0.01, RUNTIME_WEBSOCKET_CLOSE_TIMEOUT=0.01, RUNTIME_WEBSOCKET_LEAVE_TIMEOUT=0.01
    ):
        await WebSocketGuardMiddleware(echo)({"type": "websocket", "left": left}, incoming.get, send)
    assert left == [1013]


async def test_message_that_the_server_takes_at_once_needs_no_timer() -> None:
    client = Client()
    await client.connect()
    with mock.patch.object(asyncio, "timeout", side_effect=AssertionError):
        for text in ("1", "2"):
            await client.send_input({"type": "websocket.receive", "text": text})
            await asyncio.sleep(0.01)
    assert [(await client.receive_output())["text"] for _ in range(2)] == ["1", "2"]
    await client.send_input({"type": "websocket.disconnect", "code": 1000})
    await client.wait()


@pytest.mark.parametrize("waits", [False, True])
async def test_lost_connection_ends_the_socket(waits: bool) -> None:
    incoming: asyncio.Queue[Any] = asyncio.Queue()
    left: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "websocket.send":
            if waits:
                await asyncio.sleep(0.01)
            raise ConnectionResetError

    incoming.put_nowait({"type": "websocket.connect"})
    incoming.put_nowait({"type": "websocket.receive", "text": ""})
    await WebSocketGuardMiddleware(echo)({"type": "websocket", "left": left}, incoming.get, send)
    assert left == [1006]


@pytest.mark.parametrize("error", [RedisConnectionError("gone"), OperationalError("gone")])
async def test_what_is_down_closes_the_socket_with_a_code_and_one_line(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    with mock.patch.object(sockets, "reported", {}):
        for _ in range(2):
            client = Client(failing)
            # It is accepted first, or a browser would not see the code.
            await client.connect()
            assert await client.code() == 1013
    [line] = caplog.records
    assert (line.levelno, line.exc_info) == (logging.WARNING, None)


async def test_a_channel_layer_that_is_down_is_down_for_all() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise RedisConnectionError

    idle, client = Client(), Client(failing)
    await idle.connect()
    await client.connect()
    for each in (idle, client):
        answer = await each.receive_output()
        assert (answer["type"], answer["code"]) == ("websocket.close", 1013)
        await each.send_input({"type": "websocket.disconnect", "code": 1013})
        await each.wait()


async def test_another_exception_stays_what_it_is() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Client(broken).wait()


async def test_a_consumer_that_does_not_decide_is_not_waited_for() -> None:
    with override_settings(RUNTIME_WEBSOCKET_HANDSHAKE_TIMEOUT=0.01, RUNTIME_WEBSOCKET_LEAVE_TIMEOUT=0.01):
        client = Client(hesitate)
        await client.connect()
        assert await client.code() == 1013


async def test_all_can_be_ended_from_outside() -> None:
    clients = [Client() for _ in range(3)]
    for client in clients:
        await client.connect()
    end_all(1012)
    for client in clients:
        assert (await client.receive_output())["code"] == 1012
        await client.send_input({"type": "websocket.disconnect", "code": 1012})
    for client in clients:
        await client.wait()
        assert client.left == [1012]
    assert not open_sockets
