"""The whole ASGI application, as a server calls it."""

import httpx
import pytest


@pytest.mark.django_db(transaction=True)
async def test_pages_are_served(http_client: httpx.AsyncClient) -> None:
    for path in ("/", "/health/live", "/health/ready", "/admin/login/"):
        response = await http_client.get(path)
        assert response.status_code == 200, path
    assert (await http_client.get("/nowhere")).status_code == 404


async def test_unknown_host_is_refused(http_client: httpx.AsyncClient) -> None:
    assert (await http_client.get("/", headers={"Host": "evil.example"})).status_code == 400
