"""Errors that all views of the JSON API share: permissions, CSRF, and bodies that are not the expected JSON."""

from typing import Any

from django.test import AsyncClient, override_settings

from catalog.models import Product
from tests.api_test_case import CHAIR, PRODUCTS, APITestCase


class PermissionTests(APITestCase):
    async def test_post_without_login_is_401(self) -> None:
        response = await self.async_client.post(PRODUCTS, CHAIR, content_type="application/json")

        assert response.status_code == 401
        assert response.json() == {"error": "Authentication required. Log in first."}
        assert await Product.objects.acount() == 0

    async def test_post_without_permission_is_403_and_names_it(self) -> None:
        response = await self.post(PRODUCTS, CHAIR, user=self.user)

        assert response.status_code == 403
        assert response.json() == {"error": "Permission denied. It needs the permission 'catalog.add_product'."}
        assert await Product.objects.acount() == 0

    async def test_post_without_csrf_token_is_403(self) -> None:
        client = AsyncClient(enforce_csrf_checks=True)
        await client.aforce_login(self.clerk)

        response = await client.post(PRODUCTS, CHAIR, content_type="application/json")
        assert response.status_code == 403
        assert await Product.objects.acount() == 0


class BodyTests(APITestCase):
    async def error(self, body: object, status: int = 400) -> Any:
        """Post a body that must be refused with a status. Return the error message."""
        response = await self.post(PRODUCTS, body)
        assert response.status_code == status, response.text
        assert await Product.objects.acount() == 0
        return response.json()["error"]

    async def test_invalid_json_is_400_and_says_where(self) -> None:
        assert "line 2, column 10" in await self.error(b'{"name": "Chair",\n "price":}')
        assert "byte 10" in await self.error(b'{"name": "\xff"}')
        assert "NaN" in await self.error(b'{"name": "Chair", "price": NaN}')
        for body in (b"", b"[" * 100_000, b'{"stock": ' + b"9" * 5000 + b"}"):
            assert (await self.error(body)).startswith("Invalid JSON")

    async def test_json_that_is_not_an_object_is_400(self) -> None:
        bodies: list[object] = [None, [], "Chair", 1]
        for body in bodies:
            assert (await self.error(body)).startswith("The body is not a JSON object.")

    async def test_field_of_unsupported_type_is_400_and_named(self) -> None:
        for value in (True, ["Chair"], {"en": "Chair"}, "half \ud800"):
            assert (await self.error(CHAIR | {"name": value})).startswith("Invalid field 'name': ")

    async def test_unknown_field_is_400_and_named(self) -> None:
        error = await self.error(CHAIR | {"colour": "red"})
        assert error == "Unknown field 'colour'. Known fields: name, price, stock."

    async def test_form_is_415(self) -> None:
        # With a form, the CSRF check reads the body, and the view cannot read it again.
        client = AsyncClient(enforce_csrf_checks=True)
        await client.aforce_login(self.clerk)
        await client.get("/admin/login/")

        response = await client.post(PRODUCTS, CHAIR, headers={"X-CSRFToken": client.cookies["csrftoken"].value})
        assert response.status_code == 415
        assert "application/json" in response.json()["error"]

    @override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=100)
    async def test_body_over_the_limit_is_413_and_names_the_limit(self) -> None:
        assert await self.error(CHAIR | {"name": "x" * 100}, 413) == "The body is too long. Send at most 100 bytes."
