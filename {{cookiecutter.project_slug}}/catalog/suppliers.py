"""Asking suppliers, all at once, for what a product would cost."""

import asyncio
from decimal import Decimal, InvalidOperation
from typing import Any

import httpx
from aiohttp import ClientError
from django.conf import settings

from runtime.requests.http_client import get_client

# Bytes of an answer that are read; a quote is far shorter.
MAX_ANSWER = 64 * 1024
# A price has no more digits than this before its point, or zeros after it, nor characters in all.
MAGNITUDE = 9
LONGEST_PRICE = 20


class NoQuoteError(Exception):
    """A supplier's failure to quote. The message is for the client."""


async def ask_suppliers(name: str) -> list[dict[str, str]]:
    """Return one entry for each of SUPPLIER_URLS, in their order: `{"supplier": url, "price": …}` or `{…, "error": …}`.

    It takes as long as the slowest supplier, and no longer than SUPPLIER_TOTAL_TIMEOUT seconds.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask_supplier(url, name)) for url in settings.SUPPLIER_URLS]
    return [task.result() for task in tasks]


async def ask_supplier(url: str, name: str) -> dict[str, str]:
    """Return what one supplier quotes for a product, or why it does not."""
    try:
        async with asyncio.timeout(settings.SUPPLIER_TOTAL_TIMEOUT):
            price = await fetch_price(url, name)
    except NoQuoteError as error:
        return {"supplier": url, "error": str(error)}
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, ClientError, ValueError) as error:
        # The transport lets aiohttp's own exceptions through (ValueError for what it would not send), and calls a
        # refused connection a timeout too.
        in_time = not isinstance(error, TimeoutError) and not isinstance(error.__cause__, TimeoutError)
        return {"supplier": url, "error": "could not be reached" if in_time else "did not answer in time"}
    return {"supplier": url, "price": str(price)}


async def fetch_price(url: str, name: str) -> Decimal:
    """Return the price in a supplier's answer to `GET url?product=name`, which is `{"price": "12.50"}`.

    Raises NoQuoteError for any other answer, and what the HTTP client raises when there is none.
    """
    question = httpx.URL(url).copy_merge_params({"product": name})
    timeout = httpx.Timeout(settings.SUPPLIER_READ_TIMEOUT, connect=settings.SUPPLIER_CONNECT_TIMEOUT)
    async with get_client().stream("GET", question, timeout=timeout) as response:
        if response.status_code != httpx.codes.OK:
            raise NoQuoteError(f"answered {response.status_code}")
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_ANSWER:
                raise NoQuoteError(f"answered with more than {MAX_ANSWER} bytes")
    return parse_price(bytes(body))


def parse_price(body: bytes) -> Decimal:
    """Return the price in the body of a supplier's answer; raise NoQuoteError if there is none."""
    try:
        answer: Any = httpx.Response(200, content=body).json()
        price = Decimal(str(answer["price"]))
    except (ValueError, RecursionError, TypeError, KeyError, InvalidOperation) as error:
        raise NoQuoteError("answered without a price") from error
    if not price.is_finite() or price < 0 or abs(price.adjusted()) > MAGNITUDE or len(str(price)) > LONGEST_PRICE:
        raise NoQuoteError("answered with a price that cannot be")
    return price
