"""The error views: JSON below the API's paths for every client, and HTML pages elsewhere."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.test import AsyncClient, override_settings
from django.urls import path

from runtime.requests import error_views
from runtime.tests.service import application

HTML = {"Accept": "text/html"}
ERRORS = {
    "bad": (BadRequest("?"), 400, "Bad request."),
    "denied": (PermissionDenied(), 403, "Permission denied."),
    "missing": (Http404("No such chair."), 404, "No such chair."),
    "broken": (ZeroDivisionError(), 500, "Internal server error."),
}


async def fail(request: HttpRequest, error: str) -> HttpResponse:
    raise ERRORS[error][0]


class FailingURLs:
    """A URLconf of failing views with the error views."""

    urlpatterns = (path("api/fail/<error>/", fail), path("fail/<error>/", fail))
    handler400, handler403 = error_views.bad_request, error_views.permission_denied
    handler404, handler500 = error_views.page_not_found, error_views.server_error


@pytest.fixture
def client() -> Iterator[AsyncClient]:
    """A client that gets an error response when a view raises an exception."""
    with override_settings(ROOT_URLCONF=FailingURLs):
        yield AsyncClient(raise_request_exception=False, enforce_csrf_checks=True, headers=HTML)


@pytest.mark.parametrize("error", ERRORS)
async def test_exception_below_the_api_is_json(client: AsyncClient, error: str) -> None:
    _, status, message = ERRORS[error]

    response = await client.get(f"/api/fail/{error}/")

    assert (response.status_code, response.json()) == (status, {"error": message})


@pytest.mark.parametrize("error", ERRORS)
async def test_exception_outside_the_api_is_an_html_page(client: AsyncClient, error: str) -> None:
    response = await client.get(f"/fail/{error}/")

    assert response.status_code == ERRORS[error][1]
    assert "<h1>" in response.text


@pytest.mark.parametrize(("target", "is_json"), [("/api/fail/bad/", True), ("/fail/bad/", False)])
async def test_missing_csrf_token_is_403_as_json_or_html(client: AsyncClient, target: str, is_json: bool) -> None:
    response = await client.post(target)

    assert response.status_code == 403
    if is_json:
        assert response.json() == {"error": "CSRF check failed: CSRF cookie not set."}
    else:
        assert "<h1>Forbidden" in response.text


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("target", ["/api/nowhere", "/api/nowhere/"])
async def test_unknown_path_below_the_api_is_json_even_with_debug(target: str, debug: bool) -> None:
    response = await get(target, debug=debug)

    assert (response.status_code, response.json()) == (404, {"error": f"There is nothing at {target}."})


@pytest.mark.parametrize("debug", [True, False])
async def test_http404_below_the_api_is_json_even_with_debug(debug: bool) -> None:
    response = await get("/api/fail/missing/", debug=debug, ROOT_URLCONF=FailingURLs)

    assert (response.status_code, response.json()) == (404, {"error": "No such chair."})


async def test_unknown_path_outside_the_api_is_djangos_debug_page_with_debug() -> None:
    response = await get("/nowhere", debug=True)

    assert response.status_code == 404
    assert "Using the URLconf" in response.text
    # The page has inline styles.
    assert "Content-Security-Policy" not in response.headers


@pytest.mark.parametrize("debug", [True, False])
async def test_missing_slash_redirects_below_the_api(debug: bool) -> None:
    response = await get("/api/fail/bad", debug=debug, ROOT_URLCONF=FailingURLs)

    assert (response.status_code, response.headers["Location"]) == (301, "/api/fail/bad/")


async def get(target: str, debug: bool, **settings: Any) -> httpx.Response:
    """Return the response of the whole application to a browser."""
    transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
    with override_settings(DEBUG=debug, **settings):
        async with (
            application.running(),
            httpx.AsyncClient(transport=transport, base_url="http://testserver") as client,
        ):
            return await client.get(target, headers=HTML)
