"""Clients that break the rules: they get a clear response, and other clients are served meanwhile."""

import re
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from devtools.browser import CSRF_COOKIE, PASSWORD, SESSION_COOKIE, USERNAME, Browser
from devtools.matrix import SERVERS, all_on
from devtools.production import served
from devtools.rendering import break_source, render
from devtools.servers import Server
from tests.support.raw_http import (
    HOST,
    Connection,
    connected,
    descriptors,
    frame,
    handshake,
    memory,
    outcome,
    send_request,
)

RESPONSE_TIMEOUT = 5.0  # seconds until other clients have a response, on a busy machine
# The defaults of a service.
HEADER_TIMEOUT = 10  # seconds
BODY_TIMEOUT = 20  # seconds without a byte of the body
MAX_SIZE = 10 * 1024 * 1024  # bytes of a body
MEBIBYTE = 1024 * 1024
CLIENTS = 5_000

type Expected = int | str | dict[str, int | str]


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path, database_url: str, redis_url: str) -> Iterator[Server]:
    """Serve a service with every toggle on."""
    answers = all_on(request.param)
    # The tests connect as a trusted proxy, so the service reads the headers of proxies.
    with served(render(answers, tmp_path), answers, database_url, redis_url, TRUSTED_PROXIES="127.0.0.1") as server:
        yield server


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of the server."""
    return str(request.node.callspec.params["server"])


@contextmanager
def served_broken(directory: Path, redis_url: str, path: str, old: str, new: str) -> Iterator[Server]:
    """Serve a service that is broken on purpose."""
    answers = all_on() | {"use_postgres": False}
    service = render(answers, directory)
    break_source(service, path, old, new)
    with served(service, answers, None, redis_url) as server:
        yield server


@contextmanager
def stays_responsive(server: Server) -> Iterator[None]:
    """Request /health/live repeatedly from another client.

    Raises AssertionError if a response is not 200 or takes longer than RESPONSE_TIMEOUT.
    """
    responses: list[tuple[int, float]] = []
    stopped = threading.Event()

    def poll_health() -> None:
        while True:
            started = time.monotonic()
            try:
                status = httpx.get(f"{server.url}/health/live", timeout=30).status_code
            except httpx.TransportError:
                status = 0
            responses.append((status, time.monotonic() - started))
            if stopped.wait(0.1):
                return

    thread = threading.Thread(target=poll_health)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
    assert {status for status, _ in responses} == {200}
    assert max(seconds for _, seconds in responses) < RESPONSE_TIMEOUT


def get(path: bytes, headers: bytes = HOST) -> bytes:
    """Return a GET request."""
    return b"GET " + path + b" HTTP/1.1\r\n" + headers + b"\r\n"


def post(headers: bytes, body: bytes = b"", path: bytes = b"/admin/login/") -> bytes:
    """Return a POST request."""
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + headers + b"\r\n" + body


CHUNKED = b"Transfer-Encoding: chunked\r\n"
LIVE = b"/health/live"
# The bytes of a request and the expected result: a status, or "closed" without a response. A dict has one per server.
MALFORMED: dict[str, tuple[bytes, Expected]] = {
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "noise": (bytes(range(256)) + b"\r\n\r\n", 400),
    "words": (b"hello\r\n\r\n", 400),
    "version 9.9": (b"GET / HTTP/9.9\r\n" + HOST + b"\r\n", 400),
    "no protocol": (b"GET / HTTQ/1.1\r\n" + HOST + b"\r\n", 400),
    "HTTP/2": (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"x" * 200,
        {"uvicorn": 400, "granian": "closed", "daphne": 400},
    ),
    "no path": (b"GET  HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "NUL in path": (get(b"/\x00"), 400),
    "encoded NUL": (get(b"/%00"), 404),
    "encoded NUL in query": (get(b"/api/products/?after=%00"), 400),
    "encoded NUL in static": (get(b"/static/%00.css"), 404),
    "odd percents": (get(b"/%zz%f"), 404),
    "encoded bytes": (get(b"/%ff%fe"), 404),
    "encoded surrogate": (get(b"/static/%ed%a0%80"), 404),
    "bytes in path": (get(b"/\xff\xfe"), 400),
    "bytes in query": (get(b"/api/products/?after=\xff\xfe"), 400),
    "out of static": (get(b"/static/../../config/settings.py"), 404),
    "encoded out of static": (get(b"/static/%2e%2e/%2e%2e/config/settings.py"), 404),
    "a name that no file can have": (get(b"/static/" + b"a" * 5000), 404),
    "a huge number": (get(b"/api/products/" + b"9" * 5000 + b"/"), 404),
    "NUL in header": (get(b"/", HOST + b"X-A: a\x00b\r\n"), 400),
    "no colon": (get(b"/", HOST + b"nonsense\r\n"), 400),
    "space in name": (get(b"/", HOST + b"X A: b\r\n"), 400),
    "space before colon": (get(b"/", HOST + b"Content-Length : 0\r\n"), 400),
    "lone CR": (get(b"/", HOST + b"X-A: a\rb: c\r\n"), 400),
    "bytes in headers": (get(b"/", HOST + b"X-Request-ID: \xff\xfe\r\nCookie: __Host-sessionid=\xff\r\n"), 200),
    # Conflicts that request smuggling uses. Granian obeys Transfer-Encoding, as RFC 9112 allows, and closes the
    # connection, so that no smuggled request can follow.
    "negative length": (post(b"Content-Length: -1\r\n"), 400),
    "length with sign": (post(b"Content-Length: +5\r\n", b"hello"), 400),
    "two lengths": (post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello!"), 400),
    "length and chunks": (
        post(b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n"),
        {"uvicorn": 400, "granian": 403, "daphne": 400},
    ),
    "chunks and length": (
        post(CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n"),
        {"uvicorn": 400, "granian": 403, "daphne": 400},
    ),
    "unknown coding": (post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), 400),
    "no chunk size": (post(CHUNKED, b"zz\r\nhello\r\n0\r\n\r\n"), 400),
    "negative chunk size": (post(CHUNKED, b"-5\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk longer than its size": (post(CHUNKED, b"5\r\nhelloworld\r\n0\r\n\r\n"), 400),
    "huge length": (
        post(b"Content-Length: 99999999999999999999999\r\n"),
        {"uvicorn": 400, "granian": 400, "daphne": 413},
    ),
    "long length": (post(b"Content-Length: 9223372036854775807\r\n"), 413),
    # Too much of something. Daphne limits the number and the bytes of headers separately; granian's limit is larger.
    "long path": (get(b"/" + b"a" * 70_000), {"uvicorn": 431, "granian": 414, "daphne": 431}),
    "long header": (
        get(LIVE, HOST + b"X-A: " + b"a" * 70_000 + b"\r\n"),
        {"uvicorn": 431, "granian": 200, "daphne": 431},
    ),
    "many headers": (
        get(LIVE, HOST + b"".join(b"X-%d: a\r\n" % number for number in range(10_000))),
        431,
    ),
    "many cookies": (
        get(b"/admin/", HOST + b"Cookie: " + b"; ".join(b"a%d=1" % number for number in range(10_000)) + b"\r\n"),
        {"uvicorn": 431, "granian": 302, "daphne": 431},
    ),
    "many parameters": (get(b"/api/products/?" + b"&".join(b"a%d=1" % number for number in range(1_500))), 400),
    "many fields": (post(b"Content-Length: 20000\r\n", b"a=1&" * 5_000), 403),
    "odd boundary": (
        post(b"Content-Type: multipart/form-data; boundary=\xff\r\nContent-Length: 5\r\n", b"hello"),
        403,
    ),
    "odd charset": (post(b"Content-Type: text/plain; charset=nonsense\r\nContent-Length: 5\r\n", b"a=%ff"), 403),
    "odd range": (get(b"/static/admin/css/base.css", HOST + b"Range: bytes=99999999999-\r\n"), 416),
    # Hosts and origins.
    "wrong host": (get(b"/", b"Host: evil.example\r\n"), 400),
    "two hosts": (get(b"/", HOST + b"Host: evil.example\r\n"), 400),
    "host with user": (get(b"/admin/", b"Host: localhost:80@evil.example\r\n"), 400),
    "absolute URL, wrong host": (get(b"http://localhost/", b"Host: evil.example\r\n"), 400),
    "forwarded host": (get(b"/admin/", b"Host: evil.example\r\nX-Forwarded-Host: localhost\r\n"), 400),
    "no origin": (post(b"Content-Length: 0\r\n"), 403),
    "half an origin": (post(b"Origin: http://[\r\nContent-Length: 0\r\n"), 403),
    "null origin": (post(b"Origin: null\r\nContent-Length: 0\r\n"), 403),
    "half a referer": (post(b"X-Forwarded-Proto: https\r\nReferer: https://[\r\nContent-Length: 0\r\n"), 403),
}

REFUSED: Expected = 403
# Handshakes. Granian is less strict than RFC 6455 about errors that no browser makes.
HANDSHAKES: dict[str, tuple[bytes, Expected]] = {
    "right": (handshake(), 101),
    "no key": (handshake(headers={"Sec-WebSocket-Key": None}), 400),
    "short key": (
        handshake(headers={"Sec-WebSocket-Key": b"abc"}),
        {"uvicorn": 400, "granian": 101, "daphne": 400},
    ),
    "no version": (handshake(headers={"Sec-WebSocket-Version": None}), 400),
    "odd version": (handshake(headers={"Sec-WebSocket-Version": b"x"}), 400),
    "posted": (handshake(method=b"POST"), {"uvicorn": 405, "granian": 101, "daphne": 405}),
    "with a body": (
        handshake(extra=b"Content-Length: 5\r\n") + b"hello",
        {"uvicorn": 400, "granian": 101, "daphne": 101},
    ),
    "odd extension": (
        handshake(headers={"Sec-WebSocket-Extensions": b"permessage-deflate; server_max_window_bits=99; ;;="}),
        {"uvicorn": 400, "granian": 101, "daphne": 400},
    ),
    "bytes in path": (handshake(b"/ws/\xff"), 400),
    "bytes in query": (handshake(b"/ws/products/?\xff"), 400),
    "unknown path": (handshake(b"/ws/nowhere/"), REFUSED),
    "no origin": (handshake(headers={"Origin": None}), REFUSED),
    "other origin": (handshake(headers={"Origin": b"http://evil.example"}), REFUSED),
    "other scheme": (handshake(headers={"Origin": b"https://localhost"}), REFUSED),
    "other port": (handshake(headers={"Origin": b"http://localhost:81"}), REFUSED),
    "other name": (handshake(headers={"Origin": b"http://127.0.0.1"}), REFUSED),
    "null origin": (handshake(headers={"Origin": b"null"}), {"uvicorn": 403, "granian": 403, "daphne": 400}),
    "half an origin": (handshake(headers={"Origin": b"http://["}), {"uvicorn": 403, "granian": 403, "daphne": 400}),
    "odd port": (handshake(headers={"Origin": b"http://localhost:a"}), {"uvicorn": 403, "granian": 403, "daphne": 400}),
    "two origins": (
        handshake(headers={"Origin": b"http://evil.example"}, extra=b"Origin: http://localhost\r\n"),
        {"uvicorn": 400, "granian": 403, "daphne": 403},
    ),
    "other host": (handshake(headers={"Host": b"evil.example", "Origin": b"http://evil.example"}), REFUSED),
}

# Frames after a handshake, and the close code. Granian closes the socket without a code if its library cannot parse a
# frame.
ILLEGAL: Expected = {"uvicorn": 1002, "granian": "no code", "daphne": 1002}
FRAMES: dict[str, tuple[bytes, Expected]] = {
    "unmasked": (frame(1, b"{}", masked=False), ILLEGAL),
    "reserved bits": (frame(1, b"{}", reserved=2), ILLEGAL),
    "compressed, which was not agreed": (frame(1, b"{}", reserved=4), ILLEGAL),
    "reserved opcode": (frame(3, b"{}"), ILLEGAL),
    "reserved control opcode": (frame(11), ILLEGAL),
    "not UTF-8": (frame(1, b"\xff\xfe"), {"uvicorn": 1007, "granian": "no code", "daphne": 1007}),
    "not UTF-8 in two parts": (
        frame(1, b"\xc3", last=False) + frame(0, b"\x28"),
        {"uvicorn": 1007, "granian": "no code", "daphne": 1007},
    ),
    "fragmented ping": (frame(9, b"x", last=False), ILLEGAL),
    "long ping": (frame(9, b"x" * 126), ILLEGAL),
    "continuation of nothing": (frame(0, b"x"), ILLEGAL),
    "text within text": (frame(1, b"x", last=False) + frame(1, b"y"), ILLEGAL),
    # Daphne's library then considers the closing handshake complete.
    "half a code": (frame(8, b"\x03"), {"uvicorn": 1002, "granian": "no code", "daphne": "closed"}),
    "reserved code": (frame(8, (1005).to_bytes(2)), {"uvicorn": 1002, "granian": 1002, "daphne": "closed"}),
    "impossible length": (
        b"\x81\xff" + (2**62).to_bytes(8) + b"\1\2\3\4" + b"x" * 100,
        {"uvicorn": 1009, "granian": "no code", "daphne": 1009},
    ),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", ILLEGAL),
}


def expected_of(cases: dict[str, tuple[bytes, Expected]], name: str) -> dict[str, int | str]:
    """Return the expected result of each case on a server."""
    return {case: each[name] if isinstance(each, dict) else each for case, (_, each) in cases.items()}


def test_malformed_requests_are_refused(server: Server, name: str) -> None:
    with stays_responsive(server):
        outcomes = {case: send_request(server.url, sent) for case, (sent, _) in MALFORMED.items()}
        # No server accepts a header of 1 MiB. Its response may be lost when it resets the connection.
        assert send_request(server.url, get(LIVE, HOST + b"X-A: " + b"a" * MEBIBYTE)) in {431, "closed"}
    assert outcomes == expected_of(MALFORMED, name)


def test_malformed_handshakes_and_frames_are_refused(server: Server, name: str) -> None:
    with stays_responsive(server):
        outcomes = {case: send_request(server.url, sent) for case, (sent, _) in HANDSHAKES.items()}
        codes = {case: close_code(server, sent) for case, (sent, _) in FRAMES.items()}
        # A client that sends frames before the handshake is accepted must not disturb other clients.
        send_request(server.url, handshake() + frame(2, b"x" * MEBIBYTE))
    assert outcomes == expected_of(HANDSHAKES, name)
    assert codes == expected_of(FRAMES, name)


def close_code(server: Server, sent: bytes) -> int | str:
    """Return the close code of a socket that has sent some frames, or "no code" or "closed" (without a close frame)."""
    with connected(server.url, timeout=2) as connection:
        connection.send(handshake())
        assert outcome(connection.receive(until=b"\r\n\r\n")) == 101
        connection.send(sent)
        answer = connection.receive(until=b"\x88")
        # Its second byte, with the length, may still be on its way.
        with suppress(TimeoutError):
            answer += connection.receive(until=b"no more")
        if not answer:
            return "closed"
        assert answer[:1] == b"\x88", answer
        return int.from_bytes(answer[2:4]) if answer[1] else "no code"


def check_bodies(server: Server) -> None:
    """Check that the service refuses bodies over the limit, and that they cost a bounded amount of memory."""
    before = memory(server)
    # A body with a too large Content-Length is refused before the client sends it.
    with connected(server.url) as connection:
        connection.send(post(b"Expect: 100-continue\r\nContent-Length: %d\r\n" % (MAX_SIZE + 1)))
        answer = connection.receive()
        assert outcome(answer) == 413, answer
        assert b"connection: close" in answer.lower()
        assert b"The body is longer than 10485760 bytes." in answer
    # A client that sends its whole body without reading can read the response afterwards.
    for headers, part in {
        b"Content-Length: %d\r\n" % (MAX_SIZE + 1): b"x" * MEBIBYTE,
        CHUNKED: b"100000\r\n" + b"x" * MEBIBYTE + b"\r\n",
        CHUNKED + b"Content-Type: multipart/form-data; boundary=x\r\n": b"100000\r\n" + b"x" * MEBIBYTE + b"\r\n",
    }.items():
        with connected(server.url) as connection:
            connection.send(post(headers))
            for _ in range(MAX_SIZE // MEBIBYTE + 1):
                connection.send(part)
            assert outcome(connection.receive(until=b"bytes.")) == 413
    # Many clients at once, whose bodies never end.
    connections = [Connection(server.url) for _ in range(20)]
    for connection in connections:
        connection.send(post(CHUNKED))
        for _ in range(5):
            connection.send(b"100000\r\n" + b"x" * MEBIBYTE + b"\r\n")
    grown = memory(server) - before
    for connection in connections:
        connection.close()
    assert grown < 20 * 3 * MEBIBYTE + 40 * MEBIBYTE, grown
    # A body of the maximum size reaches the CSRF check.
    with connected(server.url, timeout=30) as connection:
        connection.send(post(b"Content-Length: %d\r\n" % MAX_SIZE, b"x" * MAX_SIZE))
        assert outcome(connection.receive(until=b"\r\n\r\n")) == 403


def test_bodies_over_the_limit_are_refused_with_bounded_memory(server: Server) -> None:
    with stays_responsive(server):
        check_bodies(server)


# The beginnings of requests, and the accepted results of the timeout; "closed" is a close without a response.
UNFINISHED: dict[str, tuple[bytes, set[int | str]]] = {
    "nothing": (b"", {"closed"}),
    "half of HTTP/2": (b"PRI * HTTP/2.0", {400, 408, "closed"}),
    "half a line": (b"GET /health", {408, "closed"}),
    "half the headers": (get(b"/", HOST + b"X-A: a\r\n")[:-2], {408, "closed"}),
    "half a second request": (get(LIVE) + b"GET /health", {408, "closed"}),
    "line ends, after a request": (get(LIVE) + b"\r\n", {408, "closed"}),
    "no body": (post(b"Content-Length: 10\r\n"), {408}),
    "half a body": (post(b"Content-Length: 10\r\n", b"hello"), {408}),
    "half a chunk": (post(CHUNKED, b"a\r\nhello"), {408}),
}
# Requests that arrive byte by byte and never end.
TRICKLES: dict[str, tuple[bytes, bytes, set[int | str]]] = {
    "headers": (b"GET / HTTP/1.1\r\nX-A: ", b"a", {408, "closed"}),
    "body": (post(b"Content-Length: 100\r\n"), b"a", {408}),
}


def check_timeouts(server: Server) -> None:
    """Check that the service disconnects each slow client soon after its timeout."""
    slow = {case: Connection(server.url) for case in [*UNFINISHED, *TRICKLES]}
    for case, connection in slow.items():
        connection.send(UNFINISHED[case][0] if case in UNFINISHED else TRICKLES[case][0])
    with connected(server.url) as honest:
        # This client is slow, but within the limits.
        honest.send(post(b"Content-Length: %d\r\n" % (25 * 30_000)))
        deadline = time.monotonic() + BODY_TIMEOUT + 2 * RESPONSE_TIMEOUT
        sent = 0
        while time.monotonic() < deadline:
            time.sleep(1)
            for case, (_, byte, _) in TRICKLES.items():
                slow[case].send(byte)
            if sent < 25:
                honest.send(b"x" * 30_000)
                sent += 1
        assert outcome(honest.receive(until=b"\r\n\r\n")) == 403
    outcomes = {}
    for case, connection in slow.items():
        connection.socket.settimeout(0.5)
        try:
            # Some cases begin with a complete request and its response.
            outcomes[case] = outcome(connection.receive().split(b'{"status": "ok"}')[-1])
        except TimeoutError:
            outcomes[case] = "still open"
        connection.close()
    allowed = {case: each[-1] for case, each in (UNFINISHED | TRICKLES).items()}
    assert {case: outcome for case, outcome in outcomes.items() if outcome not in allowed[case]} == {}


def test_slow_requests_time_out(server: Server) -> None:
    with stays_responsive(server):
        check_timeouts(server)


def check_connections(server: Server, begin: bytes, max_bytes: int) -> None:
    """Check that thousands of open connections cost little memory, block no other client, and are released."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft > CLIENTS + 1_000, f"`ulimit -n` is {soft} and at most {hard}: too few for {CLIENTS} connections"
    grown = []
    # The second round reuses the memory of the first one.
    for _ in range(2):
        files, before = descriptors(server), memory(server)
        with stays_responsive(server):
            connections = [Connection(server.url) for _ in range(CLIENTS)]
            for connection in connections:
                connection.send(begin)
            time.sleep(2)
            grown.append(memory(server) - before)
            for connection in connections:
                connection.close()
        deadline = time.monotonic() + 2 * HEADER_TIMEOUT
        while descriptors(server) > files + 10:
            assert time.monotonic() < deadline, f"{descriptors(server)} open files, {files} before"
            time.sleep(0.2)
    assert grown[0] / CLIENTS < max_bytes, f"{grown[0] / CLIENTS} bytes each"
    assert grown[1] < grown[0] / 2 + 20 * MEBIBYTE, grown


@pytest.mark.parametrize("begin", [b"", b"GET /health/live HTTP/1.1\r\nHost: loc"], ids=["idle", "half-sent"])
def test_5000_connections_cost_little_memory_and_are_released(server: Server, begin: bytes) -> None:
    check_connections(server, begin, max_bytes=40 * 1024)


def check_sessions(server: Server) -> None:
    """Check that a login replaces the session, a logout ends it, and forged tokens and sessions are refused."""
    with Browser(server.url) as admin, Browser(server.url) as thief:
        # A login starts a new session, so a thief cannot choose its key.
        admin.get("/admin/login/")
        admin.kept[SESSION_COOKIE] = "chosen-by-the-thief".ljust(32, "x")
        before = dict(admin.kept)
        response = admin.submit("/admin/login/", username=USERNAME, password=PASSWORD)
        assert response.status_code == 302
        assert admin.kept[SESSION_COOKIE] != before[SESSION_COOKIE]
        assert admin.csrf_token != before[CSRF_COOKIE]
        cookies = {cookie.split("=")[0]: cookie for cookie in response.headers.get_list("Set-Cookie")}
        assert re.search("(?=.*; HttpOnly)(?=.*; SameSite=Lax)(?=.*; Secure)", cookies[SESSION_COOKIE])
        assert re.search("(?=.*; SameSite=Lax)(?=.*; Secure)", cookies[CSRF_COOKIE])
        assert admin.get("/admin/").status_code == 200

        product = {"name": "Stolen", "price": "1.00", "stock": 1}
        for token in (None, "", "x" * 32, "x" * 64, before[CSRF_COOKIE]):
            headers = {} if token is None else {"X-CSRFToken": token}
            assert admin.post("/api/products/", json=product, headers=headers).status_code == 403, token
        for origin in ("http://evil.example", "null", "http://[", f"{server.url}, http://evil.example"):
            headers = {"X-CSRFToken": admin.csrf_token, "Origin": origin}
            assert admin.post("/api/products/", json=product, headers=headers).status_code == 403, origin
        altered = admin.kept[SESSION_COOKIE][:-1] + "_"
        for identity in ("", "forged", "x" * 32, altered, "../../etc/passwd", "x" * 4_000):
            thief.kept = admin.kept | {SESSION_COOKIE: identity}
            assert thief.call("/api/products/", json=product).status_code == 401, identity

        # A stolen session works until its owner logs out.
        thief.kept = dict(admin.kept)
        assert thief.get("/admin/").status_code == 200
        assert admin.submit("/admin/logout/").status_code == 200
        thief.kept |= {CSRF_COOKIE: admin.csrf_token}
        assert thief.get("/admin/").status_code == 302
        assert thief.call("/api/products/", json=product).status_code == 401


# Targets to which a login must not redirect.
ELSEWHERE = ("http://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "\t//evil.example")
# Request IDs of a client, and whether the service accepts them.
REQUEST_IDS = {"a" * 128: True, "a" * 129: False, "a b": False, "a\tb": False, "<b>": False, "a;b": False}


def check_redirects_and_headers(server: Server) -> None:
    """Check that a client can neither redirect other clients nor inject text into headers and the log."""
    for target in ELSEWHERE:
        with Browser(server.url) as admin:
            admin.get("/admin/login/")
            response = admin.submit("/admin/login/", username=USERNAME, password=PASSWORD, next=target)
            # Django's own default.
            assert response.headers["Location"] == "/accounts/profile/", target
    with Browser(server.url) as visitor:
        for request_id, is_accepted in REQUEST_IDS.items():
            returned = visitor.get("/nowhere", headers={"X-Request-ID": request_id}).headers["X-Request-ID"]
            assert (returned == request_id) == is_accepted, request_id
        visitor.get("/nowhere%0d%0aX-Injected:%20yes%0a2026-01-01 ERROR forged")
        assert not re.search("^2026-01-01 ERROR forged", server.log, re.MULTILINE)
        # The service reads the scheme of a trusted proxy, but not the host.
        elsewhere = visitor.get("/admin/", headers={"X-Forwarded-Host": "evil.example"})
        assert elsewhere.headers["Location"] == "/admin/login/?next=/admin/"
        for scheme, is_secure in {"https": True, "http": False, "gopher": False, "https, http": False}.items():
            headers = visitor.get("/", headers={"X-Forwarded-Proto": scheme}).headers
            assert ("Strict-Transport-Security" in headers) == is_secure, scheme


def test_sessions_redirects_and_headers_cannot_be_forged(server: Server) -> None:
    check_sessions(server)
    check_redirects_and_headers(server)


def test_body_check_fails_without_a_limit(tmp_path: Path, redis_url: str) -> None:
    limit = "REQUEST_MAX_SIZE = 10 * 1024 * 1024"
    with (
        served_broken(tmp_path, redis_url, "config/settings.py", limit, f"{limit} * 1000") as server,
        pytest.raises((AssertionError, TimeoutError)),
    ):
        check_bodies(server)


def test_timeout_check_fails_without_a_header_timeout(tmp_path: Path, redis_url: str) -> None:
    debug = "DEBUG = "
    with (
        served_broken(
            tmp_path, redis_url, "config/settings.py", debug, f"RUNTIME_HEADER_TIMEOUT = 1_000\n{debug}"
        ) as server,
        pytest.raises(AssertionError, match="still open"),
    ):
        check_timeouts(server)


def test_connection_check_fails_for_connections_that_use_100_kb(tmp_path: Path, redis_url: str) -> None:
    made = "        super().connection_made(transport)\n"
    with (
        served_broken(
            tmp_path,
            redis_url,
            "runtime/server/uvicorn_protocol.py",
            made,
            f"{made}        self.ballast = bytearray(100_000)\n",
        ) as server,
        pytest.raises(AssertionError, match="bytes each"),
    ):
        check_connections(server, b"", max_bytes=40 * 1024)


def test_session_check_fails_for_a_session_that_outlives_its_logout(tmp_path: Path, redis_url: str) -> None:
    signed = 'AUTH_USER_MODEL = "accounts.User"'
    engine = f'SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"\n{signed}'
    with (
        served_broken(tmp_path, redis_url, "config/settings.py", signed, engine) as server,
        pytest.raises(AssertionError),
    ):
        check_sessions(server)
