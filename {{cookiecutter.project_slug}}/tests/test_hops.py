"""Hop budgets: how often a request switches from the event loop to a thread. Add the views that must not block."""

import httpx
import pytest

from runtime.development.hops import count_hops


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/health/live", 200), ("/api/nowhere/", 404)])
async def test_request_without_blocking_code_makes_no_hops(
    http_client: httpx.AsyncClient, path: str, status: int
) -> None:
    with count_hops() as hops:
        response = await http_client.get(path)

    assert response.status_code == status
    assert not hops
