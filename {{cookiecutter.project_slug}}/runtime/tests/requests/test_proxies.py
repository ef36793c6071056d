"""The client and the scheme of a scope, with the headers that proxies and clients send."""

from typing import Any

import pytest
from environs import ValidationError

from runtime.requests.proxies import TrustedProxies, are_proxies

PROXIES = ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"]
PROXY = ("10.0.0.1", 4000)


def resolved(headers: str, client: Any = PROXY, proxies: list[str] = PROXIES, **scope: Any) -> dict[str, Any]:
    """Return a scope with headers from `name: value` lines, after `TrustedProxies.resolve`."""
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
        # A client may have forged everything to the left of the first address that is not a proxy.
        ("x-forwarded-for: 1.1.1.1, 203.0.113.9", "203.0.113.9", 0),
        ("x-forwarded-for: 1.1.1.1, 203.0.113.9, 10.9.9.9,192.0.2.1, 2001:db8::5", "203.0.113.9", 0),
        ("x-forwarded-for: 1.1.1.1\nx-forwarded-for: 203.0.113.9\nx-forwarded-for: 10.9.9.9", "203.0.113.9", 0),
        # All addresses are proxies, so the request began at the first one.
        ("x-forwarded-for: 10.0.0.7, 10.9.9.9", "10.0.0.7", 0),
        # The search ends at an invalid address.
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
        # A client's open quote does not hide the proxy's element. A quoted comma leaves two malformed elements.
        ('forwarded: for="1.1.1.1, for=203.0.113.9', "203.0.113.9", 0),
        ('forwarded: for=203.0.113.9;host="a,for=1.1.1.1"', *PROXY),
        ("forwarded: for=1.1.1.1;for=203.0.113.9", *PROXY),
        # Forwarded is ignored in a request with X-Forwarded-For or X-Forwarded-Proto.
        ("forwarded: for=1.1.1.1;proto=https\nx-forwarded-for: 203.0.113.9", "203.0.113.9", 0),
        ("forwarded: for=1.1.1.1;proto=https\nx-forwarded-proto: http", *PROXY),
    ],
)
def test_resolve_sets_the_nearest_client_that_is_not_a_proxy(headers: str, host: str, port: int) -> None:
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
        # With as many schemes as addresses, the scheme at the position of the client's address counts.
        ("x-forwarded-for: 203.0.113.9, 10.9.9.9\nx-forwarded-proto: https, http", "https"),
        ("x-forwarded-for: 203.0.113.9, 10.9.9.9\nx-forwarded-proto: http\nx-forwarded-proto: https", "http"),
        ("x-forwarded-for: 1.1.1.1, 203.0.113.9\nx-forwarded-proto: https, http", "http"),
        # With any other number, the scheme is https if all proxies report https.
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
def test_resolve_sets_the_scheme_of_the_client(headers: str, scheme: str) -> None:
    assert resolved(headers)["scheme"] == scheme


@pytest.mark.parametrize(("reported", "scheme"), [("https", "wss"), ("wss", "wss"), ("http", "ws"), ("", "ws")])
def test_resolve_sets_ws_or_wss_for_a_websocket(reported: str, scheme: str) -> None:
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
def test_resolve_removes_all_headers_of_an_untrusted_peer(client: Any, proxies: list[str]) -> None:
    scope = resolved(FORGED, client, proxies)

    assert (scope["client"], scope["scheme"]) == (client, "http")
    assert scope["headers"] == [(b"host", b"testserver")]


def test_resolve_twice_keeps_other_headers_of_a_proxy() -> None:
    scope = resolved(FORGED)
    # On some servers it runs twice. The client of the second run is not a proxy.
    TrustedProxies(PROXIES).resolve(scope)

    assert scope["headers"][1:] == [(b"x-forwarded-host", b"evil.example"), (b"x-forwarded-anything", b"1")]


def test_resolve_trusts_an_ipv4_mapped_address() -> None:
    assert resolved("x-forwarded-for: 203.0.113.9", ("::ffff:10.0.0.1", 4000))["client"] == ("203.0.113.9", 0)


def test_resolve_changes_a_client_list_in_place() -> None:
    client = list(PROXY)

    resolved("x-forwarded-for: 203.0.113.9", client)
    assert client == ["203.0.113.9", 0]


@pytest.mark.parametrize("bad", ["", "proxy.example", "10.0.0.1/8", "10.0.0.0/33", "10.1", "*", "0.0.0.0/0", "::/0"])
def test_are_proxies_refuses_an_invalid_value_with_an_example(bad: str) -> None:
    are_proxies(PROXIES)
    with pytest.raises(ValidationError, match=r"such as 10\.0\.0\.0/8") as raised:
        are_proxies([*PROXIES, bad])
    assert str(raised.value).startswith(repr(bad))
