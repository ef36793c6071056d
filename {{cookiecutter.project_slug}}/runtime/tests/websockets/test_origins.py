"""The pages that may open sockets."""

import pytest
from asgiref.testing import ApplicationCommunicator
from django.conf import LazySettings

from runtime.tests.service import application
from runtime.websockets.origins import is_allowed


def allowed(origin: str, host: str = "testserver", scheme: str = "ws") -> bool:
    """Return whether a handshake with these headers is allowed."""
    headers = [(b"host", host.encode()), (b"origin", origin.encode())]
    return is_allowed({"type": "websocket", "path": "/", "scheme": scheme, "headers": headers})


@pytest.mark.parametrize(
    "origins",
    [
        [],
        [b"null"],
        [b""],
        [b"http://evil.example"],
        [b"http://["],
        [b"http://testserver:port"],
        [b"http://testserver/"],
        [b"http://user@testserver"],
        [b"http://testserver http://testserver"],
        [b"testserver"],
        [b"\xff"],
        [b"http://evil.example", b"http://testserver"],
        [b"http://testserver", b"http://evil.example"],
        [b"http://testserver", b"http://testserver"],
    ],
)
async def test_other_origins_are_refused(origins: list[bytes]) -> None:
    headers = [(b"host", b"testserver"), *((b"origin", origin) for origin in origins)]
    scope = {"type": "websocket", "path": "/ws/products/", "headers": headers, "subprotocols": []}
    communicator = ApplicationCommunicator(application, scope)

    await communicator.send_input({"type": "websocket.connect"})
    assert (await communicator.receive_output())["type"] == "websocket.close"
    await communicator.send_input({"type": "websocket.disconnect", "code": 1006})
    await communicator.wait()


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "expected"),
    [
        ("http://testserver", "testserver", "ws", True),
        ("HTTP://TestServer", "testserver", "ws", True),
        ("http://testserver:80", "testserver", "ws", True),
        ("http://testserver", "testserver:80", "ws", True),
        ("https://testserver", "testserver:443", "wss", True),
        ("http://testserver:8000", "testserver:8000", "ws", True),
        ("http://testserver:8001", "testserver:8000", "ws", False),
        ("http://testserver:8000", "testserver", "ws", False),
        ("https://testserver", "testserver", "ws", False),
        ("http://testserver", "testserver", "wss", False),
        # Both are in ALLOWED_HOSTS, and are not the same.
        ("http://localhost", "testserver", "ws", False),
        ("http://127.0.0.1", "localhost", "ws", False),
        ("http://evil.example", "evil.example", "ws", False),
        ("http://testserver", "testserver,evil.example", "ws", False),
        ("http://testserver", "", "ws", False),
    ],
)
def test_the_services_own_pages_are_allowed(origin: str, host: str, scheme: str, expected: bool) -> None:
    assert allowed(origin, host, scheme) is expected


def test_a_host_that_is_allowed_by_a_star_does_not_allow_other_origins(settings: LazySettings) -> None:
    settings.ALLOWED_HOSTS = ["*"]

    assert allowed("http://shop.example", "shop.example")
    assert not allowed("http://evil.example", "shop.example")


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("https://pages.example", True),
        ("https://pages.example:443", True),
        ("http://pages.example", False),
        ("https://pages.example:8443", False),
        ("https://a.pages.example", False),
        ("https://a.b.example", True),
        ("https://a.a.b.example", True),
        ("https://b.example", True),
        ("https://ab.example", False),
        ("http://a.b.example", False),
        ("https://a.b.example:8443", False),
        ("http://a.c.example:8080", True),
        ("http://a.c.example", False),
        ("app://pages", True),
        ("app://pages.example", False),
    ],
)
def test_trusted_origins_are_allowed(origin: str, expected: bool, settings: LazySettings) -> None:
    settings.CSRF_TRUSTED_ORIGINS = [
        "https://pages.example",
        "https://*.b.example",
        "http://*.c.example:8080",
        "app://pages",
    ]

    assert allowed(origin) is expected
    # Trust in a page does not make up for a host that is not the service's.
    assert not allowed(origin, "evil.example")


@pytest.mark.parametrize(
    ("origin", "host", "expected"),
    [
        ("http://localhost:8000", "127.0.0.1:8000", True),
        ("http://127.0.0.1:8000", "localhost:8000", True),
        ("http://[::1]:8000", "localhost:8000", True),
        ("http://localhost:3000", "localhost:8000", False),
        ("https://localhost:8000", "127.0.0.1:8000", False),
        ("http://evil.example:8000", "localhost:8000", False),
        ("http://localhost:8000", "testserver:8000", False),
    ],
)
def test_development_has_several_names_for_this_machine(
    origin: str, host: str, expected: bool, settings: LazySettings
) -> None:
    settings.DEBUG = True
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", "testserver"]

    assert allowed(origin, host) is expected
