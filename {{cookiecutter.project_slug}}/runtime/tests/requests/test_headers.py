"""Requests that are refused by their headers."""

import pytest
from django.test import AsyncClient, override_settings

from runtime.requests.headers import RequestRefusedError, check_headers

HOST = (b"host", b"testserver")
OTHER_HOST = (b"host", b"evil.example")
BODY = (b"content-length", b"10")


def refusal(*headers: tuple[bytes, bytes], path: str = "/", version: str = "1.1") -> int | None:
    """Return the status of a refused request, or None for an accepted one."""
    try:
        check_headers(path, version, headers)
    except RequestRefusedError as refused:
        return refused.status
    return None


def test_check_headers_requires_one_host_in_http_1_1() -> None:
    assert refusal(HOST) is None
    assert refusal(BODY) == 400
    assert refusal((b"host", b"")) == 400
    assert refusal(HOST, HOST) == 400
    assert refusal(version="1.0") is None
    assert refusal(HOST, HOST, version="1.0") == 400
    assert refusal(path="/health/live") == 400


@pytest.mark.parametrize("body", [BODY, (b"transfer-encoding", b"chunked")])
def test_check_headers_refuses_a_disallowed_host_only_before_a_body(body: tuple[bytes, bytes]) -> None:
    assert refusal(HOST, body) is None
    assert refusal(OTHER_HOST, body) == 400
    # Django's middleware refuses a request without a body.
    assert refusal(OTHER_HOST) is None
    assert refusal(OTHER_HOST, (b"content-length", b"0")) is None
    assert refusal(OTHER_HOST, body, path="/health/live") is None


def test_check_headers_uses_the_forwarded_host_only_with_its_setting() -> None:
    forwarded = (b"x-forwarded-host", b"testserver")
    assert refusal(OTHER_HOST, forwarded, BODY) == 400
    with override_settings(USE_X_FORWARDED_HOST=True):
        assert refusal(OTHER_HOST, forwarded, BODY) is None
        assert refusal(HOST, (b"x-forwarded-host", b"evil.example"), BODY) == 400


def test_check_headers_refuses_a_content_length_above_the_limit() -> None:
    for length, status in ((b"1000", None), (b"1001", 413), (b"9" * 5000, 413)):
        with override_settings(REQUEST_MAX_SIZE=1000):
            assert refusal(HOST, (b"content-length", length)) == status


@pytest.mark.parametrize("path", ["/health/live", "/health/lives", "/"])
async def test_only_health_endpoints_accept_any_host(async_client: AsyncClient, path: str) -> None:
    response = await async_client.get(path, headers={"Host": "10.1.2.3"})
    assert response.status_code == (200 if path == "/health/live" else 400)


def test_health_endpoint_below_force_script_name_accepts_any_host() -> None:
    with override_settings(FORCE_SCRIPT_NAME="/prefix/"):
        assert refusal(OTHER_HOST, BODY, path="/prefix/health/live") is None
