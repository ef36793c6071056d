"""The client and the scheme of a scope, for what proxies and clients write into headers."""

from typing import Any

import pytest
from environs import ValidationError

from runtime.requests.proxies import TrustedProxies, are_proxies

PROXIES = ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"]
PROXY = ("10.0.0.1", 4000)


def resolved(headers: str, client: Any = PROXY, proxies: list[str] = PROXIES, **scope: Any) -> dict[str, Any]:
    """Return a scope whose headers are `name: value` lines, once the trusted proxies have been applied to it."""
    lines = [line.split(": ", 1) for line in headers.splitlines()]
    scope = {"type": "http", "scheme": "http", "client": client} | scope
    scope["headers"] = [(b"host", b"testserver"), *((name.encode(), value.encode()) for name, value in lines)]
    TrustedProxies(proxies).resolve(scope)
    return scope


@pytest.mark.parametrize(
    ("headers", "host", "port"),
    [
        ("x-forwarded-for: 203.0.113.9", "203.0.113.9", 0),
        ("x-forwarded-for: 203.0.113.9:4711", "203.0.113.9", 4711),
        ("x-forwarded-for: 2a00::0:9", "2a00::9", 0),
        ("x-forwarded-for: [2a00::9]", "2a00::9", 0),
        ("x-forwarded-for: [2a00::9]:4711", "2a00::9", 4711),
        ("x-forwarded-for: ::ffff:203.0.113.9", "203.0.113.9", 0),
        # A client may have written everything to the left of the first address that is not a proxy.
        ("x-forwarded-for: 1.1.1.1, 203.0.113.9", "203.0.113.9", 0),
        ("x-forwarded-for: 1.1.1.1, 203.0.113.9, 10.9.9.9,192.0.2.1, 2001:db8::5", "203.0.113.9", 0),
        ("x-forwarded-for: 1.1.1.1\nx-forwarded-for: 203.0.113.9\nx-forwarded-for: 10.9.9.9", "203.0.113.9", 0),
        # All are proxies: the request began at the first one.
        ("x-forwarded-for: 10.0.0.7, 10.9.9.9", "10.0.0.7", 0),
        # The search ends at anything but an address.
        ("x-forwarded-for: 1.1.1.1, unknown, 10.9.9.9", "10.9.9.9", 0),
        ("x-forwarded-for: 1.1.1.1, , 10.9.9.9", "10.9.9.9", 0),
        ("x-forwarded-for: 1.1.1.1, fe80::1%\x1b[2J", *PROXY),
        ("x-forwarded-for: 203.0.113.9.", *PROXY),
        ("x-forwarded-for: 203.0.113.009", *PROXY),
        ("x-forwarded-for: 203.0.113.9:http", *PROXY),
        ("x-forwarded-for: [203.0.113.9", *PROXY),
        ("x-forwarded-for: 1.1.1.1,", *PROXY),
        ("x-forwarded-for: ", *PROXY),
        ("x-real-ip: 1.1.1.1", *PROXY),
        ("forwarded: for=203.0.113.9", "203.0.113.9", 0),
        ('forwarded: For="[2a00::9]:4711" ; proto=http;by=10.0.0.1', "2a00::9", 4711),
        ("forwarded: for=1.1.1.1, for=203.0.113.9;proto=https\nforwarded: for=10.9.9.9", "203.0.113.9", 0),
        ("forwarded: for=1.1.1.1, for=_hidden, for=10.9.9.9", "10.9.9.9", 0),
        ("forwarded: for=1.1.1.1, for=unknown", *PROXY),
        ("forwarded: proto=https", *PROXY),
        # A client's open quote does not swallow what the proxy has appended, nor does a quoted comma end an element.
        ('forwarded: for="1.1.1.1, for=203.0.113.9', "203.0.113.9", 0),
        ('forwarded: for=203.0.113.9;host="a,for=1.1.1.1"', *PROXY),
        ("forwarded: for=1.1.1.1;for=203.0.113.9", *PROXY),
        # One family is read, and only one.
        ("forwarded: for=1.1.1.1;proto=https\nx-forwarded-for: 203.0.113.9", "203.0.113.9", 0),
        ("forwarded: for=1.1.1.1;proto=https\nx-forwarded-proto: http", *PROXY),
    ],
)
def test_the_client_is_the_nearest_address_that_is_no_proxy(headers: str, host: str, port: int) -> None:
    scope = resolved(headers)

    assert scope["client"] == (host, port)
    assert scope["headers"] == [(b"host", b"testserver")]


@pytest.mark.parametrize(
    ("headers", "scheme"),
    [
        ("x-forwarded-proto: https", "https"),
        ("x-forwarded-proto: HTTPS", "https"),
        ("x-forwarded-proto: http", "http"),
        ("x-forwarded-proto: gopher", "http"),
        ("x-forwarded-proto: ", "http"),
        ("x-forwarded-for: 203.0.113.9", "http"),
        ("x-forwarded-for: 203.0.113.9\nx-forwarded-proto: https", "https"),
        ("x-forwarded-for: 203.0.113.9, 10.9.9.9\nx-forwarded-proto: https", "https"),
        # As many schemes as addresses: the one at the same position as the client's address.
        ("x-forwarded-for: 203.0.113.9, 10.9.9.9\nx-forwarded-proto: https, http", "https"),
        ("x-forwarded-for: 203.0.113.9, 10.9.9.9\nx-forwarded-proto: http\nx-forwarded-proto: https", "http"),
        ("x-forwarded-for: 1.1.1.1, 203.0.113.9\nx-forwarded-proto: https, http", "http"),
        # Any other number: https if no proxy says otherwise.
        ("x-forwarded-proto: https, http", "http"),
        ("x-forwarded-proto: https, https", "https"),
        ("x-forwarded-for: 203.0.113.9\nx-forwarded-proto: https, gopher", "http"),
        ("forwarded: for=203.0.113.9;proto=https", "https"),
        ("forwarded: for=unknown;proto=https", "https"),
        ("forwarded: for=203.0.113.9;proto=https, for=10.9.9.9;proto=http", "https"),
        ("forwarded: for=1.1.1.1;proto=https, for=203.0.113.9", "http"),
        ("forwarded: proto=https\nx-forwarded-for: 203.0.113.9", "http"),
    ],
)
def test_the_scheme_is_the_one_that_the_client_used(headers: str, scheme: str) -> None:
    assert resolved(headers)["scheme"] == scheme


@pytest.mark.parametrize(("reported", "scheme"), [("https", "wss"), ("wss", "wss"), ("http", "ws"), ("", "ws")])
def test_the_scheme_of_a_websocket(reported: str, scheme: str) -> None:
    scope = resolved(f"x-forwarded-proto: {reported}", type="websocket", scheme="ws")

    assert scope["scheme"] == scheme


FORGED = (
    "forwarded: for=1.1.1.1;proto=https\n"
    "x-forwarded-for: 1.1.1.1\n"
    "x-forwarded-proto: https\n"
    "x-forwarded-host: evil.example\n"
    "x-forwarded-anything: 1\n"
    "x-real-ip: 1.1.1.1"
)


@pytest.mark.parametrize(
    ("client", "proxies"),
    [
        (("203.0.113.9", 4711), PROXIES),
        (("::ffff:203.0.113.9", 4711), PROXIES),
        (PROXY, []),
        (None, PROXIES),
        (("/run/service.sock", 0), PROXIES),
    ],
)
def test_headers_of_an_untrusted_peer_are_removed(client: Any, proxies: list[str]) -> None:
    scope = resolved(FORGED, client, proxies)

    assert (scope["client"], scope["scheme"]) == (client, "http")
    assert scope["headers"] == [(b"host", b"testserver")]


def test_other_headers_of_a_proxy_are_kept() -> None:
    scope = resolved(FORGED)
    # On some servers it is applied once more. The client that is known by then is not a proxy.
    TrustedProxies(PROXIES).resolve(scope)

    assert scope["headers"][1:] == [(b"x-forwarded-host", b"evil.example"), (b"x-forwarded-anything", b"1")]


def test_a_proxy_is_recognized_by_its_ipv4_mapped_address() -> None:
    assert resolved("x-forwarded-for: 203.0.113.9", ("::ffff:10.0.0.1", 4000))["client"] == ("203.0.113.9", 0)


def test_a_list_that_the_server_keeps_is_changed_in_place() -> None:
    client = list(PROXY)

    resolved("x-forwarded-for: 203.0.113.9", client)
    assert client == ["203.0.113.9", 0]


@pytest.mark.parametrize("bad", ["", "proxy.example", "10.0.0.1/8", "10.0.0.0/33", "10.1", "*", "0.0.0.0/0", "::/0"])
def test_a_wrong_value_is_refused_with_the_rule_and_an_example(bad: str) -> None:
    are_proxies(PROXIES)
    with pytest.raises(ValidationError, match=r"such as 10\.0\.0\.0/8") as refusal:
        are_proxies([*PROXIES, bad])
    assert str(refusal.value).startswith(repr(bad))
