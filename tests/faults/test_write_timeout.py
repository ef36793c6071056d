"""Clients that stop reading a response: they are disconnected, and the application stops making the response."""

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

# Seconds that the service is set to, and seconds in which it must have acted on a busy machine.
WRITE_TIMEOUT = 1.0
DEADLINE = 15.0
MEBIBYTE = 1024 * 1024
PLAIN_SIZE = 20 * MEBIBYTE
# Two views with long responses, and one that needs a thread. `flood` holds a thread, and notes its end in a file.
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
def serving_floods(name: str, directory: Path, *, timeout: float = WRITE_TIMEOUT) -> Iterator[tuple[Server, Path]]:
    """Serve a service with two threads and with VIEWS; yield it, and the folder it runs in."""
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
        # granian tells of each message to a client that has gone.
        server.expected_log += re.findall(r".*\[INFO\] ASGI transport error: .*", server.log)


def client_of(server: Server, request: bytes) -> socket.socket:
    """Return a connection whose client has read the beginning of the response to a request."""
    client = socket.socket()
    # The kernel keeps little of what the client does not read.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    client.settimeout(DEADLINE)
    client.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
    client.sendall(request)
    assert b" 200 OK" in client.recv(1_024)
    return client


def get(path: str, headers: str = "") -> bytes:
    """Return a request."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode()


def connections(server: Server) -> int:
    """Return how many connections of clients a server's processes have."""
    port = int(server.url.rpartition(":")[2])
    count = 0
    for process in processes(server):
        for connection in process.net_connections("tcp"):
            count += connection.laddr.port == port and connection.status != psutil.CONN_LISTEN
    return count


def wait_until(condition: str, server: Server, service: Path, *, closed: int = 0) -> None:
    """Return once the server has no connections, and as many streams are closed; raise AssertionError at the end."""
    deadline = time.monotonic() + DEADLINE
    while True:
        notes = service / "closed"
        lines = len(notes.read_text().splitlines()) if notes.exists() else 0
        count = connections(server)
        if not count and lines >= closed:
            return
        assert time.monotonic() < deadline, f"{condition}: {count} connections, {lines} streams closed"
        time.sleep(0.1)


@on_each_server
def test_a_client_that_stops_reading_a_stream_is_disconnected(name: str, tmp_path: Path) -> None:
    with serving_floods(name, tmp_path) as (server, service):
        clients = [client_of(server, get("/flood/")) for _ in range(2)]
        wait_until("streams", server, service, closed=2)
        # The two threads are free again.
        assert httpx.get(f"{server.url}/query/", timeout=DEADLINE).json() == {"users": 1}
        for client in clients:
            # The client sees that the response is not complete.
            with suppress(ConnectionResetError):
                while part := client.recv(65_536):
                    assert b"0\r\n\r\n" not in part
            client.close()


@on_each_server
@pytest.mark.parametrize("headers", ["", "Connection: close\r\n"], ids=["keep-alive", "close"])
def test_a_client_that_stops_reading_a_complete_response_is_disconnected(
    name: str, headers: str, tmp_path: Path
) -> None:
    with serving_floods(name, tmp_path) as (server, service), closing(client_of(server, get("/plain/", headers))):
        wait_until("complete responses", server, service)


@on_each_server
def test_a_client_that_pipelines_and_stops_reading_is_disconnected(name: str, tmp_path: Path) -> None:
    with serving_floods(name, tmp_path) as (server, service):
        with closing(client_of(server, get("/flood/") + get("/plain/"))):
            wait_until("pipelined requests", server, service, closed=1)
        # The application is told too when such a client leaves by itself.
        client_of(server, get("/flood/") + get("/plain/")).close()
        wait_until("a client that left", server, service, closed=2)


@on_each_server
def test_a_client_that_reads_slowly_gets_the_whole_response(name: str, tmp_path: Path) -> None:
    with serving_floods(name, tmp_path) as (server, _):
        with closing(client_of(server, get("/plain/", "Connection: close\r\n"))) as client:
            read = 0
            started = time.monotonic()
            # The buffers of the kernel are so large that the server itself can write only every few seconds.
            while time.monotonic() - started < 8 * WRITE_TIMEOUT:
                time.sleep(0.05)
                read += len(client.recv(16_384))
            assert read < PLAIN_SIZE / 2
            while part := client.recv(65_536):
                read += len(part)
        assert PLAIN_SIZE - 1_024 <= read <= PLAIN_SIZE


def test_a_service_without_a_write_timeout_is_noticed(tmp_path: Path) -> None:
    with (
        serving_floods("uvicorn", tmp_path, timeout=1_000.0) as (server, service),
        closing(client_of(server, get("/plain/"))),
        pytest.raises(AssertionError, match="1 connections"),
    ):
        wait_until("complete responses", server, service)
