"""Suppliers: real HTTP servers that quote, respond slowly, or fail in different ways."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer
from django.test import override_settings

from catalog.suppliers import MAX_RESPONSE_SIZE, QuoteError, ask_suppliers, parse_price
from runtime.development.hops import count_hops
from runtime.requests.http_client import shared_client


async def quote(request: web.Request) -> web.Response:
    return web.json_response({"price": "12.50"} if request.query["product"] == "Chair & table" else None)


async def slow(request: web.Request) -> web.Response:
    await asyncio.sleep(0.05)
    return web.json_response({"price": 1})


async def hanging(request: web.Request) -> web.Response:
    await asyncio.sleep(60)
    raise AssertionError("the client should have disconnected")


async def dripping(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.02)


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * MAX_RESPONSE_SIZE)


async def broken(request: web.Request) -> web.Response:
    return web.Response(status=500)


async def cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b"{")
    assert request.transport is not None
    request.transport.abort()
    return response


async def silent(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def suppliers(*others: Handler) -> AsyncIterator[BaseTestServer]:
    """Serve the handlers above, and others, each at the path of its name."""
    application = web.Application()
    for handler in (quote, slow, hanging, dripping, endless, broken, cut, silent, *others):
        application.router.add_get(f"/{handler.__name__}", handler)
    async with TestServer(application) as server, shared_client():
        yield server


async def ask(server: BaseTestServer, *names: str) -> list[dict[str, str]]:
    """Ask the named suppliers. Return their answers without the URLs, after checking their order."""
    urls = [str(server.make_url(f"/{name}")) for name in names]
    with override_settings(
        SUPPLIER_URLS=urls, SUPPLIER_CONNECT_TIMEOUT=1.0, SUPPLIER_READ_TIMEOUT=1.0, SUPPLIER_TOTAL_TIMEOUT=1.5
    ):
        answers = await ask_suppliers("Chair & table")
    assert [answer.pop("supplier") for answer in answers] == urls
    return answers


async def test_quote_is_returned() -> None:
    async with suppliers() as server:
        assert await ask(server, "quote") == [{"price": "12.50"}]


async def test_no_suppliers_return_no_answers() -> None:
    with override_settings(SUPPLIER_URLS=[]):
        assert await ask_suppliers("Chair & table") == []


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("hanging", "timeout"),
        ("dripping", "timeout"),
        ("endless", f"response longer than {MAX_RESPONSE_SIZE} bytes"),
        ("broken", "HTTP status 500"),
        ("cut", "unreachable"),
        ("silent", "unreachable"),
        ("nowhere", "HTTP status 404"),
    ],
)
async def test_failure_of_one_supplier_does_not_affect_the_others(name: str, error: str) -> None:
    async with suppliers() as server:
        assert await ask(server, "quote", name, "slow") == [{"price": "12.50"}, {"error": error}, {"price": "1"}]


async def test_refused_connection_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    async with shared_client():
        with override_settings(SUPPLIER_URLS=[url]):
            assert await ask_suppliers("Chair & table") == [{"supplier": url, "error": "unreachable"}]


@pytest.mark.parametrize("url", ["http://256.1.1.1/", "http://xn--a/", "http://user:password@127.0.0.1:9/"])
async def test_url_that_cannot_be_requested_is_unreachable(url: str) -> None:
    async with shared_client():
        with override_settings(SUPPLIER_URLS=[url]):
            [answer] = await ask_suppliers("Chair & table")
    assert answer["error"] == "unreachable"


async def test_suppliers_are_asked_concurrently() -> None:
    everyone = asyncio.Barrier(20)

    async def together(request: web.Request) -> web.Response:
        await everyone.wait()
        return web.json_response({"price": 1})

    async with suppliers(together) as server:
        assert await ask(server, *["together"] * 20) == [{"price": "1"}] * 20


async def test_asking_makes_no_hops() -> None:
    async with suppliers() as server:
        with count_hops() as hops:
            await ask(server, "quote", "slow", "cut")

    assert not hops


INVALID_QUOTES = [
    *(b"", b"{", b"null", b"[]", b"{}", b"\xff"),
    *(b'{"price": %s}' % price for price in (b"null", b'"NaN"', b"-1", b"1e99", b"1e-99", b"[1]")),
]


@pytest.mark.parametrize("body", INVALID_QUOTES)
def test_response_without_a_valid_price_raises(body: bytes) -> None:
    with pytest.raises(QuoteError):
        parse_price(body)


@pytest.mark.parametrize("body", [b'{"price": "12.50"}', b'{"price": 12.5, "currency": "EUR"}'])
def test_response_with_a_price_is_parsed(body: bytes) -> None:
    assert parse_price(body) == Decimal("12.50")
