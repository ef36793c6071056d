"""The health endpoints, with everything up and with each dependency down."""

import asyncio
from unittest import mock

import pytest
from django.test import SimpleTestCase, TestCase, override_settings

from runtime.requests import health


async def refused() -> None:
    raise ConnectionRefusedError("refused")


async def hanging() -> None:
    await asyncio.Event().wait()


class LiveTests(SimpleTestCase):
    async def test_answers_without_a_database(self) -> None:
        response = await self.async_client.get("/health/live")

        assert response.status_code == 200
        assert response.json() == {"status": "ok"}


class ReadyTests(TestCase):
    @pytest.fixture(autouse=True)
    def _log(self, caplog: pytest.LogCaptureFixture) -> None:
        self.log = caplog

    async def test_is_ready_when_everything_is_up(self) -> None:
        response = await self.async_client.get("/health/ready")

        assert response.status_code == 200
        assert response.json() == {"status": "ok", "dependencies": dict.fromkeys(health.DEPENDENCIES, "ok")}
        assert "no-store" in response.headers["Cache-Control"]

    async def test_says_which_dependency_refuses(self) -> None:
        for name in health.DEPENDENCIES:
            with mock.patch.dict(health.DEPENDENCIES, {name: refused}):
                response = await self.async_client.get("/health/ready")

            assert response.status_code == 503
            assert [key for key, state in response.json()["dependencies"].items() if state == "down"] == [name]
            assert f"{name} is down: refused" in self.log.text

    async def test_does_not_wait_for_a_dependency_that_hangs(self) -> None:
        with mock.patch.dict(health.DEPENDENCIES, database=hanging), override_settings(RUNTIME_HEALTH_TIMEOUT=0.01):
            response = await self.async_client.get("/health/ready")

        assert response.status_code == 503
        assert "database is down: TimeoutError" in self.log.text
