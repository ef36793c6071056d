"""The server of the fan-out: it responds to every request after 100 ms, however many are open."""

import asyncio
from typing import Any

SECONDS = 0.1


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Respond to any HTTP request after `SECONDS`."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await asyncio.sleep(SECONDS)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
