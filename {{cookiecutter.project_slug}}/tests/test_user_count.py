"""The view that counts users."""

from accounts.models import User
from tests.api_test_case import APITestCase

COUNT = "/api/users/count/"


class CountUsersTests(APITestCase):
    async def test_without_login_is_401(self) -> None:
        assert (await self.async_client.get(COUNT)).status_code == 401

    async def test_user_who_is_not_staff_is_403(self) -> None:
        await self.async_client.aforce_login(self.clerk)
        response = await self.async_client.get(COUNT)
        assert response.status_code == 403
        assert response.json() == {"error": "Permission denied. It needs a staff user."}

    async def test_staff_user_gets_the_count(self) -> None:
        await self.async_client.aforce_login(await User.objects.acreate_user("manager", is_staff=True))
        assert (await self.async_client.get(COUNT)).json() == {"count": 3}
