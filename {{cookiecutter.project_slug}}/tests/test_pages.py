"""The home page and its static files."""

import html

from django.conf import settings
from django.test import SimpleTestCase, override_settings


class HomeTests(SimpleTestCase):
    async def test_home_shows_the_name_of_the_service(self) -> None:
        response = await self.async_client.get("/")

        assert response.status_code == 200
        assert f"<h1>{html.escape(settings.PROJECT_NAME)}</h1>" in response.text

    async def test_home_links_to_admin_and_health(self) -> None:
        response = await self.async_client.get("/")

        assert 'href="/admin/"' in response.text
        assert 'href="/health/live"' in response.text

    @override_settings(SERVESTATIC_USE_FINDERS=True)
    async def test_stylesheet_is_served(self) -> None:
        response = await self.async_client.get("/static/catalog/style.css")

        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/css")

    async def test_cors_is_off(self) -> None:
        response = await self.async_client.get("/", headers={"Origin": "https://elsewhere.example"})

        assert [name for name in response.headers if name.startswith("Access-Control-")] == []

    @override_settings(SERVESTATIC_USE_FINDERS=True)
    async def test_icon_is_served(self) -> None:
        assert 'rel="icon" href="/static/catalog/icon.svg"' in (await self.async_client.get("/")).text
        assert 'rel="icon" href="/static/catalog/icon.svg"' in (await self.async_client.get("/admin/login/")).text
        response = await self.async_client.get("/static/catalog/icon.svg")

        assert response.headers["Content-Type"] == "image/svg+xml"

    async def test_content_security_policy_is_strict(self) -> None:
        policy = (await self.async_client.get("/")).headers["Content-Security-Policy"]

        assert "unsafe" not in policy
        assert "nonce" not in policy
        for directive in ("default-src", "object-src", "base-uri", "frame-ancestors"):
            assert f"{directive} 'none'" in policy
        for directive in ("script-src", "style-src", "img-src", "connect-src", "form-action"):
            assert f"{directive} 'self'" in policy

    async def test_post_is_405(self) -> None:
        response = await self.async_client.post("/")

        assert response.status_code == 405
