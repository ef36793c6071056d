"""Asking suppliers: real HTTP servers that quote, dawdle and break in every way."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer
from django.test import override_settings

from catalog.suppliers import MAX_ANSWER, NoQuoteError, ask_suppliers, parse_price
from runtime.development.hops import count_hops
from runtime.requests.http_client import shared_client


async def quote(request: web.Request) -> web.Response:
    return web.json_response({"price": "12.50"} if request.query["product"] == "Chair & table" else None)


async def slow(request: web.Request) -> web.Response:
    await asyncio.sleep(0.05)
    return web.json_response({"price": 1})


async def hanging(request: web.Request) -> web.Response:
    await asyncio.sleep(60)
    raise AssertionError("nobody waits for this")


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
        await response.write(b" " * MAX_ANSWER)


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


@asynccontextmanager
async def suppliers(**settings: float) -> AsyncIterator[BaseTestServer]:
    """Serve the suppliers above, each at the path of its name."""
    application = web.Application()
    for handler in (quote, slow, hanging, dripping, endless, broken, cut, silent):
        application.router.add_get(f"/{handler.__name__}", handler)
    async with TestServer(application) as server, shared_client():
        yield server


async def ask(server: BaseTestServer, *names: str) -> list[dict[str, str]]:
    """Ask the named suppliers; return their answers without the URLs, which must be in order."""
    urls = [str(server.make_url(f"/{name}")) for name in names]
    with override_settings(
        SUPPLIER_URLS=urls, SUPPLIER_CONNECT_TIMEOUT=1.0, SUPPLIER_READ_TIMEOUT=1.0, SUPPLIER_TOTAL_TIMEOUT=1.5
    ):
        answers = await ask_suppliers("Chair & table")
    assert [answer.pop("supplier") for answer in answers] == urls
    return answers


async def test_a_quote() -> None:
    async with suppliers() as server:
        assert await ask(server, "quote") == [{"price": "12.50"}]


async def test_nobody_to_ask() -> None:
    with override_settings(SUPPLIER_URLS=[]):
        assert await ask_suppliers("Chair & table") == []


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("hanging", "did not answer in time"),
        ("dripping", "did not answer in time"),
        ("endless", f"answered with more than {MAX_ANSWER} bytes"),
        ("broken", "answered 500"),
        ("cut", "could not be reached"),
        ("silent", "could not be reached"),
        ("nowhere", "answered 404"),
    ],
)
async def test_a_failure_is_reported_beside_the_answers_of_the_others(name: str, error: str) -> None:
    async with suppliers() as server:
        assert await ask(server, "quote", name, "slow") == [{"price": "12.50"}, {"error": error}, {"price": "1"}]


async def test_a_supplier_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    async with shared_client():
        with override_settings(SUPPLIER_URLS=[url]):
            assert await ask_suppliers("Chair & table") == [{"supplier": url, "error": "could not be reached"}]


@pytest.mark.parametrize("url", ["http://256.1.1.1/", "http://xn--a/", "http://user:password@127.0.0.1:9/"])
async def test_a_url_that_cannot_be_asked(url: str) -> None:
    async with shared_client():
        with override_settings(SUPPLIER_URLS=[url]):
            [answer] = await ask_suppliers("Chair & table")
    assert answer["error"] == "could not be reached"


async def test_all_are_asked_at_once() -> None:
    async with suppliers() as server:
        started = time.monotonic()
        answers = await ask(server, *["slow"] * 20)

    assert answers == [{"price": "1"}] * 20
    assert time.monotonic() - started < 20 * 0.05 / 2


async def test_nobody_is_asked_in_a_thread() -> None:
    async with suppliers() as server:
        with count_hops() as hops:
            await ask(server, "quote", "slow", "cut")

    assert not hops


NO_PRICES = [
    *(b"", b"{", b"null", b"[]", b"{}", b"\xff"),
    *(b'{"price": %s}' % price for price in (b"null", b'"NaN"', b"-1", b"1e99", b"1e-99", b"[1]")),
]


@pytest.mark.parametrize("body", NO_PRICES)
def test_an_answer_without_a_price(body: bytes) -> None:
    with pytest.raises(NoQuoteError):
        parse_price(body)


@pytest.mark.parametrize("body", [b'{"price": "12.50"}', b'{"price": 12.5, "currency": "EUR"}'])
def test_an_answer_with_a_price(body: bytes) -> None:
    assert parse_price(body) == Decimal("12.50")
