"""The admin: users and products in it."""

from django.test import TestCase, override_settings
from django.urls import reverse

from accounts.models import User
from catalog.models import Product


class AdminTests(TestCase):
    admin: User

    @classmethod
    def setUpTestData(cls) -> None:
        cls.admin = User.objects.create_superuser("ada", password="a secret")

    async def test_asks_who_you_are(self) -> None:
        response = await self.async_client.get(reverse("admin:index"))

        assert response.status_code == 302
        assert response.headers["Location"] == "/admin/login/?next=/admin/"

    async def test_a_user_logs_in(self) -> None:
        response = await self.async_client.post("/admin/login/", {"username": "ada", "password": "a secret"})

        assert response.status_code == 302
        assert "sessionid" in response.cookies

    async def test_a_product_is_added_and_listed(self) -> None:
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
    async def test_its_static_files_are_served(self) -> None:
        response = await self.async_client.get("/static/admin/css/base.css")

        assert response.status_code == 200
