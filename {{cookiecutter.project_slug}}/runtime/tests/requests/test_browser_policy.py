"""The response headers that restrict browsers."""

import pytest
from django.contrib.auth import alogout
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, TestCase, override_settings

from runtime.requests.browser_policy import BrowserPolicyMiddleware
from runtime.requests.errors import refusal
from runtime.tests.service import User


async def process(view_response: HttpResponse) -> HttpResponse:
    """Return the view's response with the headers of the middleware."""

    async def get_response(request: HttpRequest) -> HttpResponse:
        return view_response

    response: HttpResponse = await BrowserPolicyMiddleware(get_response)(AsyncRequestFactory().get("/"))  # type: ignore[misc]
    return response


class BrowserPolicyTests(TestCase):
    async def test_every_response_has_the_headers(self) -> None:
        for path, status in (("/", 200), ("/health/live", 200), ("/nowhere", 404), ("/api/nowhere/", 404)):
            response = await self.async_client.get(path)

            assert response.status_code == status
            assert "camera=(), " in response.headers["Permissions-Policy"]
            assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
            assert response.headers["Referrer-Policy"] == "same-origin"
            assert "Clear-Site-Data" not in response.headers

    @override_settings(SERVESTATIC_USE_FINDERS=True)
    async def test_static_files_have_the_headers(self) -> None:
        response = await self.async_client.get("/static/catalog/icon.svg")

        assert response.status_code == 200
        assert "camera=()" in response.headers["Permissions-Policy"]
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]

    async def test_logout_clears_the_browsers_cache_and_storage(self) -> None:
        await self.async_client.aforce_login(await User.objects.acreate_superuser("ada", password="a secret"))

        response = await self.async_client.post("/admin/logout/")

        assert response.headers["Clear-Site-Data"] == '"cache", "storage"'

    async def test_alogout_clears_the_browsers_cache_and_storage(self) -> None:
        async def get_response(request: HttpRequest) -> HttpResponse:
            request.session = SessionStore()
            await alogout(request)
            return HttpResponse()

        response = await BrowserPolicyMiddleware(get_response)(AsyncRequestFactory().get("/"))  # type: ignore[misc]

        assert response.headers["Clear-Site-Data"] == '"cache", "storage"'


def test_refusal_before_the_middleware_has_the_headers() -> None:
    response = refusal(413, "The body is too long.")

    assert "camera=()" in response.headers["Permissions-Policy"]
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


async def test_header_of_a_view_is_not_replaced() -> None:
    response = await process(HttpResponse(headers={"Cross-Origin-Resource-Policy": "cross-origin"}))

    assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


@pytest.mark.parametrize("feature", ["camera", "autoplay"])
async def test_permissions_policy_setting_allows_a_feature(feature: str) -> None:
    with override_settings(PERMISSIONS_POLICY={feature: "(self)"}):
        response = await process(HttpResponse())

    assert f"{feature}=(self)" in response.headers["Permissions-Policy"]
    assert "microphone=()" in response.headers["Permissions-Policy"]
