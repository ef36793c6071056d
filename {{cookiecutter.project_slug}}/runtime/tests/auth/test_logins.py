"""Logins: the responses, the log lines, and the failures that are counted."""

import logging
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.auth import aauthenticate, authenticate
from django.contrib.auth.hashers import MD5PasswordHasher
from django.http import HttpRequest
from django.test import TestCase

from runtime.auth.logins import quoted
from runtime.models import LoginAttempt
from runtime.tests.service import User

LOGIN = "/admin/login/"
PASSWORD = "a secret"
WRONG = "wrong"


class LoginTests(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        User.objects.create_superuser("ada", password=PASSWORD)
        User.objects.create_user("bob", password=PASSWORD)
        User.objects.create_user("gone", password=PASSWORD, is_staff=True, is_active=False)

    @pytest.fixture(autouse=True)
    def _capture_log(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "runtime.auth.logins")
        self.caplog = caplog

    def lines(self) -> list[str]:
        """Return the log lines with their levels."""
        return [f"{record.levelname} {record.getMessage()}" for record in self.caplog.records]

    async def log_in(self, username: str = "ada", password: str = WRONG, **extra: Any) -> Any:
        return await self.async_client.post(LOGIN, {"username": username, "password": password}, **extra)

    async def test_login_after_five_failures_is_429_without_hashing(self) -> None:
        for _ in range(5):
            assert (await self.log_in()).status_code == 200
        with patch.object(MD5PasswordHasher, "verify", side_effect=AssertionError("hashes")):
            page = await self.log_in(headers={"Accept": "text/html"})
            json = await self.log_in(headers={"Accept": "application/json"}, password=PASSWORD)

        assert (page.status_code, json.status_code) == (429, 429)
        assert 890 <= int(page.headers["Retry-After"]) <= 900
        assert "<p>Too many failed logins. Try again in 15 minutes.</p>" in page.text
        assert json.json() == {"error": "Too many failed logins. Try again in 15 minutes."}
        assert self.lines()[-1] == "WARNING Failed login of 'ada' from 127.0.0.1: throttled"
        assert len(self.lines()) == 7

    async def test_logins_of_known_and_unknown_users_are_throttled_alike(self) -> None:
        statuses = [
            [(await self.log_in(username)).status_code for _ in range(6)] for username in ("ada", "bob", "gone", "none")
        ]

        assert statuses == [[200] * 5 + [429]] * 4

    async def test_login_of_a_user_who_is_not_staff_counts_as_a_failure(self) -> None:
        for _ in range(4):
            await self.log_in("bob")
        assert (await self.log_in("bob", PASSWORD)).status_code == 200
        assert (await self.log_in("bob")).status_code == 429
        assert "WARNING Failed login of 'bob' from 127.0.0.1: not staff" in self.lines()

    async def test_login_deletes_the_earlier_failures(self) -> None:
        for _ in range(4):
            await self.log_in()
        await self.log_in("none")
        assert (await self.log_in(password=PASSWORD)).status_code == 302

        assert await LoginAttempt.objects.acount() == 1

    async def test_each_login_and_logout_logs_one_line(self) -> None:
        await self.log_in(password=PASSWORD)
        await self.async_client.post("/admin/logout/")
        await self.log_in()
        await self.log_in("none")
        await self.log_in("gone", PASSWORD)

        assert self.lines() == [
            "INFO Login of 'ada' from 127.0.0.1",
            "INFO Logout of 'ada' from 127.0.0.1",
            "WARNING Failed login of 'ada' from 127.0.0.1: wrong password",
            "WARNING Failed login of 'none' from 127.0.0.1: unknown user",
            "WARNING Failed login of 'gone' from 127.0.0.1: inactive user",
        ]

    async def test_aauthenticate_is_throttled(self) -> None:
        request = HttpRequest()
        request.META["REMOTE_ADDR"] = "192.0.2.1"
        user = await aauthenticate(request, username="ada", password=PASSWORD)
        assert user is not None
        for _ in range(5):
            assert await aauthenticate(request, username="ada", password="wrong") is None

        assert await aauthenticate(request, username="ada", password=PASSWORD) is None
        assert self.lines()[-1].endswith(": throttled")

    def test_login_without_a_request_is_not_throttled(self) -> None:
        for _ in range(6):
            assert not self.client.login(username="ada", password="wrong")

        assert self.client.login(username="ada", password=PASSWORD)
        assert authenticate(username="ada", password=PASSWORD) is not None
        self.client.force_login(User.objects.get(username="bob"))

    def test_synchronous_test_client_logs_in_and_changes_the_password(self) -> None:
        assert self.client.post(LOGIN, {"username": "ada", "password": PASSWORD}).status_code == 302
        form = {"old_password": PASSWORD, "new_password1": "another secret", "new_password2": "another secret"}
        assert self.client.post("/admin/password_change/", form).status_code == 302
        assert User.objects.get(username="ada").check_password("another secret")


@pytest.mark.parametrize(
    ("username", "line"),
    [
        ("a\r\nERROR forged", r"'a\r\nERROR forged'"),
        ("\x1b[2J\u2028\u202e", r"'\x1b[2J\u2028\u202e'"),
        ("a" * 1000, f"'{'a' * 150}…'"),
        (None, "'None'"),
    ],
)
def test_quoted_escapes_control_characters_and_shortens(username: object, line: str) -> None:
    assert quoted(username) == line
