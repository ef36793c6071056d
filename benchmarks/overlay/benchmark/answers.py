"""The responses to the workloads with Django's ORM and sessions, for every contender on Django."""

import asyncio
import os
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from benchmark.models import Row

get_client = import_string(settings.BENCHMARK_HTTP_CLIENT)


async def hello(request: Any) -> dict[str, str]:
    """Return a constant."""
    return {"message": "Hello"}


async def row(request: Any) -> dict[str, int | str]:
    """Read one row by its primary key."""
    found = await Row.objects.aget(pk=1)
    return {"id": found.pk, "name": found.name}


async def session(request: Any) -> dict[str, str]:
    """Read a key of the request's session."""
    return {"key": await request.session.aget("key")}


async def fan_out(request: Any) -> dict[str, int]:
    """Make 10 slow HTTP calls at once."""
    url = os.environ["SLOW_URL"]
    responses = await asyncio.gather(*(get_client().get(url, timeout=30) for _ in range(10)))
    return {"answers": sum(response.is_success for response in responses)}


async def sleep(request: Any, seconds: float) -> dict[str, str]:
    """Keep a request open."""
    await asyncio.sleep(seconds)
    return {"message": "Hello"}
