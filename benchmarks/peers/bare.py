"""ASGI callables without a framework, which show the upper limit of a server."""

import json
from typing import Any

sockets: dict[int, Any] = {}


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Respond to `GET /json`, keep WebSockets open, and send a text to each of them on `GET /publish`."""
    match scope["type"]:
        case "websocket":
            await hold_open(receive, send)
        case "http":
            if scope["path"] == "/publish":
                text = json.dumps({"message": "Hello"})
                for send_to_socket in list(sockets.values()):
                    await send_to_socket({"type": "websocket.send", "text": text})
            await answer(send, {"message": "Hello"})
        case _:
            raise NotImplementedError(scope["type"])


async def hold_open(receive: Any, send: Any) -> None:
    """Accept a WebSocket, and keep it in `sockets` until it is closed."""
    await receive()
    await send({"type": "websocket.accept"})
    sockets[id(send)] = send
    while (await receive())["type"] != "websocket.disconnect":
        pass
    del sockets[id(send)]


async def answer(send: Any, content: dict[str, str]) -> None:
    """Send a JSON response."""
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
