"""Clients that stop reading a response: the server disconnects them, and the application stops its stream."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from devtools.matrix import all_off
from devtools.production import served
from devtools.rendering import break_source, render
from devtools.servers import Server, processes

WRITE_TIMEOUT = 1.0  # seconds, of the service
TIMEOUT = 15.0  # seconds, for a busy machine
MEBIBYTE = 1024 * 1024
PLAIN_SIZE = 20 * MEBIBYTE
# Two views with long responses, and one that needs a thread. `flood` holds a thread, and writes its end to a file.
VIEWS = f"""
import asyncio
from pathlib import Path

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path


async def parts():
    try:
        while True:
            yield b"x" * {MEBIBYTE}
            await sync_to_async(int)()
    finally:
        with Path("closed").open("a") as notes:
            notes.write("closed\\n")


async def flood(request):
    return StreamingHttpResponse(parts())


async def plain(request):
    return HttpResponse(b"x" * {PLAIN_SIZE})


async def query(request):
    return JsonResponse({{"users": await get_user_model().objects.acount()}})


urlpatterns = [path(f"{{view.__name__}}/", view) for view in (flood, plain, query)]
"""

on_each_server = pytest.mark.parametrize("name", ["uvicorn", "granian"])


@contextmanager
def served_with_floods(name: str, directory: Path, *, timeout: float = WRITE_TIMEOUT) -> Iterator[tuple[Server, Path]]:
    """Serve a service with VIEWS and two threads; yield its server and its folder."""
    answers = all_off(name)
    service = render(answers, directory)
    break_source(service, "config/settings.py", "MAX_THREADS = 20", "MAX_THREADS = 2")
    old = "RESPONSE_WRITE_TIMEOUT = 30.0"
    if timeout != 30 and old in (service / "config" / "settings.py").read_text(encoding="utf-8"):
        break_source(service, "config/settings.py", old, f"RESPONSE_WRITE_TIMEOUT = {timeout}")
    (service / "floods.py").write_text(VIEWS)
    with (service / "config" / "urls.py").open("a") as urls:
        urls.write('\nfrom django.urls import include\nurlpatterns += [path("", include("floods"))]\n')
    with served(service, answers, None, None) as server:
        yield server, service
        # granian logs each message to a client that has disconnected.
        server.expected_log += re.findall(r".*\[INFO\] ASGI transport error: .*", server.log)


def connect_and_stop_reading(server: Server, request: bytes) -> socket.socket:
    """Return a connection whose client has read only the beginning of a response."""
    client = socket.socket()
    # A small receive buffer, so that the kernel stores little of the response.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    client.settimeout(TIMEOUT)
    client.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
    client.sendall(request)
    assert b" 200 OK" in client.recv(1_024)
    return client


def get(path: str, headers: str = "") -> bytes:
    """Return a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode()


def connections(server: Server) -> int:
    """Return the number of connections of a server with clients."""
    port = int(server.url.rpartition(":")[2])
    count = 0
    for process in processes(server):
        for connection in process.net_connections("tcp"):
            count += connection.laddr.port == port and connection.status != psutil.CONN_LISTEN
    return count


def wait_until_disconnected(clients: str, server: Server, service: Path, *, closed: int = 0) -> None:
    """Wait until the server has no connections and has closed a number of streams.

    Raises AssertionError with the description of the clients after TIMEOUT.
    """
    deadline = time.monotonic() + TIMEOUT
    while True:
        notes = service / "closed"
        lines = len(notes.read_text().splitlines()) if notes.exists() else 0
        count = connections(server)
        if not count and lines >= closed:
            return
        assert time.monotonic() < deadline, f"{clients}: {count} connections, {lines} streams closed"
        time.sleep(0.1)


@on_each_server
def test_client_that_stops_reading_a_stream_is_disconnected(name: str, tmp_path: Path) -> None:
    with served_with_floods(name, tmp_path) as (server, service):
        clients = [connect_and_stop_reading(server, get("/flood/")) for _ in range(2)]
        wait_until_disconnected("streams", server, service, closed=2)
        # The two threads are available again.
        assert httpx.get(f"{server.url}/query/", timeout=TIMEOUT).json() == {"users": 1}
        for client in clients:
            # The client sees that the response is not complete.
            with suppress(ConnectionResetError):
                while part := client.recv(65_536):
                    assert b"0\r\n\r\n" not in part
            client.close()


@on_each_server
@pytest.mark.parametrize("headers", ["", "Connection: close\r\n"], ids=["keep-alive", "close"])
def test_client_that_stops_reading_a_complete_response_is_disconnected(name: str, headers: str, tmp_path: Path) -> None:
    with (
        served_with_floods(name, tmp_path) as (server, service),
        closing(connect_and_stop_reading(server, get("/plain/", headers))),
    ):
        wait_until_disconnected("complete responses", server, service)


@on_each_server
def test_client_that_pipelines_and_stops_reading_is_disconnected(name: str, tmp_path: Path) -> None:
    with served_with_floods(name, tmp_path) as (server, service):
        with closing(connect_and_stop_reading(server, get("/flood/") + get("/plain/"))):
            wait_until_disconnected("pipelined requests", server, service, closed=1)
        # The application is also notified when such a client disconnects.
        connect_and_stop_reading(server, get("/flood/") + get("/plain/")).close()
        wait_until_disconnected("a client that left", server, service, closed=2)


@on_each_server
def test_client_that_reads_slowly_gets_the_whole_response(name: str, tmp_path: Path) -> None:
    with served_with_floods(name, tmp_path) as (server, _):
        with closing(connect_and_stop_reading(server, get("/plain/", "Connection: close\r\n"))) as client:
            read = 0
            started = time.monotonic()
            # The buffers of the kernel are large, so the server can write only every few seconds.
            while time.monotonic() - started < 8 * WRITE_TIMEOUT:
                time.sleep(0.05)
                read += len(client.recv(16_384))
            assert read < PLAIN_SIZE / 2
            while part := client.recv(65_536):
                read += len(part)
        assert PLAIN_SIZE - 1_024 <= read <= PLAIN_SIZE


def test_disconnect_check_fails_without_a_write_timeout(tmp_path: Path) -> None:
    with (
        served_with_floods("uvicorn", tmp_path, timeout=1_000.0) as (server, service),
        closing(connect_and_stop_reading(server, get("/plain/"))),
        pytest.raises(AssertionError, match="1 connections"),
    ):
        wait_until_disconnected("complete responses", server, service)
