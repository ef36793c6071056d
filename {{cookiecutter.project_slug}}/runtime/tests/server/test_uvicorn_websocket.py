"""uvicorn's WebSocket connections: clients that violate the protocol."""

import asyncio

import pytest

from runtime.asgi import Receive, Scope, Send
from runtime.server.uvicorn_websocket import WebSocketLimitProtocol
from runtime.tests.server.test_uvicorn import connected
from runtime.websockets.guard import WebSocketGuardMiddleware


async def test_message_after_a_malformed_frame_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    proceed = asyncio.Event()
    received: list[str] = []

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await proceed.wait()
        await send({"type": "websocket.send", "text": "late"})
        received.append((await receive())["type"])

    async with connected(WebSocketGuardMiddleware(late), ws=WebSocketLimitProtocol) as (reader, writer, state):
        writer.write(
            b"GET / HTTP/1.1\r\nHost: testserver\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        [connection] = state.connections
        # The application continues before it receives the disconnect. The frame is malformed because it has no mask.
        proceed.set()
        connection.data_received(b"\x81\x01x")
        await reader.read()
        await asyncio.gather(*state.tasks)
    assert received == ["websocket.disconnect"]
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
