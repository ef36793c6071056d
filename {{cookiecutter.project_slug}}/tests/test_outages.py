"""What a client is told when its request cannot be answered for the moment."""

import asyncio
import json
# {% if not cookiecutter.use_postgres %}
import sqlite3
from contextlib import closing
# {% endif %}

# {% if cookiecutter.use_postgres %}
import psycopg
# {% endif %}
import pytest
from django.db import (
    # {% if not cookiecutter.use_postgres %}
    OperationalError,
    # {% endif %}
    connection,
)
from django.http import HttpResponse
from django.test import RequestFactory, override_settings

from runtime.outages import answer


async def wait() -> HttpResponse:
    """Answer a request when it is too late."""
    await asyncio.sleep(10)
    return HttpResponse("done")


async def ask_in_vain() -> HttpResponse:
    """Answer a request from a database that is not there."""
    with connection.wrap_database_errors:
        # {% if cookiecutter.use_postgres %}
        psycopg.connect("host=/nowhere")
        # {% else %}
        sqlite3.connect("/nowhere/db.sqlite3")
        # {% endif %}
    return HttpResponse("done")


async def test_an_answer_that_takes_too_long_is_a_504(rf: RequestFactory, caplog: pytest.LogCaptureFixture) -> None:
    request = rf.get("/slow")

    with override_settings(REQUEST_TIMEOUT=0.01):
        response = await answer(request, wait())
        # What is left to do for the request has no time left.
        again = await answer(request, wait())

    assert [response.status_code, again.status_code] == [504, 504]
    assert "Gateway Timeout: /slow: not done in 0.01 s" in caplog.text


async def test_a_timeout_of_the_view_itself_is_its_own_affair(rf: RequestFactory) -> None:
    async def impatient() -> HttpResponse:
        async with asyncio.timeout(0):
            return await wait()

    with pytest.raises(TimeoutError):
        await answer(rf.get("/"), impatient())


async def test_a_database_that_is_not_there_is_a_503(rf: RequestFactory, caplog: pytest.LogCaptureFixture) -> None:
    response = await answer(rf.get("/"), ask_in_vain())

    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert isinstance(response, HttpResponse)
    assert "Try again" in json.loads(response.content)["error"]
    [record] = caplog.records
    assert (record.levelname, record.exc_info) == ("WARNING", None)


async def test_a_browser_is_told_in_a_page(rf: RequestFactory) -> None:
    response = await answer(rf.get("/", headers={"Accept": "text/html,*/*;q=0.8"}), ask_in_vain())

    assert isinstance(response, HttpResponse)
    assert "<h1>503 Service Unavailable</h1>" in response.text
    # {% if not cookiecutter.use_postgres %}


async def test_a_missing_table_is_no_outage(rf: RequestFactory) -> None:
    async def ask_for_nothing() -> HttpResponse:
        with connection.wrap_database_errors, closing(sqlite3.connect(":memory:")) as own:
            own.execute("SELECT 1 FROM nothing")
        return HttpResponse("done")

    with pytest.raises(OperationalError):
        await answer(rf.get("/"), ask_for_nothing())
    # {% endif %}
