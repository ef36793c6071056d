"""What a client is told when its request cannot be answered for the moment."""

import errno
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

from runtime.outages import answer_outages, answer_timeout


async def ask_in_vain() -> HttpResponse:
    """Answer a request from a database that is not there."""
    with connection.wrap_database_errors:
        # {% if cookiecutter.use_postgres %}
        psycopg.connect("host=/nowhere")
        # {% else %}
        sqlite3.connect("/nowhere/db.sqlite3")
        # {% endif %}
    return HttpResponse("done")


def test_a_504_has_the_headers_of_every_response(rf: RequestFactory, caplog: pytest.LogCaptureFixture) -> None:
    with override_settings(REQUEST_TIMEOUT=0.01):
        response = answer_timeout(rf.get("/slow"))

    assert response.status_code == 504
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Gateway Timeout: /slow: not done in 0.01 s" in caplog.text


async def test_a_full_disk_is_a_503(rf: RequestFactory, caplog: pytest.LogCaptureFixture) -> None:
    async def store() -> HttpResponse:
        raise OSError(errno.ENOSPC, "No space left on device")

    response = await answer_outages(rf.get("/"), store())

    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert "Service Unavailable: /: [Errno 28] No space left on device" in caplog.text


async def test_another_error_of_the_system_is_no_outage(rf: RequestFactory) -> None:
    async def open_nothing() -> HttpResponse:
        raise FileNotFoundError(errno.ENOENT, "No such file")

    with pytest.raises(FileNotFoundError):
        await answer_outages(rf.get("/"), open_nothing())


async def test_a_database_that_is_not_there_is_a_503(rf: RequestFactory, caplog: pytest.LogCaptureFixture) -> None:
    response = await answer_outages(rf.get("/"), ask_in_vain())

    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert isinstance(response, HttpResponse)
    assert "Try again" in json.loads(response.content)["error"]
    [record] = caplog.records
    assert (record.levelname, record.exc_info) == ("WARNING", None)


async def test_a_browser_is_told_in_a_page(rf: RequestFactory) -> None:
    response = await answer_outages(rf.get("/", headers={"Accept": "text/html,*/*;q=0.8"}), ask_in_vain())

    assert isinstance(response, HttpResponse)
    assert "<h1>503 Service Unavailable</h1>" in response.text
    # {% if not cookiecutter.use_postgres %}


async def test_a_missing_table_is_no_outage(rf: RequestFactory) -> None:
    async def ask_for_nothing() -> HttpResponse:
        with connection.wrap_database_errors, closing(sqlite3.connect(":memory:")) as own:
            own.execute("SELECT 1 FROM nothing")
        return HttpResponse("done")

    with pytest.raises(OperationalError):
        await answer_outages(rf.get("/"), ask_for_nothing())
    # {% endif %}
