"""The ID of a request, in its response and in log lines."""

import logging
import re
from contextvars import Context

import httpx
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, SimpleTestCase

from runtime.requests.request_id import RequestIDFilter, RequestIDMiddleware
from runtime.tests.service import application

GENERATED = r"[0-9a-f]{32}"


class MiddlewareTests(SimpleTestCase):
    async def test_request_without_an_id_gets_a_new_one(self) -> None:
        first, second = [await self.async_client.get("/health/live") for _ in range(2)]

        assert re.fullmatch(GENERATED, first.headers["X-Request-ID"])
        assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]

    async def test_acceptable_id_of_a_request_is_kept(self) -> None:
        response = await self.async_client.get("/health/live", headers={"X-Request-ID": "from-the.proxy_1"})

        assert response.headers["X-Request-ID"] == "from-the.proxy_1"

    async def test_id_that_could_forge_a_log_line_is_replaced(self) -> None:
        for forged in ("two\nlines", "x" * 129, "spa ce", "<b>"):
            response = await self.async_client.get("/health/live", headers={"X-Request-ID": forged})

            assert re.fullmatch(GENERATED, response.headers["X-Request-ID"])

    async def test_server_timing_has_the_milliseconds_of_the_response(self) -> None:
        response = await self.async_client.get("/health/live")

        assert re.fullmatch(r"total;dur=\d+\.\d", response.headers["Server-Timing"])

    def test_synchronous_test_client_gets_the_id(self) -> None:
        response = Client(headers={"X-Request-ID": "sync"}).get("/health/live")

        assert response.headers["X-Request-ID"] == "sync"

    async def test_log_record_of_an_error_response_has_the_id(self) -> None:
        transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            with self.assertLogs("django.request", logging.WARNING) as logs:
                await client.get("/nowhere", headers={"X-Request-ID": "lost"})

        [record] = logs.records
        RequestIDFilter().filter(record)
        assert record.request_id == "lost"


def test_log_record_has_the_id_only_during_a_synchronous_request() -> None:
    ids = []

    def view(request: HttpRequest) -> HttpResponse:
        ids.append(logged_id())
        return HttpResponse()

    def handle_request() -> None:
        ids.append(logged_id())
        RequestIDMiddleware(view)(RequestFactory(headers={"X-Request-ID": "inside"}).get("/"))
        ids.append(logged_id())

    Context().run(handle_request)
    assert ids == ["-", "inside", "-"]


def logged_id() -> object:
    """Return the ID of a log record that is created now."""
    record = logging.makeLogRecord({})
    assert RequestIDFilter().filter(record)
    return record.request_id
