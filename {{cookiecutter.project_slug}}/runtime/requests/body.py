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

from runtime.asgi import Receive, Scope, Send
from runtime.conf import conf
from runtime.requests.headers import RequestRefusedError, answer_refused, cannot_store, check_size


async def read_body(scope: Scope, receive: Receive) -> IO[bytes]:
    """Return the body of a request: in memory, where it already is, unless it comes in several parts.

    Raises RequestRefusedError for a body of more than `settings.REQUEST_MAX_SIZE` bytes (413), one that is late (408)
    or one that cannot be stored (503); RequestAborted if it breaks off. Call `headers.check_headers` first.
    """
    headers = dict(scope["headers"])
    if b"content-length" in headers or b"transfer-encoding" in headers or scope.get("http_version") == "2":
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
            is_last = not message.get("more_body", False)
            if size > settings.FILE_UPLOAD_MAX_MEMORY_SIZE:
                await sync_to_async(store, thread_sensitive=False)(body, part, is_last)
            else:
                store(body, part, is_last)
            if is_last:
                unless_complete.pop_all()
                return body
            lag = max(0.0, now() - started - size / conf.MIN_BYTES_PER_SECOND)
            message = await receive_within(settings.REQUEST_BODY_TIMEOUT - lag, receive)
    raise RequestAborted


def store(body: IO[bytes], part: bytes, is_last: bool) -> None:
    """Append a part to a body, and go back to its beginning after the last; raise RequestRefusedError if that fails."""
    try:
        body.write(part)
        if is_last:
            body.seek(0)
    except OSError as error:
        # Closing writes what is still buffered, which fails again on a full disk.
        with suppress(OSError):
            body.close()
        raise cannot_store(error) from error


async def receive_within(seconds: float, receive: Receive) -> Mapping[str, Any]:
    """Return what the client sends next; raise RequestRefusedError if it takes longer than some seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await receive()
    except TimeoutError as error:
        raise RequestRefusedError(408, "The body took too long to arrive.") from error


async def refuse_body(refused: RequestRefusedError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request that is refused, and have the connection closed: what comes next may be its body."""
    # Its query may be malformed, and does not matter any more.
    request = ASGIRequest({**scope, "query_string": b""}, BytesIO())
    response = answer_refused(refused, request)
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
                # Thrown away.
                pass
    await send({"type": "http.response.body", "body": b""})
