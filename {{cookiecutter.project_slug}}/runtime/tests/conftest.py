"""Fixtures of the machinery's tests."""

from collections.abc import AsyncIterator

import httpx
import pytest

from runtime.tests.service import application


@pytest.fixture
async def http_client() -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole ASGI application."""
    transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
    async with (
        application.running(),
        httpx.AsyncClient(transport=transport, base_url="http://testserver") as client,
    ):
        yield client
