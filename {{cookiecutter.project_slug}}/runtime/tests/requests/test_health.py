"""The health endpoints, with all dependencies up and with each one down."""

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
    async def test_live_is_200_without_a_database(self) -> None:
        response = await self.async_client.get("/health/live")

        assert response.status_code == 200
        assert response.json() == {"status": "ok"}


class ReadyTests(TestCase):
    @pytest.fixture(autouse=True)
    def _log(self, caplog: pytest.LogCaptureFixture) -> None:
        self.log = caplog

    async def test_ready_is_200_with_all_dependencies_up(self) -> None:
        response = await self.async_client.get("/health/ready")

        assert response.status_code == 200
        assert response.json() == {"status": "ok", "dependencies": dict.fromkeys(health.DEPENDENCIES, "ok")}
        assert "no-store" in response.headers["Cache-Control"]

    async def test_ready_is_503_and_names_the_dependency_that_is_down(self) -> None:
        for name in health.DEPENDENCIES:
            with mock.patch.dict(health.DEPENDENCIES, {name: refused}):
                response = await self.async_client.get("/health/ready")

            assert response.status_code == 503
            assert [key for key, state in response.json()["dependencies"].items() if state == "down"] == [name]
            assert f"{name} is down: refused" in self.log.text

    async def test_ready_is_503_after_the_timeout_of_a_dependency(self) -> None:
        with mock.patch.dict(health.DEPENDENCIES, database=hanging), override_settings(RUNTIME_HEALTH_TIMEOUT=0.01):
            response = await self.async_client.get("/health/ready")

        assert response.status_code == 503
        assert "database is down: TimeoutError" in self.log.text
