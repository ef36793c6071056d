"""What a client is told when its request cannot be answered for the moment."""

import errno
import json
import sqlite3
from contextlib import closing

import pytest
from django.db import DatabaseError, OperationalError
from django.http import HttpResponse
from django.test import RequestFactory, override_settings

from runtime.requests.outages import timeout_response, with_error_responses


async def fail_to_connect() -> HttpResponse:
    """Raise what Django does when the database cannot be reached."""
    try:
        sqlite3.connect("/nowhere/db.sqlite3")
    except sqlite3.OperationalError as error:
        raise OperationalError(*error.args) from error
    return HttpResponse("done")


def test_a_504_has_the_headers_of_every_response(rf: RequestFactory, caplog: pytest.LogCaptureFixture) -> None:
    with override_settings(REQUEST_TIMEOUT=0.01):
        response = timeout_response(rf.get("/slow"))

    assert response.status_code == 504
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Gateway Timeout: /slow: no response within 0.01 s (REQUEST_TIMEOUT)" in caplog.text


async def test_a_full_disk_is_a_503(rf: RequestFactory, caplog: pytest.LogCaptureFixture) -> None:
    async def store() -> HttpResponse:
        raise OSError(errno.ENOSPC, "No space left on device")

    response = await with_error_responses(rf.get("/"), store())

    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert "Service Unavailable: /: [Errno 28] No space left on device" in caplog.text


async def test_another_error_of_the_system_is_no_outage(rf: RequestFactory) -> None:
    async def open_nothing() -> HttpResponse:
        raise FileNotFoundError(errno.ENOENT, "No such file")

    with pytest.raises(FileNotFoundError):
        await with_error_responses(rf.get("/"), open_nothing())


async def test_a_database_that_is_not_there_is_a_503(rf: RequestFactory, caplog: pytest.LogCaptureFixture) -> None:
    response = await with_error_responses(rf.get("/"), fail_to_connect())

    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert isinstance(response, HttpResponse)
    assert "Try again" in json.loads(response.content)["error"]
    [record] = caplog.records
    assert (record.levelname, record.exc_info) == ("WARNING", None)


async def test_a_browser_is_told_in_a_page(rf: RequestFactory) -> None:
    response = await with_error_responses(rf.get("/", headers={"Accept": "text/html,*/*;q=0.8"}), fail_to_connect())

    assert isinstance(response, HttpResponse)
    assert "<h1>503 Service Unavailable</h1>" in response.text


async def test_a_missing_table_is_no_outage(rf: RequestFactory) -> None:
    async def query_a_missing_table() -> HttpResponse:
        try:
            with closing(sqlite3.connect(":memory:")) as connection:
                connection.execute("SELECT 1 FROM missing")
        except sqlite3.OperationalError as error:
            raise OperationalError(*error.args) from error
        return HttpResponse("done")

    with pytest.raises(OperationalError, match="no such table"):
        await with_error_responses(rf.get("/"), query_a_missing_table())


async def test_another_error_of_the_database_is_no_outage(rf: RequestFactory) -> None:
    async def break_a_rule() -> HttpResponse:
        raise DatabaseError("duplicate key")

    with pytest.raises(DatabaseError, match="duplicate key"):
        await with_error_responses(rf.get("/"), break_a_rule())
