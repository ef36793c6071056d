"""The shared HTTP client."""

import httpx

from runtime.requests.http_client import get_client, shared_client


async def test_get_client_returns_the_shared_client() -> None:
    async with shared_client() as client:
        assert get_client() is client


async def test_client_stores_no_cookies() -> None:
    async with shared_client() as client:
        request = httpx.Request("GET", "http://supplier.example/")
        client.cookies.extract_cookies(httpx.Response(200, headers={"Set-Cookie": "a=b"}, request=request))
        assert not client.cookies


async def test_get_client_creates_the_client_without_a_lifespan() -> None:
    client = get_client()

    async with shared_client() as shared:
        assert shared is client


async def test_shared_client_is_closed_at_its_end_and_created_again() -> None:
    async with shared_client() as first:
        pass
    assert first.is_closed

    async with shared_client() as second:
        assert second is not first
