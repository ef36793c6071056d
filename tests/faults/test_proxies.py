"""Services behind real reverse proxies with the configuration of docs/proxies.md, and clients that forge headers."""

import os
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets.exceptions
from websockets.sync.client import connect
from websockets.typing import Origin

from devtools.browser import PASSWORD, USERNAME
from devtools.matrix import ROOT, SERVERS, all_on
from devtools.ports import free_port
from devtools.production import served
from devtools.rendering import render
from devtools.servers import Server
from tests.support.raw_http import handshake, send_request
from tests.support.tls import make_certificate

DOCUMENT = ROOT / "docs" / "proxies.md"
PROXIES = ["nginx", "haproxy"]
# Clients connect to the proxies from this address. The proxies connect to the service from 127.0.0.1.
CLIENT = "127.0.0.2"
# Views that return the client that the service sees, and that stream.
PROBE = '''
import asyncio

from django.http import JsonResponse, StreamingHttpResponse

released = asyncio.Event()


async def whoami(request):
    """Return the client as the service sees it."""
    forwarding = [name for name in request.headers if name.startswith(("X-Forwarded", "Forwarded", "X-Real"))]
    return JsonResponse(
        {
            "client": request.META["REMOTE_ADDR"],
            "scheme": request.scheme,
            "host": request.get_host(),
            "forwarding": forwarding,
        }
    )


async def stream(request):
    """Send a line, and a second one after a request for `release`."""

    async def lines():
        yield "first\\n"
        await released.wait()
        yield "second\\n"

    return StreamingHttpResponse(lines())


async def release(request):
    released.set()
    return JsonResponse({})
'''
URLS = """
import probe

urlpatterns += [path(f"{view.__name__}/", view) for view in (probe.whoami, probe.stream, probe.release)]
"""
# Headers of a client that forges its address, scheme and host.
FORGED = {
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "1",
    "X_Forwarded_For": "203.0.113.7",
    "X-Real-IP": "203.0.113.7",
    "Forwarded": "for=203.0.113.7;proto=http;host=evil.example",
}


def example(language: str) -> str:
    """Return the configuration of a proxy in the document."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return str(found)


def adapt(text: str, changes: dict[str, str]) -> str:
    """Return a configuration with replaced addresses and paths. Raises AssertionError if one is missing."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@dataclass
class Proxy:
    """A running proxy: its two ports, and the TLS context of its clients."""

    http_port: int
    https_port: int
    context: ssl.SSLContext

    @property
    def origin(self) -> str:
        """The origin of the service's pages."""
        return f"https://localhost:{self.https_port}"

    def client(self, **headers: str) -> httpx.Client:
        """Return a client that connects from CLIENT."""
        transport = httpx.HTTPTransport(verify=self.context, local_address=CLIENT)
        return httpx.Client(base_url=self.origin, transport=transport, headers=headers, timeout=20)

    def handshake(self, origin: str, **headers: str) -> Any:
        """Open a WebSocket with an origin."""
        plain = socket.create_connection(("127.0.0.1", self.https_port), timeout=20, source_address=(CLIENT, 0))
        return connect(
            f"wss://localhost:{self.https_port}/ws/products/",
            sock=plain,
            ssl=self.context,
            origin=Origin(origin),
            additional_headers=headers,
            open_timeout=20,
        )


def command_of(name: str, folder: Path, proxy: Proxy, upstream: int) -> list[str]:
    """Write the configuration of a proxy; return its command."""
    config = folder / f"{name}.conf"
    if name == "haproxy":
        changes = {
            "bind :80": f"bind 127.0.0.1:{proxy.http_port}",
            "bind :443": f"bind 127.0.0.1:{proxy.https_port}",
            "/etc/haproxy/": f"{folder}/",
            "127.0.0.1:8000": f"127.0.0.1:{upstream}",
        }
        config.write_text(adapt(example(name), changes), encoding="utf-8")
        return ["haproxy", "-db", "-f", str(config)]
    kept = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    paths = "".join(f"    {kind}_temp_path {folder}/{kind};\n" for kind in kept)
    changes = {
        "listen 80;": f"listen 127.0.0.1:{proxy.http_port};",
        "listen 443 ": f"listen 127.0.0.1:{proxy.https_port} ",
        "/etc/nginx/shop": f"{folder}/shop",
        "127.0.0.1:8000": f"127.0.0.1:{upstream}",
        "http {\n": f"http {{\n    access_log {folder}/access.log;\n{paths}",
    }
    config.write_text(adapt(example(name), changes), encoding="utf-8")
    options = f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;"
    if os.geteuid() == 0:
        options += " user root;"
    return ["nginx", "-p", str(folder), "-c", str(config), "-g", options]


@contextmanager
def proxied(name: str, folder: Path, server: Server) -> Iterator[Proxy]:
    """Run a proxy in front of a service with the configuration of the document."""
    folder.mkdir()
    proxy = Proxy(free_port(), free_port(), ssl.create_default_context(cafile=make_certificate(folder, "shop")))
    command = command_of(name, folder, proxy, int(server.url.rpartition(":")[2]))
    process = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + 30
        with proxy.client() as client:
            while not reaches_service(client):
                assert process.poll() is None, process.returncode
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield proxy
    finally:
        process.terminate()
        process.wait(timeout=10)


def reaches_service(client: httpx.Client) -> bool:
    """Return whether a client reaches the service through a proxy."""
    try:
        return client.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False


def render_with_views(name: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Render a service with the views of PROBE; return its folder and its answers."""
    answers = all_on(name) | {"use_postgres": False}
    service = render(answers, folder)
    (service / "probe.py").write_text(PROBE, encoding="utf-8")
    with (service / "config" / "urls.py").open("a", encoding="utf-8") as urls:
        urls.write(URLS)
    return service, answers


@pytest.fixture(params=SERVERS)
def server_name(request: pytest.FixtureRequest) -> str:
    """Return the name of the server."""
    return str(request.param)


@pytest.mark.parametrize("name", PROXIES)
def test_service_behind_a_documented_proxy_knows_its_clients(
    name: str, server_name: str, tmp_path: Path, redis_url: str
) -> None:
    service, answers = render_with_views(server_name, tmp_path / "service")
    with (
        served(service, answers, None, redis_url, TRUSTED_PROXIES="127.0.0.1") as server,
        proxied(name, tmp_path / "proxy", server) as proxy,
    ):
        check_redirect(proxy)
        check_client(proxy)
        check_forgeries(proxy)
        check_login(proxy)
        check_bodies_and_streams(proxy)
        check_sockets(proxy)
        if server_name != "granian":  # it has no access log in production
            check_access_log(server)


def check_redirect(proxy: Proxy) -> None:
    """Check that the proxy sends clients without TLS to https."""
    response = httpx.get(f"http://localhost:{proxy.http_port}/admin/?a=1")
    assert response.status_code == 308
    assert re.fullmatch(r"https://localhost(:\d+)?/admin/\?a=1", response.headers["Location"])


def check_client(proxy: Proxy) -> None:
    """Check that the service knows the client's address and scheme."""
    with proxy.client() as client:
        response = client.get("/whoami/")
    assert response.json() == {
        "client": CLIENT,
        "scheme": "https",
        "host": f"localhost:{proxy.https_port}",
        "forwarding": [],
    }
    assert "Strict-Transport-Security" in response.headers
    assert re.fullmatch(r"[0-9a-f-]{32,36}", response.headers["X-Request-ID"])


def check_forgeries(proxy: Proxy) -> None:
    """Check that forged headers of a client do not change what the service sees."""
    with proxy.client() as client:
        honest = client.get("/whoami/").json()
    with proxy.client(**FORGED, **{"X-Request-ID": "forged"}) as client:
        response = client.get("/whoami/")
    assert response.json() == honest
    assert response.headers["X-Request-ID"] != "forged"


def check_login(proxy: Proxy) -> None:
    """Check that forms work with secure cookies, and only from pages with the proxy's scheme and port."""
    with proxy.client() as client:
        for origin, status in {
            proxy.origin.replace("https", "http"): 403,
            "https://localhost": 403,
            proxy.origin: 302,
        }.items():
            page = client.get("/admin/login/")
            [token] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
            form = {"username": USERNAME, "password": PASSWORD, "csrfmiddlewaretoken": token}
            response = client.post("/admin/login/", data=form, headers={"Origin": origin})
            assert response.status_code == status, origin
        cookies = response.headers.get_list("Set-Cookie")
        assert cookies
        assert all("; Secure" in cookie for cookie in cookies), cookies
        assert client.get("/admin/").status_code == 200


def check_bodies_and_streams(proxy: Proxy) -> None:
    """Check that the service, not the proxy, refuses long bodies, and that the proxy does not buffer streams."""
    with proxy.client() as client:
        refused = client.post("/admin/login/", content=b"x" * (10 * 1024 * 1024 + 1))
        assert refused.status_code == 413
        assert refused.json() == {"error": "The body is longer than 10485760 bytes."}
        with client.stream("GET", "/stream/") as response:
            lines = response.iter_lines()
            assert next(lines) == "first"
            with proxy.client() as other:
                assert other.get("/release/").status_code == 200
            assert list(lines) == ["second"]


def check_sockets(proxy: Proxy) -> None:
    """Check that pages of the service, and no others, can open WebSockets."""
    with proxy.handshake(proxy.origin, **FORGED) as opened:
        opened.send('{"type": "ping"}')
        assert opened.recv(timeout=20) == '{"type": "pong"}'
    others = (proxy.origin.replace("https", "http"), "https://localhost", "https://evil.example", "null")
    for origin in others:
        with pytest.raises(websockets.exceptions.InvalidStatus) as refusal:
            proxy.handshake(origin)
        # Daphne's library refuses `null` itself.
        assert refusal.value.response.status_code in ({400, 403} if origin == "null" else {403}), origin


def check_access_log(server: Server) -> None:
    """Check that the lines of the access log have the client's address."""
    lines = re.findall(r'(\S+) - .*"\w+ (/whoami/|/ws/products/)', server.log)
    assert set(lines) == {(f"{CLIENT}:0", "/whoami/"), (f"{CLIENT}:0", "/ws/products/")}, server.log


def whoami(server: Server, address: str) -> dict[str, Any]:
    """Return the client that the service sees for a request with forged headers from an address."""
    headers = FORGED | {"X-Forwarded-Proto": "https", "Daphne-Root-Path": "//evil.example"}
    transport = httpx.HTTPTransport(local_address=address)
    with httpx.Client(base_url=server.url, transport=transport, headers=headers) as client:
        seen: dict[str, Any] = client.get("/whoami/").json()
        seen["login"] = client.get("/admin/").headers["Location"]
    return seen


def test_forwarding_headers_are_read_only_from_trusted_proxies(
    server_name: str, tmp_path: Path, redis_url: str
) -> None:
    service, answers = render_with_views(server_name, tmp_path)
    with served(service, answers, None, redis_url, TRUSTED_PROXIES="127.0.0.3,10.0.0.0/8") as server:
        host = server.url.removeprefix("http://")
        for address in ("127.0.0.1", CLIENT):
            assert whoami(server, address) == {
                "client": address,
                "scheme": "http",
                "host": host,
                "forwarding": [],
                "login": "/admin/login/?next=/admin/",
            }
        # The service reads the headers of a trusted proxy, except for the host.
        assert whoami(server, "127.0.0.3") == {
            "client": "203.0.113.7",
            "scheme": "https",
            "host": host,
            "forwarding": ["X-Forwarded-Host", "X-Forwarded-Port"],
            "login": "/admin/login/?next=/admin/",
        }
        secure = b"X-Forwarded-Proto: https\r\n"
        assert send_request(server.url, handshake(headers={"Origin": b"https://localhost"}, extra=secure)) == 403
