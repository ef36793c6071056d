"""The HTTP client that all requests share.

A client for each call would block the event loop while it loads certificates, and could not reuse connections. The
transport is aiohttp's, because httpx's own is slow with many open calls.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from weakref import WeakKeyDictionary

import httpx
from httpx_aiohttp import AiohttpTransport

from runtime.conf import conf

ssl_context = cache(httpx.create_ssl_context)

# Connections belong to the event loop that opened them. A server has one loop, and a test run has many.
_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()


def get_client() -> httpx.AsyncClient:
    """Return the client of the running event loop. The first call creates it."""
    loop = asyncio.get_running_loop()
    client = _clients.get(loop)
    if client is None:
        # A cookie from one user's call must not be sent with the calls of other users.
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        limits = httpx.Limits(
            max_connections=conf.MAX_CLIENT_CONNECTIONS,
            max_keepalive_connections=conf.MAX_KEEPALIVE_CLIENT_CONNECTIONS,
        )
        transport = AiohttpTransport(verify=ssl_context(), limits=limits)
        client = httpx.AsyncClient(transport=transport, cookies=no_cookies)
        _clients[loop] = client
    return client


@asynccontextmanager
async def shared_client() -> AsyncIterator[httpx.AsyncClient]:
    """Create the client before the first request and close it after the last (see `runtime.server.lifespan`)."""
    async with get_client() as client:
        try:
            yield client
        finally:
            del _clients[asyncio.get_running_loop()]
