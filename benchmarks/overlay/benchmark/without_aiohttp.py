"""The service's application, with httpx's own transport in place of aiohttp's."""

import httpx
from runtime import http

http.AiohttpTransport = httpx.AsyncHTTPTransport

from config.asgi import application  # noqa: E402, F401
