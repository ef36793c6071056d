"""The HTTP client of a project that has none of its own."""

from functools import cache

import httpx


@cache
def shared_client() -> httpx.AsyncClient:
    """Return the one client of this process, as httpx makes it by default."""
    return httpx.AsyncClient()
