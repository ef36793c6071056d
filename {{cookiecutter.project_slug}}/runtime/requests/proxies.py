"""Finds the client's address and the scheme of a request that came through reverse proxies.

Proxies report both in headers, which any client can forge. Only the headers of the proxies in settings.TRUSTED_PROXIES
count. All of these headers are removed from the request, so that no other code relies on them.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from django.conf import settings
from environs import ValidationError

from runtime.asgi import ASGIApp, Receive, Scope, Send

# The scheme of a plain and of an encrypted connection, for each type of scope.
SCHEMES = {
    "http": ("http", "https"),
    "websocket": ("ws", "wss"),
}
# The key that marks a scope whose client is already resolved.
RESOLVED = "runtime.requests.proxies"
# The headers whose information moves to the scope.
REPLACED = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-real-ip"})
# Every header that a client could forge to imitate a proxy, or its prefix.
FORWARDING = (b"x-forwarded-", *REPLACED)
# An address as proxies write it, with an optional port: 192.0.2.1:4711, 2001:db8::1, [2001:db8::1]:4711.
ADDRESS = re.compile(r"(?:([\d.]+)|\[([\da-f:.]+)\])(?::(\d{1,5}))?|([\da-f:.]+)", re.ASCII | re.IGNORECASE)
# A parameter of an element of Forwarded (RFC 7239): name=token or name="text".
PARAMETER = re.compile(r'([!#$%&\'*+.^_`|~\w-]+)=(?:([!#$%&\'*+.^_`|~\w:\[\]-]+)|"([^"\\]*)")', re.ASCII)

type Address = tuple[str, int]
# The client's address and scheme as one proxy reports them. None stands for a value that the proxy does not report.
type Hop = tuple[Address | None, str | None]


class TrustedProxiesMiddleware:
    """Sets the scope's client and scheme to those of the real client instead of the last proxy."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.proxies = TrustedProxies(settings.TRUSTED_PROXIES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Resolve the client, and call the application."""
        self.proxies.resolve(scope)
        await self.app(scope, receive, send)


class TrustedProxies:
    """The trusted proxies, each an IP address or a network."""

    def __init__(self, proxies: list[str]) -> None:
        self.networks = [parse_network(proxy) for proxy in proxies]
        # All requests come from a few proxies, so the result for each address is kept.
        self.is_trusted_peer = lru_cache(maxsize=256)(self.is_trusted)

    def is_trusted(self, host: str) -> bool:
        """Tell whether a host is the IP address of a trusted proxy."""
        address = parse_address(host)
        if address is None:
            return False
        ip = ip_address(address[0])
        return any(ip in network for network in self.networks)

    def resolve(self, scope: Scope) -> None:
        """Set the scope's client and scheme to those that the trusted proxies report, and remove the proxies' headers.

        The scope is changed in place, because the server's access log reads it too. A second call changes nothing.
        """
        if scope["type"] not in SCHEMES or RESOLVED in scope:
            return
        headers = scope["headers"]
        if not any(name.startswith(FORWARDING) for name, _ in headers):
            return
        scope[RESOLVED] = True
        client = scope.get("client")
        if not (client and self.networks and self.is_trusted_peer(client[0])):
            scope["headers"] = [header for header in headers if not header[0].startswith(FORWARDING)]
            return
        # The service may use the others, such as X-Forwarded-Host with Django's USE_X_FORWARDED_HOST.
        scope["headers"] = [header for header in headers if header[0] not in REPLACED]
        address, scheme = self.find_client(reported_hops(headers))
        if address is not None:
            if isinstance(client, list):
                # The server keeps this list for its access log.
                client[:] = address
            else:
                scope["client"] = address
        if scheme is not None:
            scope["scheme"] = SCHEMES[scope["type"]][scheme == "https"]

    def find_client(self, hops: Iterator[Hop]) -> Hop:
        """Return the nearest client that is not a trusted proxy, and its scheme.

        Hops begin with the nearest proxy. The search ends at an untrusted or invalid address, because a client may have
        forged everything beyond it.
        """
        client: Address | None = None
        scheme: str | None = None
        for address, reported_scheme in hops:
            scheme = reported_scheme
            if address is None:
                break
            client = address
            if not self.is_trusted(address[0]):
                break
        return client, scheme


def reported_hops(headers: list[tuple[bytes, bytes]]) -> Iterator[Hop]:
    """Return the hops that the proxies report, the nearest first.

    Forwarded counts only without X-Forwarded-For and X-Forwarded-Proto. Almost every proxy writes those two, and passes
    a client's Forwarded header on unchanged.
    """
    addresses, schemes = (header_values(headers, name) for name in (b"x-forwarded-for", b"x-forwarded-proto"))
    if not (addresses or schemes):
        return (parse_element(element) for element in reversed(header_values(headers, b"forwarded")))
    addresses = addresses or [""]
    parsed = [parse_scheme(scheme) for scheme in schemes] or [None]
    if len(parsed) == 1:
        parsed *= len(addresses)
    elif len(parsed) != len(addresses):
        # The headers do not say which scheme belongs to which hop.
        scheme = "https" if all(each == "https" for each in parsed) else "http"
        parsed = [scheme] * len(addresses)
    hops = zip(reversed(addresses), reversed(parsed), strict=True)
    return ((parse_address(address), scheme) for address, scheme in hops)


def header_values(headers: list[tuple[bytes, bytes]], name: bytes) -> list[str]:
    """Return the comma-separated values of all headers with a name."""
    values = [value.decode("latin-1") for each, value in headers if each == name]
    return [part.strip() for part in ",".join(values).split(",")] if values else []


def parse_address(text: str) -> Address | None:
    """Return the IP address and the port (0 if missing) in a text. Return None for any other text."""
    parts = ADDRESS.fullmatch(text)
    if parts is None:
        return None
    v4, v6, port, bare = parts.groups()
    try:
        ip = ip_address(v4 or v6 or bare)
    except ValueError:
        return None
    # A server that listens on both IPv6 and IPv4 sees an IPv4 client as ::ffff:192.0.2.1.
    return str(getattr(ip, "ipv4_mapped", None) or ip), int(port or 0)


def parse_scheme(text: str) -> str | None:
    """Return "http" or "https", or None for any other text."""
    scheme = text.lower()
    scheme = {"ws": "http", "wss": "https"}.get(scheme, scheme)
    return scheme if scheme in {"http", "https"} else None


def parse_element(text: str) -> Hop:
    """Return the hop in an element of Forwarded. A malformed element reports neither address nor scheme.

    Elements are split at every comma, even a quoted one. A quote that a client opens must not hide a proxy's element.
    """
    pairs = [PARAMETER.fullmatch(part.strip()) for part in text.split(";")]
    parameters = {pair[1].lower(): pair[2] or pair[3] or "" for pair in pairs if pair}
    if len(parameters) != len(pairs):
        return None, None
    return parse_address(parameters.get("for", "")), parse_scheme(parameters.get("proto", ""))


def parse_network(text: str) -> IPv4Network | IPv6Network:
    """Return the network in a text. An address is a network of one. Raises ValidationError for any other text."""
    try:
        network = ip_network(text)
    except ValueError:
        raise ValidationError(
            f"{text!r} is not an IP address such as 192.0.2.10, nor a network without host bits such as 10.0.0.0/8."
        ) from None
    if network.prefixlen == 0:
        raise ValidationError(f"{text!r} would trust every client. Name the proxies only, such as 10.0.0.0/8.")
    return network


def are_proxies(texts: list[str]) -> None:
    """Raise ValidationError unless every text is an IP address or a network."""
    for text in texts:
        parse_network(text)
