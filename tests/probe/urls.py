"""Views that wait."""

import asyncio

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.urls import path


async def sleep(request: HttpRequest) -> JsonResponse:
    """Wait on the event loop, for as many seconds as the query says."""
    await asyncio.sleep(float(request.GET["seconds"]))
    return JsonResponse({})


async def read(request: HttpRequest) -> JsonResponse:
    """Wait for the database: read a row."""
    return JsonResponse({"users": await get_user_model().objects.acount()})


async def query(request: HttpRequest) -> JsonResponse:
    """Wait for the database, for as many seconds as the query says."""
    await sync_to_async(slow_query)(float(request.GET["seconds"]))
    return JsonResponse({})


def slow_query(seconds: float) -> None:
    """Have PostgreSQL take its time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [seconds])


urlpatterns = [path(f"{view.__name__}/", view) for view in (sleep, read, query)]
