"""The HTTP client of the projects without an own client."""

from functools import cache

import httpx


@cache
def shared_client() -> httpx.AsyncClient:
    """Return the client of this process, with httpx's defaults."""
    return httpx.AsyncClient()
