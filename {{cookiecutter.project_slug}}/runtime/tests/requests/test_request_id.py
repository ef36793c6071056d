"""A request's ID, on its way through the service."""

import logging
import re
from contextvars import Context

import httpx
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, SimpleTestCase

from runtime.requests.request_id import RequestIDFilter, RequestIDMiddleware
from runtime.tests.service import application

MADE = r"[0-9a-f]{32}"


class MiddlewareTests(SimpleTestCase):
    async def test_makes_an_id_for_each_request(self) -> None:
        first, second = [await self.async_client.get("/health/live") for _ in range(2)]

        assert re.fullmatch(MADE, first.headers["X-Request-ID"])
        assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]

    async def test_keeps_the_id_that_a_request_came_with(self) -> None:
        response = await self.async_client.get("/health/live", headers={"X-Request-ID": "from-the.proxy_1"})

        assert response.headers["X-Request-ID"] == "from-the.proxy_1"

    async def test_replaces_an_id_that_could_forge_a_log_line(self) -> None:
        for forged in ("two\nlines", "x" * 129, "spa ce", "<b>"):
            response = await self.async_client.get("/health/live", headers={"X-Request-ID": forged})

            assert re.fullmatch(MADE, response.headers["X-Request-ID"])

    async def test_says_how_long_the_response_took(self) -> None:
        response = await self.async_client.get("/health/live")

        assert re.fullmatch(r"total;dur=\d+\.\d", response.headers["Server-Timing"])

    def test_works_without_an_event_loop(self) -> None:
        response = Client(headers={"X-Request-ID": "sync"}).get("/health/live")

        assert response.headers["X-Request-ID"] == "sync"

    async def test_every_log_line_has_the_id(self) -> None:
        transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            with self.assertLogs("django.request", logging.WARNING) as logs:
                await client.get("/nowhere", headers={"X-Request-ID": "lost"})

        [record] = logs.records
        RequestIDFilter().filter(record)
        assert record.request_id == "lost"


def test_a_synchronous_view_logs_in_its_request_and_nothing_after_it_does() -> None:
    seen = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(logged_id())
        return HttpResponse()

    def handle_one() -> None:
        seen.append(logged_id())
        RequestIDMiddleware(view)(RequestFactory(headers={"X-Request-ID": "inside"}).get("/"))
        seen.append(logged_id())

    Context().run(handle_one)
    assert seen == ["-", "inside", "-"]


def logged_id() -> object:
    """Return the ID that a line logged now would have."""
    record = logging.makeLogRecord({})
    assert RequestIDFilter().filter(record)
    return record.request_id
