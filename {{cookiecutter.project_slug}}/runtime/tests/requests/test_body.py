"""Bodies that are too long, too slow, or never end."""

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
    """Set limits that a test soon reaches, and have small bodies written to disk."""
    with override_settings(REQUEST_MAX_SIZE=1000, REQUEST_BODY_TIMEOUT=0.05, FILE_UPLOAD_MAX_MEMORY_SIZE=10):
        yield


def part(body: bytes, more: bool = True) -> dict[str, Any]:
    """Return a part of a body, as a server hands it over."""
    return {"type": "http.request", "body": body, "more_body": more}


async def answer(*messages: dict[str, Any], **headers: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """Hand over what a server would, and then nothing; return the status, the headers and the body of the answer."""
    coming = list(messages)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if not coming:
            await asyncio.sleep(60)
        return coming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.body" and message.get("more_body"):
            coming.append({"type": "http.disconnect"})

    told = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/health/live",
        "http_version": "1.1",
        "query_string": b"",
        "headers": [(b"host", b"testserver"), *told],
    }
    await Handler()(scope, receive, send)
    assert not coming, "the answer does not wait for what comes"
    body = b"".join(message["body"] for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), body


async def test_a_body_that_says_that_it_is_too_long_is_not_read() -> None:
    for length in (b"1001", b"9" * 5000):
        status, headers, body = await answer(content_length=length)

        assert status == 413
        assert headers[b"connection"] == b"close"
        assert json.loads(body) == {"error": "The body is longer than 1000 bytes."}


async def test_a_body_that_grows_too_long_is_read_no_further() -> None:
    parts = [part(LONG[:500]), part(LONG[500:])]
    assert (await answer(*parts, transfer_encoding=b"chunked"))[0] == 413
    assert (await answer(part(LONG, more=False), transfer_encoding=b"chunked"))[0] == 413
    # Nor from a server that has said nothing of it.
    assert (await answer(*parts))[0] == 413


async def test_a_body_that_stays_away_is_not_waited_for() -> None:
    assert (await answer(content_length=b"10"))[0] == 408
    assert (await answer(part(b"hello"), content_length=b"10"))[0] == 408


async def test_a_body_of_many_parts_arrives_whole() -> None:
    # CSRF's refusal comes from the middleware: the body was read.
    parts = [part(b"x" * 100) for _ in range(9)]
    assert (await answer(*parts, part(b"x" * 100, more=False), content_length=b"1000"))[0] == 403


async def test_a_body_that_cannot_be_stored_is_a_503(caplog: pytest.LogCaptureFixture) -> None:
    with mock.patch("tempfile.TemporaryFile", side_effect=FileNotFoundError("No usable temporary directory found")):
        status, headers, body = await answer(part(LONG[:5]), part(LONG[:500]))

    assert (status, headers[b"retry-after"]) == (503, b"30")
    assert json.loads(body) == {"error": "The body cannot be stored. Try again in a moment."}
    [record] = caplog.records
    assert record.getMessage() == (
        "Service Unavailable: /health/live: cannot store a body of more than 10 bytes: No usable temporary directory"
        " found. Provide a writable temporary directory with free space (TMPDIR, or /tmp)."
    )
    assert record.exc_info is None


async def test_a_browser_is_answered_in_html() -> None:
    _, headers, body = await answer(content_length=b"1001", accept=b"text/html,*/*")
    assert headers[b"content-type"].startswith(b"text/html")
    assert b"<p>The body is longer than 1000 bytes.</p>" in body
