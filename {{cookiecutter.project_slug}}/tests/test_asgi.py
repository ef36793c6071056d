"""The ASGI application as a server sees it, spoken to by httpx."""

import httpx
from django.test import TransactionTestCase

from config.asgi import application


class ApplicationTests(TransactionTestCase):
    async def test_answers_http(self) -> None:
        transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
        async with (
            application.running(),
            httpx.AsyncClient(transport=transport, base_url="http://testserver") as client,
        ):
            for path in ("/", "/health/live", "/health/ready", "/admin/login/"):
                response = await client.get(path)
                assert response.status_code == 200, path
            assert (await client.get("/nowhere")).status_code == 404

    async def test_refuses_an_unknown_host(self) -> None:
        transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://evil.example") as client:
            assert (await client.get("/")).status_code == 400
