"""Django's middleware on the event loop."""

from collections.abc import AsyncIterator

import httpx
import pytest

from runtime.conf import conf
from runtime.development.hops import count_hops
from runtime.requests.middleware import InlineHooksMixin
from runtime.tests.service import application


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client with a CSRF cookie. The middleware looks for the token in its forms."""
    transport = httpx.ASGITransport(application)  # type: ignore[arg-type]
    cookies = {"csrftoken": "a" * 32}
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver", cookies=cookies) as client:
        yield client


def test_inline_hooks_mixin_defines_both_modes_itself() -> None:
    assert vars(InlineHooksMixin)["async_capable"]
    assert vars(InlineHooksMixin)["sync_capable"]


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def chunked_form() -> AsyncIterator[bytes]:
    """Yield a form, which the client sends without a Content-Length."""
    yield b"a=1"


async def test_csrf_check_reads_a_long_or_chunked_form_in_a_thread(client: httpx.AsyncClient) -> None:
    bodies: list[tuple[bytes | AsyncIterator[bytes], bool]] = [
        (b"a=1", False),
        (b"a" * conf.MAX_INLINE_FORM_SIZE, False),
        (b"a" * (conf.MAX_INLINE_FORM_SIZE + 1), True),
        (chunked_form(), True),
    ]
    for body, in_a_thread in bodies:
        with count_hops() as hops:
            response = await client.post("/health/live", content=body, headers=FORM)
        assert response.status_code == 403
        assert ("process_view" in "".join(hop.function for hop in hops)) == in_a_thread
