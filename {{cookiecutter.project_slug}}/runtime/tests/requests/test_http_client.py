"""The one HTTP client that requests share."""

import httpx

from runtime.requests.http_client import get_client, shared_client


async def test_is_the_same_for_everyone() -> None:
    async with shared_client() as client:
        assert get_client() is client


async def test_keeps_no_cookies() -> None:
    async with shared_client() as client:
        request = httpx.Request("GET", "http://supplier.example/")
        client.cookies.extract_cookies(httpx.Response(200, headers={"Set-Cookie": "a=b"}, request=request))
        assert not client.cookies


async def test_is_made_by_the_first_call_where_no_server_does() -> None:
    client = get_client()

    async with shared_client() as shared:
        assert shared is client


async def test_is_closed_with_the_server_and_made_anew_for_the_next() -> None:
    async with shared_client() as first:
        pass
    assert first.is_closed

    async with shared_client() as second:
        assert second is not first
