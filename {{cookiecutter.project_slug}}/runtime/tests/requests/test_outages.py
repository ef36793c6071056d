"""The 503 and 504 for outages and timeouts."""

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
    """Raise the exception that Django raises if the database is unreachable."""
    try:
        sqlite3.connect("/nowhere/db.sqlite3")
    except sqlite3.OperationalError as error:
        raise OperationalError(*error.args) from error
    return HttpResponse("done")


def test_timeout_response_has_the_middleware_headers(rf: RequestFactory, caplog: pytest.LogCaptureFixture) -> None:
    with override_settings(REQUEST_TIMEOUT=0.01):
        response = timeout_response(rf.get("/slow"))

    assert response.status_code == 504
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Gateway Timeout: /slow: no response within 0.01 s (REQUEST_TIMEOUT)" in caplog.text


async def test_full_disk_is_503(rf: RequestFactory, caplog: pytest.LogCaptureFixture) -> None:
    async def store() -> HttpResponse:
        raise OSError(errno.ENOSPC, "No space left on device")

    response = await with_error_responses(rf.get("/"), store())

    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert "Service Unavailable: /: [Errno 28] No space left on device" in caplog.text


async def test_other_os_error_is_raised(rf: RequestFactory) -> None:
    async def open_nothing() -> HttpResponse:
        raise FileNotFoundError(errno.ENOENT, "No such file")

    with pytest.raises(FileNotFoundError):
        await with_error_responses(rf.get("/"), open_nothing())


async def test_unreachable_database_is_503_and_one_log_line(
    rf: RequestFactory, caplog: pytest.LogCaptureFixture
) -> None:
    response = await with_error_responses(rf.get("/"), fail_to_connect())

    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert isinstance(response, HttpResponse)
    assert "Try again" in json.loads(response.content)["error"]
    [record] = caplog.records
    assert (record.levelname, record.exc_info) == ("WARNING", None)


async def test_outage_for_a_browser_is_an_html_page(rf: RequestFactory) -> None:
    response = await with_error_responses(rf.get("/", headers={"Accept": "text/html,*/*;q=0.8"}), fail_to_connect())

    assert isinstance(response, HttpResponse)
    assert "<h1>503 Service Unavailable</h1>" in response.text


async def test_missing_table_is_raised(rf: RequestFactory) -> None:
    async def query_a_missing_table() -> HttpResponse:
        try:
            with closing(sqlite3.connect(":memory:")) as connection:
                connection.execute("SELECT 1 FROM missing")
        except sqlite3.OperationalError as error:
            raise OperationalError(*error.args) from error
        return HttpResponse("done")

    with pytest.raises(OperationalError, match="no such table"):
        await with_error_responses(rf.get("/"), query_a_missing_table())


async def test_other_database_error_is_raised(rf: RequestFactory) -> None:
    async def break_a_rule() -> HttpResponse:
        raise DatabaseError("duplicate key")

    with pytest.raises(DatabaseError, match="duplicate key"):
        await with_error_responses(rf.get("/"), break_a_rule())
