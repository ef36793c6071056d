"""Reads the body of a request into a file, within the limits of size and time that the settings allow."""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIRequest

from runtime.asgi import Receive, Scope, Send
from runtime.conf import conf
from runtime.requests.headers import RequestRefusedError, check_size, logged_refusal, storage_error


async def read_body(scope: Scope, receive: Receive) -> IO[bytes]:
    """Return the body of a request as a file. A body of a single part stays in memory.

    Raises RequestRefusedError for a body of more than `settings.REQUEST_MAX_SIZE` bytes (413), a late body (408) and a
    body that cannot be stored (503). Raises RequestAborted for an incomplete body. Call `headers.check_headers` first.
    """
    headers = dict(scope["headers"])
    if b"content-length" in headers or b"transfer-encoding" in headers or scope.get("http_version") == "2":
        message = await receive_within(settings.REQUEST_BODY_TIMEOUT, receive)
    else:
        # The server already knows that the request has no body.
        message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        if body := message.get("body", b""):
            check_size(len(body))
        return BytesIO(body)
    return await spool(message, receive)


async def spool(message: Mapping[str, Any], receive: Receive) -> IO[bytes]:
    """Return a body of several parts, the first of which is `message`. A large body goes to disk.

    A slow client has as much time as it needs while it sends at least MIN_BYTES_PER_SECOND on average.
    """
    now = asyncio.get_running_loop().time
    started, size = now(), 0
    with ExitStack() as close_on_error:
        body = close_on_error.enter_context(SpooledTemporaryFile(settings.FILE_UPLOAD_MAX_MEMORY_SIZE))
        while message["type"] == "http.request":
            part = message.get("body", b"")
            size += len(part)
            check_size(size)
            is_last = not message.get("more_body", False)
            if size > settings.FILE_UPLOAD_MAX_MEMORY_SIZE:
                await sync_to_async(append_part, thread_sensitive=False)(body, part, is_last)
            else:
                append_part(body, part, is_last)
            if is_last:
                close_on_error.pop_all()
                return body
            lag = max(0.0, now() - started - size / conf.MIN_BYTES_PER_SECOND)
            message = await receive_within(settings.REQUEST_BODY_TIMEOUT - lag, receive)
    raise RequestAborted


def append_part(body: IO[bytes], part: bytes, is_last: bool) -> None:
    """Append a part to a body, and rewind the body after its last part. Raises RequestRefusedError (503)."""
    try:
        body.write(part)
        if is_last:
            body.seek(0)
    except OSError as error:
        # Closing flushes the buffer, which fails again on a full disk.
        with suppress(OSError):
            body.close()
        raise storage_error(error) from error


async def receive_within(seconds: float, receive: Receive) -> Mapping[str, Any]:
    """Return the next message. Raises RequestRefusedError (408) after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            return await receive()
    except TimeoutError as error:
        raise RequestRefusedError(408, "The body took too long to arrive.") from error


async def send_refusal(refused: RequestRefusedError, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the response to a refused request, discard the rest of its body, and close the connection."""
    # The query may be malformed, and the response does not depend on it.
    request = ASGIRequest({**scope, "query_string": b""}, BytesIO())
    response = logged_refusal(refused, request)
    await send(
        {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": [(name.lower().encode(), value.encode()) for name, value in response.headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": response.content, "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(conf.LINGERING_CLOSE_TIMEOUT):
            while (await receive()).get("more_body", False):
                pass
    await send({"type": "http.response.body", "body": b""})
