"""The admin: login, products and users."""

from django.conf import settings
from django.test import TestCase, override_settings
from django.urls import reverse

from accounts.models import User
from catalog.models import Product


class AdminTests(TestCase):
    admin: User

    @classmethod
    def setUpTestData(cls) -> None:
        cls.admin = User.objects.create_superuser("ada", password="a secret")

    async def test_index_without_login_redirects_to_login(self) -> None:
        response = await self.async_client.get(reverse("admin:index"))

        assert response.status_code == 302
        assert response.headers["Location"] == "/admin/login/?next=/admin/"

    async def test_login_starts_a_session(self) -> None:
        response = await self.async_client.post("/admin/login/", {"username": "ada", "password": "a secret"})

        assert response.status_code == 302
        assert settings.SESSION_COOKIE_NAME in response.cookies

    async def test_session_stays_valid_with_a_fallback_key(self) -> None:
        await self.async_client.aforce_login(self.admin)

        with override_settings(SECRET_KEY="a new one", SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
            assert (await self.async_client.get(reverse("admin:index"))).status_code == 200
        # The request above has signed the session with the new key.
        with override_settings(SECRET_KEY="a new one"):
            assert (await self.async_client.get(reverse("admin:index"))).status_code == 200
        with override_settings(SECRET_KEY="another one"):
            assert (await self.async_client.get(reverse("admin:index"))).status_code == 302

    async def test_product_can_be_added_and_found(self) -> None:
        await self.async_client.aforce_login(self.admin)

        response = await self.async_client.post(
            reverse("admin:catalog_product_add"), {"name": "Chair", "price": "12.50", "stock": "3"}
        )
        assert response.status_code == 302
        assert (await Product.objects.aget()).stock == 3
        response = await self.async_client.get(reverse("admin:catalog_product_changelist"), {"q": "chair"})
        assert "Chair" in response.text

    async def test_users_are_listed(self) -> None:
        await self.async_client.aforce_login(self.admin)

        response = await self.async_client.get(reverse("admin:accounts_user_changelist"))
        assert "ada" in response.text

    @override_settings(SERVESTATIC_USE_FINDERS=True)
    async def test_static_files_are_served(self) -> None:
        response = await self.async_client.get("/static/admin/css/base.css")

        assert response.status_code == 200
