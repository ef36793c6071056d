"""The watchdog of the event loop."""

import asyncio
import time

import pytest
from django.test import override_settings

from runtime.development.watchdog import watched_loop

SECONDS = 0.3


async def block() -> None:
    time.sleep(SECONDS)  # noqa: ASYNC251 (the watchdog has to log it)


@pytest.mark.parametrize(("debug", "lines"), [(True, 1), (False, 0)])
async def test_watchdog_logs_the_blocking_call_only_with_debug(
    caplog: pytest.LogCaptureFixture, debug: bool, lines: int
) -> None:
    with override_settings(DEBUG=debug):
        async with watched_loop():
            await asyncio.sleep(0.01)
            await block()
            await asyncio.sleep(0.01)

    assert caplog.text.count("The event loop has been blocked for 100 ms") == lines
    assert caplog.text.count("in block\n    time.sleep(SECONDS)") == lines


async def test_watchdog_does_not_log_an_idle_loop(caplog: pytest.LogCaptureFixture) -> None:
    with override_settings(DEBUG=True):
        async with watched_loop():
            await asyncio.sleep(SECONDS)

    assert "blocked" not in caplog.text
