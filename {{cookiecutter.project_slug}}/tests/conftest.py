"""Fixtures of the service's own tests."""

from collections.abc import AsyncIterator

import httpx
import pytest

from config.asgi import application


@pytest.fixture
async def http_client() -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole ASGI application. Django's test client would bypass the outer middleware."""
    transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
    async with (
        application.running(),
        httpx.AsyncClient(transport=transport, base_url="http://testserver") as client,
    ):
        yield client
