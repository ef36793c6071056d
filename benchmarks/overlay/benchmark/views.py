"""What the workloads ask of each contender that runs on Django."""

import asyncio
import os

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.utils.module_loading import import_string

from benchmark.models import Row

get_client = import_string(settings.BENCHMARK_HTTP_CLIENT)


async def plain_json(request: HttpRequest) -> JsonResponse:
    """Touch nothing."""
    return JsonResponse({"message": "Hello"})


async def row(request: HttpRequest) -> JsonResponse:
    """Read one row by its primary key."""
    found = await Row.objects.aget(pk=1)
    return JsonResponse({"id": found.pk, "name": found.name})


async def session(request: HttpRequest) -> JsonResponse:
    """Read from the session that the request's cookie names."""
    return JsonResponse({"key": await request.session.aget("key")})


async def fan_out(request: HttpRequest) -> JsonResponse:
    """Make 10 slow HTTP calls at once."""
    url = os.environ["SLOW_URL"]
    responses = await asyncio.gather(*(get_client().get(url, timeout=30) for _ in range(10)))
    return JsonResponse({"answers": sum(response.is_success for response in responses)})


async def sleep(request: HttpRequest) -> JsonResponse:
    """Keep a request open."""
    await asyncio.sleep(float(request.GET["seconds"]))
    return JsonResponse({"message": "Hello"})
