"""Asks all suppliers for the price of a product, at the same time."""

import asyncio
import json
from decimal import Decimal, InvalidOperation
from typing import Any

import httpx
from aiohttp import ClientError
from django.conf import settings

from runtime.requests.http_client import get_client

# Bytes of a response. A quote is far shorter.
MAX_RESPONSE_SIZE = 64 * 1024
# Limits of a price: the exponent of its first digit, positive or negative, and its length in characters.
MAX_PRICE_EXPONENT = 9
MAX_PRICE_LENGTH = 20


class QuoteError(Exception):
    """A supplier's response has no usable price. The message is for the client."""


async def ask_suppliers(name: str) -> list[dict[str, str]]:
    """Return `{"supplier": url, "price": …}` or `{"supplier": url, "error": …}` for each of SUPPLIER_URLS, in order.

    It takes as long as the slowest supplier, at most SUPPLIER_TOTAL_TIMEOUT seconds.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask_supplier(url, name)) for url in settings.SUPPLIER_URLS]
    return [task.result() for task in tasks]


async def ask_supplier(url: str, name: str) -> dict[str, str]:
    """Return the price of one supplier, or its error. An exception would cancel the requests to the others."""
    try:
        async with asyncio.timeout(settings.SUPPLIER_TOTAL_TIMEOUT):
            price = await fetch_price(url, name)
    except QuoteError as error:
        return {"supplier": url, "error": str(error)}
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, ClientError, ValueError) as error:
        # httpx-aiohttp lets aiohttp's own exceptions through (ValueError for a URL that it cannot send), and reports a
        # refused connection as httpx.ConnectTimeout. A real timeout is or has the cause TimeoutError.
        timed_out = isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError)
        return {"supplier": url, "error": "timeout" if timed_out else "unreachable"}
    return {"supplier": url, "price": str(price)}


async def fetch_price(url: str, name: str) -> Decimal:
    """Return the price in a supplier's response to `GET url?product=name`, which should be `{"price": "12.50"}`.

    Raises QuoteError for any other response, and the exceptions of httpx and aiohttp if there is no response.
    """
    target = httpx.URL(url).copy_merge_params({"product": name})
    timeout = httpx.Timeout(settings.SUPPLIER_READ_TIMEOUT, connect=settings.SUPPLIER_CONNECT_TIMEOUT)
    async with get_client().stream("GET", target, timeout=timeout) as response:
        if response.status_code != httpx.codes.OK:
            raise QuoteError(f"HTTP status {response.status_code}")
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_RESPONSE_SIZE:
                raise QuoteError(f"response longer than {MAX_RESPONSE_SIZE} bytes")
    return parse_price(bytes(body))


def parse_price(body: bytes) -> Decimal:
    """Return the price in the body of a supplier's response. Raises QuoteError if there is none."""
    try:
        quote: Any = json.loads(body)
        price = Decimal(str(quote["price"]))
    except (ValueError, RecursionError, TypeError, KeyError, InvalidOperation) as error:
        raise QuoteError("response without a price") from error
    too_long = abs(price.adjusted()) > MAX_PRICE_EXPONENT or len(str(price)) > MAX_PRICE_LENGTH
    if not price.is_finite() or price < 0 or too_long:
        raise QuoteError("response with an invalid price")
    return price
