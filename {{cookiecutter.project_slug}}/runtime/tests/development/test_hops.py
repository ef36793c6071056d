"""The hop counter."""

import asyncio

import httpx
from asgiref.sync import sync_to_async
from django.core.signals import request_finished, request_started

from runtime.development.hops import count_hops


async def test_hop_names_its_function_and_callers() -> None:
    def blocking() -> None:
        pass

    async def caller() -> None:
        await sync_to_async(blocking)()
        await asyncio.to_thread(blocking)

    with count_hops() as hops:
        await caller()
    await caller()

    assert [hop.function.rpartition(".")[2] for hop in hops] == ["blocking", "blocking"]
    for hop in hops:
        assert "caller" in hop.callers[0]
        assert hop.callers[0].startswith(f"{__name__}.")


async def test_each_possibly_blocking_receiver_makes_one_hop(http_client: httpx.AsyncClient) -> None:
    received: list[str] = []

    def started(**kwargs: object) -> None:
        received.append("started")

    async def finished(**kwargs: object) -> None:
        received.append("finished")

    request_started.connect(started)
    request_finished.connect(finished)
    try:
        with count_hops() as hops:
            await http_client.get("/health/live")
    finally:
        request_started.disconnect(started)
        request_finished.disconnect(finished)

    assert received == ["started", "finished"]
    assert len(hops) == 2
