"""How often a request goes to a thread: never, unless its own code blocks."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.core.signals import request_finished, request_started

# {% if cookiecutter.use_async_views %}
from catalog.models import Product
# {% endif %}
from config.asgi import application
from runtime.development.hops import count_hops
# {% if cookiecutter.use_async_views %}
from runtime.threads.pool import LentThread
# {% endif %}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole application, without Django's test client in between."""
    transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
    async with (
        application.running(),
        httpx.AsyncClient(transport=transport, base_url="http://testserver") as client,
    ):
        yield client


@pytest.mark.parametrize("path", ["/health/live", "/"])
async def test_a_view_that_does_not_block_costs_none(client: httpx.AsyncClient, path: str) -> None:
    with count_hops() as hops:
        response = await client.get(path)

    assert response.status_code == 200
    assert not hops


async def test_an_unknown_path_of_the_api_costs_none(client: httpx.AsyncClient) -> None:
    with count_hops() as hops:
        response = await client.get("/api/nowhere/")

    assert response.status_code == 404
    assert not hops


# {% if cookiecutter.use_async_views %}
@pytest.mark.django_db(transaction=True)
async def test_reading_a_row_costs_the_one_of_the_orm(client: httpx.AsyncClient) -> None:
    async with LentThread():
        product = await Product.objects.acreate(name="Chair", price="9.50")

    with count_hops() as hops:
        response = await client.get(f"/api/products/{product.pk}/")

    assert response.json()["name"] == "Chair"
    assert [hop.function for hop in hops] == ["django.db.models.query.QuerySet.first"]


# {% endif %}
async def test_each_hop_says_what_ran_and_who_caused_it() -> None:
    def blocking() -> None:
        pass

    async def culprit() -> None:
        await sync_to_async(blocking)()
        await asyncio.to_thread(blocking)

    with count_hops() as hops:
        await culprit()
    await culprit()

    assert [hop.function.rpartition(".")[2] for hop in hops] == ["blocking", "blocking"]
    for hop in hops:
        assert "culprit" in hop.callers[0]
        assert hop.callers[0].startswith(f"{__name__}.")


async def test_a_receiver_of_somebody_elses_is_heard_in_a_thread(client: httpx.AsyncClient) -> None:
    heard: list[str] = []

    def started(**kwargs: object) -> None:
        heard.append("started")

    async def finished(**kwargs: object) -> None:
        heard.append("finished")

    request_started.connect(started)
    request_finished.connect(finished)
    try:
        with count_hops() as hops:
            await client.get("/health/live")
    finally:
        request_started.disconnect(started)
        request_finished.disconnect(finished)

    assert heard == ["started", "finished"]
    assert len(hops) == 2
