"""The service's application, with httpx's own transport in place of aiohttp's."""

import httpx
from runtime.requests import http_client as http

http.AiohttpTransport = httpx.AsyncHTTPTransport

from config.asgi import application  # noqa: E402, F401
