"""Django's own middleware, on the event loop."""

from collections.abc import AsyncIterator

import httpx
import pytest

from runtime.conf import conf
from runtime.development.hops import count_hops
from runtime.requests.middleware import InlineHooksMixin
from runtime.tests.service import application


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client with a CSRF cookie, so that forms are read for the token."""
    transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
    cookies = {"csrftoken": "a" * 32}
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver", cookies=cookies) as client:
        yield client


def test_both_modes_are_the_classes_own() -> None:
    assert vars(InlineHooksMixin)["async_capable"]
    assert vars(InlineHooksMixin)["sync_capable"]


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def form_in_parts() -> AsyncIterator[bytes]:
    """Yield a form without saying how long it is."""
    yield b"a=1"


async def test_a_long_form_is_read_in_a_thread(client: httpx.AsyncClient) -> None:
    bodies: list[tuple[bytes | AsyncIterator[bytes], bool]] = [
        (b"a=1", False),
        (b"a" * conf.MAX_INLINE_FORM_SIZE, False),
        (b"a" * (conf.MAX_INLINE_FORM_SIZE + 1), True),
        (form_in_parts(), True),
    ]
    for body, in_a_thread in bodies:
        with count_hops() as hops:
            response = await client.post("/health/live", content=body, headers=FORM)
        assert response.status_code == 403
        assert ("process_view" in "".join(hop.function for hop in hops)) == in_a_thread
