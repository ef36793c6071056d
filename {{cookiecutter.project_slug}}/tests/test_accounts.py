"""Passwords and sessions."""

import pytest
from django.conf import global_settings, settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.test import TestCase
from django.urls import reverse

from accounts.models import User
from config import settings as production

PASSWORD = " Correct horse battery staple "


class PasswordTests(TestCase):
    user: User

    @classmethod
    def setUpTestData(cls) -> None:
        cls.user = User.objects.create_superuser("ada", password=PASSWORD)

    async def test_migrations_create_no_user(self) -> None:
        assert [user.username async for user in User.objects.all()] == ["ada"]

    async def test_password_is_compared_as_typed(self) -> None:
        for wrong in (PASSWORD.strip(), PASSWORD.lower(), PASSWORD[:-1], PASSWORD + "x"):
            assert not await self.user.acheck_password(wrong)
        response = await self.async_client.post(reverse("admin:login"), {"username": "ada", "password": PASSWORD})
        assert response.status_code == 302

    async def test_password_change_needs_the_current_password(self) -> None:
        await self.async_client.aforce_login(self.user)
        fields = {"new_password1": "another long one", "new_password2": "another long one"}

        for current, status in {"wrong": 200, PASSWORD: 302}.items():
            response = await self.async_client.post(
                reverse("admin:password_change"), fields | {"old_password": current}
            )
            assert response.status_code == status
        await self.user.arefresh_from_db()
        assert await self.user.acheck_password("another long one")

    async def test_password_field_is_masked_and_autocompletes(self) -> None:
        response = await self.async_client.get(reverse("admin:login"))

        self.assertInHTML(
            '<input type="password" name="password" autocomplete="current-password" required id="id_password">',
            response.text,
        )


@pytest.mark.parametrize("bad", ["7chars.", "password123", "31415926535"])
def test_weak_password_is_refused(bad: str) -> None:
    with pytest.raises(ValidationError):
        validate_password(bad)


@pytest.mark.parametrize("good", ["onlylowercase", "日本語の長い合言葉", "x y" * 40])
def test_password_needs_no_kinds_of_characters(good: str) -> None:
    validate_password(good)


def test_production_hashes_passwords_with_pbkdf2() -> None:
    hashers = getattr(production, "PASSWORD_HASHERS", global_settings.PASSWORD_HASHERS)

    assert hashers[0] == "django.contrib.auth.hashers.PBKDF2PasswordHasher"


class SessionTests(TestCase):
    user: User

    @classmethod
    def setUpTestData(cls) -> None:
        cls.user = User.objects.create_superuser("ada", password=PASSWORD)

    async def log_in(self) -> str:
        """Log in from a new browser. Return the session key."""
        self.async_client.cookies.clear()
        await self.async_client.post(reverse("admin:login"), {"username": "ada", "password": PASSWORD})
        assert await self.status() == 200
        return self.async_client.cookies[settings.SESSION_COOKIE_NAME].value

    async def status(self) -> int:
        """Return the status of a page that needs a login."""
        return (await self.async_client.get(reverse("admin:index"))).status_code

    async def test_each_login_gets_a_new_session_key(self) -> None:
        keys = [await self.log_in() for _ in range(3)]

        assert len(set(keys)) == 3
        assert {len(key) for key in keys} == {32}

    async def test_session_of_a_disabled_user_ends(self) -> None:
        await self.log_in()
        await User.objects.aupdate(is_active=False)
        assert await self.status() == 302

    async def test_session_of_a_deleted_user_ends(self) -> None:
        await self.log_in()
        await self.user.adelete()
        assert await self.status() == 302
