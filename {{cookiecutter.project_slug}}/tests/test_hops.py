"""Hop budgets: how often a request switches from the event loop to a thread. Add the views that must not block."""

import httpx
import pytest

# {% if cookiecutter.use_async_views %}
from catalog.models import Product
# {% endif %}
from runtime.development.hops import count_hops
# {% if cookiecutter.use_async_views %}
from runtime.threads.middleware import WorkerThread
from tests.api_test_case import CHAIR, PRODUCTS
# {% endif %}


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/health/live", 200), ("/api/nowhere/", 404)])
async def test_request_without_blocking_code_makes_no_hops(
    http_client: httpx.AsyncClient, path: str, status: int
) -> None:
    with count_hops() as hops:
        response = await http_client.get(path)

    assert response.status_code == status
    assert not hops
# {% if cookiecutter.use_async_views %}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", [PRODUCTS, f"{PRODUCTS}1/"])
async def test_reading_products_hops_only_for_queries_that_block(http_client: httpx.AsyncClient, path: str) -> None:
    async with WorkerThread():
        await Product.objects.acreate(pk=1, **CHAIR)

    with count_hops() as hops:
        response = await http_client.get(path)

    assert "Chair" in response.text
    # {% if cookiecutter.use_postgres %}
    assert not hops
    # {% else %}
    assert len(hops) == 1
    # {% endif %}
# {% endif %}
