"""A base class for tests of the JSON API."""

import json
from typing import Any

from django.contrib.auth.models import Permission
from django.test import TestCase

from accounts.models import User

PRODUCTS = "/api/products/"
CHAIR = {"name": "Chair", "price": "12.50", "stock": 3}


class APITestCase(TestCase):
    """A test case with two users: `user` without permissions, and `clerk` with the permissions of the catalog."""

    user: User
    clerk: User

    @classmethod
    def setUpTestData(cls) -> None:
        cls.user = User.objects.create_user("user")
        cls.clerk = User.objects.create_user("clerk")
        cls.clerk.user_permissions.set(Permission.objects.filter(content_type__app_label="catalog"))

    async def post(self, path: str, body: object, user: User | None = None) -> Any:
        """Post a body as the clerk, or as another user. The body is sent as JSON unless it is bytes."""
        await self.async_client.aforce_login(user or self.clerk)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.async_client.post(path, data, content_type="application/json")
