"""The body of a request, as a file: never more of it than the settings allow, and never waited for longer."""

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
from django.utils.log import log_response

from runtime.asgi import Receive, Scope, Send
from runtime.errors import refusal

# Bytes a second that come on average, however slow the line of a client is.
SLOWEST = 10_000
# Seconds for which the rest of a body that was refused is thrown away. A connection that is closed before it has come
# is reset, and then many a client never reads why.
LINGER = 2.0


class BodyRefusedError(Exception):
    """A body that is not accepted, and the HTTP status that says so. The message is for the client."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def read_body(scope: Scope, receive: Receive) -> IO[bytes]:
    """Return the body of a request: in memory, where it already is, unless it comes in several parts.

    Raises BodyRefusedError for a body of more than `settings.REQUEST_MAX_SIZE` bytes (413), or one that is late (408);
    RequestAborted if it breaks off.
    """
    headers = dict(scope["headers"])
    if b"content-length" in headers or b"transfer-encoding" in headers or scope.get("http_version") == "2":
        # So many digits are enough.
        check_size(int(headers.get(b"content-length", b"0")[:18]))
        message = await receive_within(settings.REQUEST_BODY_TIMEOUT, receive)
    else:
        # The server already knows that there is none.
        message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        if body := message.get("body", b""):
            check_size(len(body))
        return BytesIO(body)
    return await spool(message, receive)


async def spool(message: Mapping[str, Any], receive: Receive) -> IO[bytes]:
    """Return a body of several parts, of which one has come: on disk, unless it is small.

    A client that is slow has time as long as it goes on sending, and on average not slower than is decent.
    """
    now = asyncio.get_running_loop().time
    started, size = now(), 0
    with ExitStack() as unless_complete:
        body = unless_complete.enter_context(SpooledTemporaryFile(settings.FILE_UPLOAD_MAX_MEMORY_SIZE))
        while message["type"] == "http.request":
            part = message.get("body", b"")
            size += len(part)
            check_size(size)
            if size > settings.FILE_UPLOAD_MAX_MEMORY_SIZE:
                await sync_to_async(body.write, thread_sensitive=False)(part)
            else:
                body.write(part)
            if not message.get("more_body", False):
                body.seek(0)
                unless_complete.pop_all()
                return body
            behind = max(0.0, now() - started - size / SLOWEST)
            message = await receive_within(settings.REQUEST_BODY_TIMEOUT - behind, receive)
    raise RequestAborted


def check_size(size: int) -> None:
    """Raise BodyRefusedError for a body of so many bytes, if that is too many."""
    if size > settings.REQUEST_MAX_SIZE:
        raise BodyRefusedError(413, f"The body is longer than {settings.REQUEST_MAX_SIZE} bytes.")


async def receive_within(seconds: float, receive: Receive) -> Mapping[str, Any]:
    """Return what the client sends next; raise BodyRefusedError if it takes longer than some seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await receive()
    except TimeoutError as error:
        raise BodyRefusedError(408, "The body took too long to arrive.") from error


async def refuse_body(refused: BodyRefusedError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request whose body is not accepted, and have the connection closed: what comes next may be the body."""
    response = refusal(refused.status, str(refused), ASGIRequest(scope, BytesIO()))
    log_response("%s: %s", response.reason_phrase, scope["path"], response=response)
    await send(
        {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": [(name.lower().encode(), value.encode()) for name, value in response.headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": response.content, "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER):
            while (await receive()).get("more_body", False):
                # Thrown away.
                pass
    await send({"type": "http.response.body", "body": b""})
