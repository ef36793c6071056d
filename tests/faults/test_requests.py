"""Requests with refused headers, requests over the timeout, and code that outlives its request."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from devtools.matrix import SERVERS, all_on
from devtools.production import served
from devtools.rendering import render
from devtools.servers import Server, processes
from tests.support.probing import PROBE
from tests.support.raw_http import HOST, connected, outcome

REQUEST_TIMEOUT = 2  # seconds
SLACK = 5  # seconds that a busy machine may add
FOREVER = 30  # seconds: much longer than both
MAX_SIZE = 10 * 1024 * 1024
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}


class Probed(Server):
    """A server with the probe, and the file to which the probe writes notes."""

    notes: Path

    def wait_for_note(self, note: str) -> None:
        """Wait until the probe has written a note. Raises AssertionError as `wait_for` does."""
        wait_for(lambda: note in self.notes.read_text(encoding="utf-8").splitlines(), note)


def wait_for(condition: Callable[[], bool], name: str) -> None:
    """Wait until a condition holds. Raises AssertionError with its name after 15 seconds."""
    deadline = time.monotonic() + 10 + SLACK
    while not condition():
        assert time.monotonic() < deadline, name
        time.sleep(0.05)


def wait_for_failures(server: Server, number: int) -> None:
    """Wait until a number of failures of the probe are in the log."""
    wait_for(lambda: server.log.count("ZeroDivisionError: failed late") == number, "the error is logged")


@contextmanager
def served_with_probe(directory: Path, asgi_server: str, redis_url: str, *middleware: str) -> Iterator[Probed]:
    """Serve a service on SQLite with the probe's views, and with some of its middleware innermost."""
    answers = all_on(asgi_server) | {"use_postgres": False}
    service = render(answers, directory)
    shutil.copytree(PROBE, service / "probe")
    with (service / "config" / "urls.py").open("a") as urls:
        urls.write('urlpatterns += [path("probe/", include("probe.requests"))]\n')
    with (service / "config" / "settings.py").open("a") as settings:
        settings.write(f"MIDDLEWARE += {[f'probe.requests.{name}' for name in middleware]}\n")
        # `manage.py check` warns about the synchronous one.
        settings.write('SILENCED_SYSTEM_CHECKS += ["runtime.W001"]\n')
    notes = directory / "notes"
    notes.touch()
    limits = {"REQUEST_TIMEOUT": str(REQUEST_TIMEOUT), "PROBE_NOTES": str(notes)}
    with served(service, answers, None, redis_url, None, **limits) as server:
        probed = Probed(server.url, server.process, server.log_file, server.expected_log)
        probed.notes = notes
        yield probed
        # The test has caused all warnings, and checks the important ones.
        server.expected_log.append(server.log)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path, redis_url: str) -> Iterator[Probed]:
    """Serve a service with the probe."""
    with served_with_probe(tmp_path, request.param, redis_url) as server:
        yield server


def lines(server: Server, words: str) -> list[str]:
    """Return the lines of the log that contain some words."""
    return [line for line in server.log.splitlines() if words in line]


def upload(size: int) -> tuple[bytes, bytes]:
    """Return the content type and the body of a form with a file."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    return b"multipart/form-data; boundary=x", head + b"f" * size + b"\r\n--x--\r\n"


BODIES = [
    (b"application/json", b"b" * 1000, "body of 1000 bytes"),
    (*upload(1000), "file of 1000 bytes"),
]


@pytest.mark.parametrize("disconnects", [True, False], ids=["client disconnects", "request timeout"])
def test_view_that_outlives_its_request_can_read_the_body(server: Probed, disconnects: bool) -> None:
    for number, (kind, body, found) in enumerate(BODIES, 1):
        server.notes.write_text("", encoding="utf-8")
        head = b"POST /probe/read_late/?seconds=%d HTTP/1.1\r\n" % (REQUEST_TIMEOUT + 1)
        head += HOST + b"X-Request-ID: outlived\r\nContent-Type: " + kind
        head += b"\r\nContent-Length: %d\r\n\r\n" % len(body)
        with connected(server.url, REQUEST_TIMEOUT + SLACK) as connection:
            connection.send(head + body)
            server.wait_for_note("started")
            if not disconnects:
                assert outcome(connection.receive(until=b"\r\n\r\n")) == 504
        server.wait_for_note(found)
        wait_for_failures(server, number)
    assert "I/O operation on closed file" not in server.log
    failed = lines(server, "A blocking call failed after its request was cancelled")
    assert [line for line in failed if " ERROR runtime.threads.executors [outlived] " in line] == failed
    assert len(failed) == 2
    assert httpx.get(f"{server.url}/health/ready").status_code == 200


def check_timeout(server: Server, path: str, **headers: str) -> None:
    """Check that a request gets a 504 after the timeout, with one line in the log."""
    started = time.monotonic()
    headers |= {"X-Request-ID": "too-slow"}
    before = len(lines(server, "Gateway Timeout"))
    response = httpx.get(server.url + path, headers=headers, timeout=FOREVER)
    seconds = time.monotonic() - started
    assert response.status_code == 504, response.text
    assert response.json() == {"error": "The request took too long."}
    assert REQUEST_TIMEOUT <= seconds < REQUEST_TIMEOUT + SLACK
    assert response.headers["X-Request-ID"] == "too-slow"
    for name, value in SECURITY_HEADERS.items():
        assert response.headers[name] == value
    logged = lines(server, "Gateway Timeout")[before:]
    assert len(logged) == 1
    reason = f"no response within {REQUEST_TIMEOUT} s (REQUEST_TIMEOUT)"
    assert f"[too-slow] Gateway Timeout: {path.partition('?')[0]}: {reason}" in logged[0]


@pytest.mark.parametrize("asgi_server", SERVERS)
def test_request_timeout_includes_the_middleware(tmp_path: Path, redis_url: str, asgi_server: str) -> None:
    with served_with_probe(tmp_path, asgi_server, redis_url, "SlowMiddleware") as server:
        for header in ("X-Wait-Before", "X-Wait-After"):
            check_timeout(server, "/health/live", **{header: str(FOREVER)})
        assert httpx.get(f"{server.url}/health/live", headers={"X-Wait-After": "0.1"}).status_code == 200
        # The timeout includes a blocking view, whose thread goes on.
        check_timeout(server, f"/probe/block/?seconds={REQUEST_TIMEOUT + SLACK + 3}")
        server.wait_for_note("blocked no longer")


@pytest.mark.parametrize("asgi_server", SERVERS)
def test_request_timeout_holds_below_synchronous_middleware(tmp_path: Path, redis_url: str, asgi_server: str) -> None:
    with served_with_probe(tmp_path, asgi_server, redis_url, "synchronous") as server:
        check_timeout(server, f"/probe/block/?seconds={REQUEST_TIMEOUT + SLACK + 3}")
        server.wait_for_note("blocked no longer")
        assert httpx.get(f"{server.url}/probe/block/?seconds=0.1").text == "done"


@pytest.mark.parametrize("asgi_server", SERVERS)
def test_request_attribute_of_a_middleware_is_not_overwritten(tmp_path: Path, redis_url: str, asgi_server: str) -> None:
    with served_with_probe(tmp_path, asgi_server, redis_url, "sets_attribute") as server:
        assert httpx.get(f"{server.url}/probe/own_attribute/").json() == {"deadline": "tomorrow"}


def test_task_can_query_after_its_request_has_ended(server: Probed) -> None:
    assert httpx.get(f"{server.url}/probe/start_task/").text == "started"
    # The only user is the superuser.
    wait_for(lambda: server.notes.read_text(encoding="utf-8") == "1 users\n" * 2, "the task has counted twice")
    assert "RuntimeError" not in server.log


def response_to(server: Server, request: bytes) -> bytes:
    """Send the bytes of a request; return the response until the server closes the connection."""
    with connected(server.url, 10) as connection:
        connection.send(request)
        return connection.receive()


CLOSE = b"Connection: close\r\n"


def test_health_paths_accept_any_host_and_other_paths_only_allowed_hosts(server: Probed) -> None:
    live, ready = b"GET /health/live HTTP/1.1\r\n", b"GET /health/ready HTTP/1.1\r\n"
    for start in (live, ready):
        for host in (b"localhost", b"10.1.2.3:8000", b"[fd00::1]", b"evil.example", b"a_b"):
            assert outcome(response_to(server, start + b"Host: " + host + b"\r\n" + CLOSE + b"\r\n")) == 200, host
        assert outcome(response_to(server, start + CLOSE + b"\r\n")) == 400, "no Host"
        assert outcome(response_to(server, start + HOST + HOST + CLOSE + b"\r\n")) == 400, "two Host headers"
    assert outcome(response_to(server, b"GET /health/live HTTP/1.0\r\n\r\n")) == 200
    for path in (b"/", b"/health/livecheck", b"/health/live/", b"/api/products/"):
        request = b"GET " + path + b" HTTP/1.1\r\nHost: evil.example\r\n" + CLOSE + b"\r\n"
        assert outcome(response_to(server, request)) == 400, path


def test_request_refused_for_its_headers_gets_no_100_continue(server: Probed) -> None:
    expect = b"Expect: 100-continue\r\nX-Request-ID: refused\r\n"
    start = b"POST /api/products/ HTTP/1.1\r\n"
    refused = {
        "wrong host": (start + b"Host: evil.example\r\n" + expect + b"Content-Length: 10\r\n\r\n", 400),
        "no host": (start + expect + b"Content-Length: 10\r\n\r\n", 400),
        "two hosts": (start + HOST + HOST + expect + b"Content-Length: 10\r\n\r\n", 400),
        "too long": (start + HOST + expect + b"Content-Length: %d\r\n\r\n" % (MAX_SIZE + 1), 413),
    }
    for name, (request, status) in refused.items():
        before = len(server.log.splitlines())
        answer = response_to(server, request)
        assert b"100 Continue" not in answer, (name, answer)
        assert outcome(answer) == status, (name, answer)
        head = answer.partition(b"\r\n\r\n")[0].decode().lower()
        assert "x-request-id: refused" in head, (name, answer)
        for header, value in SECURITY_HEADERS.items():
            assert f"{header}: {value}".lower() in head, (name, answer)
        [logged] = [line for line in server.log.splitlines()[before:] if " django.request " in line]
        assert "WARNING django.request [refused] " in logged, name
        assert "/api/products/: " in logged
    # An accepted request gets it.
    with connected(server.url, 10) as connection:
        connection.send(start + HOST + expect + b"Content-Type: text/plain\r\nContent-Length: 10\r\n\r\n")
        assert connection.receive(until=b"\r\n\r\n").startswith(b"HTTP/1.1 100 Continue")


def test_late_body_is_refused_with_the_request_id_of_the_client(server: Probed) -> None:
    with connected(server.url, 40) as connection:
        connection.send(b"POST / HTTP/1.1\r\n" + HOST + b"X-Request-ID: late\r\nContent-Length: 10\r\n\r\n")
        answer = connection.receive().lower()
    assert outcome(answer.replace(b"http", b"HTTP", 1)) == 408
    assert b"x-request-id: late" in answer
    assert b"x-content-type-options: nosniff" in answer
    assert lines(server, "WARNING django.request [late] Request Timeout: /: ")


def test_body_that_cannot_be_stored_gets_503(server: Probed) -> None:
    # Files are limited to 1 MB, which has the effect of a full disk.
    for process in processes(server):
        process.rlimit(psutil.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    size = 4_000_000
    head = b"POST /api/products/ HTTP/1.1\r\n" + HOST + b"X-Request-ID: stored\r\n"
    for framing, body in (
        (b"Content-Length: %d\r\n\r\n" % size, b"x" * size),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n" % size + b"x" * size + b"\r\n0\r\n\r\n"),
    ):
        with connected(server.url, 20) as connection:
            connection.send(head + framing + body)
            answer = connection.receive(until=b"Try again")
        assert outcome(answer) == 503, answer
        assert b"retry-after: 30" in answer.lower()
    logged = lines(server, "Service Unavailable: /api/products/: cannot store a body of more than 2621440 bytes")
    assert len(logged) == 2
    assert re.search(r"\[stored\] .* File too large\. Provide a writable temporary directory", logged[0])
    assert "Traceback" not in server.log
    assert httpx.get(f"{server.url}/health/live").status_code == 200
