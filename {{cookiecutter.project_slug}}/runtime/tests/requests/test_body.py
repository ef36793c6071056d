"""The limits of size and time for request bodies."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from django.test import override_settings

from runtime.requests.handler import Handler

LONG = b"x" * 1001


@pytest.fixture(autouse=True)
def limits() -> Iterator[None]:
    """Set low limits, and write bodies of more than 10 bytes to disk."""
    with override_settings(REQUEST_MAX_SIZE=1000, REQUEST_BODY_TIMEOUT=0.05, FILE_UPLOAD_MAX_MEMORY_SIZE=10):
        yield


def part(body: bytes, more: bool = True) -> dict[str, Any]:
    """Return the message for a part of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


async def post(*messages: dict[str, Any], **headers: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """Post a body in these messages, of which the last may be missing. Return the status, headers and response body."""
    unread = list(messages)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if not unread:
            await asyncio.sleep(60)
        return unread.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.body" and message.get("more_body"):
            unread.append({"type": "http.disconnect"})

    extra = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/health/live",
        "http_version": "1.1",
        "query_string": b"",
        "headers": [(b"host", b"testserver"), *extra],
    }
    await Handler()(scope, receive, send)
    assert not unread, "the handler does not read the rest of the body"
    body = b"".join(message["body"] for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), body


async def test_content_length_above_the_limit_is_413_without_reading_the_body() -> None:
    for length in (b"1001", b"9" * 5000):
        status, headers, body = await post(content_length=length)

        assert status == 413
        assert headers[b"connection"] == b"close"
        assert json.loads(body) == {"error": "The body is longer than 1000 bytes."}


async def test_chunked_body_above_the_limit_is_413() -> None:
    parts = [part(LONG[:500]), part(LONG[500:])]
    assert (await post(*parts, transfer_encoding=b"chunked"))[0] == 413
    assert (await post(part(LONG, more=False), transfer_encoding=b"chunked"))[0] == 413
    # A server may not pass the header on.
    assert (await post(*parts))[0] == 413


async def test_late_body_is_408() -> None:
    assert (await post(content_length=b"10"))[0] == 408
    assert (await post(part(b"hello"), content_length=b"10"))[0] == 408


async def test_body_of_many_parts_is_read_completely() -> None:
    # The 403 comes from the CSRF check, after the body was read.
    parts = [part(b"x" * 100) for _ in range(9)]
    assert (await post(*parts, part(b"x" * 100, more=False), content_length=b"1000"))[0] == 403


async def test_body_that_cannot_be_stored_is_503_and_logs_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    with mock.patch("tempfile.TemporaryFile", side_effect=FileNotFoundError("No usable temporary directory found")):
        status, headers, body = await post(part(LONG[:5]), part(LONG[:500]))

    assert (status, headers[b"retry-after"]) == (503, b"30")
    assert json.loads(body) == {"error": "The body cannot be stored. Try again in a moment."}
    [record] = caplog.records
    assert record.getMessage() == (
        "Service Unavailable: /health/live: cannot store a body of more than 10 bytes: No usable temporary directory"
        " found. Provide a writable temporary directory with free space (TMPDIR, or /tmp)."
    )
    assert record.exc_info is None


async def test_refused_body_of_a_browser_gets_an_html_page() -> None:
    _, headers, body = await post(content_length=b"1001", accept=b"text/html,*/*")
    assert headers[b"content-type"].startswith(b"text/html")
    assert b"<p>The body is longer than 1000 bytes.</p>" in body
