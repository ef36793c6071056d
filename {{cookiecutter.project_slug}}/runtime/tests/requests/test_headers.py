"""Requests that are refused by their headers alone."""

import pytest
from django.test import AsyncClient, override_settings

from runtime.requests.headers import RequestRefusedError, check_headers

HOST = (b"host", b"testserver")
WRONG = (b"host", b"evil.example")
BODY = (b"content-length", b"10")


def refusal(*headers: tuple[bytes, bytes], path: str = "/", version: str = "1.1") -> int | None:
    """Return the status with which a request is refused; None if it is not."""
    try:
        check_headers(path, version, headers)
    except RequestRefusedError as refused:
        return refused.status
    return None


def test_http_1_1_needs_one_host() -> None:
    assert refusal(HOST) is None
    assert refusal(BODY) == 400
    assert refusal((b"host", b"")) == 400
    assert refusal(HOST, HOST) == 400
    assert refusal(version="1.0") is None
    assert refusal(HOST, HOST, version="1.0") == 400
    assert refusal(path="/health/live") == 400


@pytest.mark.parametrize("body", [BODY, (b"transfer-encoding", b"chunked")])
def test_a_wrong_host_is_refused_before_the_body(body: tuple[bytes, bytes]) -> None:
    assert refusal(HOST, body) is None
    assert refusal(WRONG, body) == 400
    # Django's middleware refuses it, as it always does.
    assert refusal(WRONG) is None
    assert refusal(WRONG, (b"content-length", b"0")) is None
    assert refusal(WRONG, body, path="/health/live") is None


def test_the_forwarded_host_counts_if_it_is_trusted() -> None:
    forwarded = (b"x-forwarded-host", b"testserver")
    assert refusal(WRONG, forwarded, BODY) == 400
    with override_settings(USE_X_FORWARDED_HOST=True):
        assert refusal(WRONG, forwarded, BODY) is None
        assert refusal(HOST, (b"x-forwarded-host", b"evil.example"), BODY) == 400


def test_a_length_that_is_too_long_is_refused() -> None:
    for length, status in ((b"1000", None), (b"1001", 413), (b"9" * 5000, 413)):
        with override_settings(REQUEST_MAX_SIZE=1000):
            assert refusal(HOST, (b"content-length", length)) == status


@pytest.mark.parametrize("path", ["/health/live", "/health/lives", "/"])
async def test_only_health_answers_any_host(async_client: AsyncClient, path: str) -> None:
    response = await async_client.get(path, headers={"Host": "10.1.2.3"})
    assert response.status_code == (200 if path == "/health/live" else 400)


def test_a_prefix_of_all_paths_does_not_matter() -> None:
    with override_settings(FORCE_SCRIPT_NAME="/prefix/"):
        assert refusal(WRONG, BODY, path="/prefix/health/live") is None
