"""The messages of a WebSocket on each server: the service handles all of them on the event loop."""

import asyncio
from pathlib import Path

import pytest
from channels_redis.core import RedisChannelLayer

from devtools.matrix import SERVERS, all_on
from devtools.production import served
from devtools.rendering import break_source, render
from devtools.servers import Server
from tests.support.contract import open_socket, receive_message

# Prints a line for each call in a thread: of asgiref, of asyncio's default executor, and of any other executor.
REPORT_HOPS = """
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from runtime.threads.pool import WorkerPool


def reporting(function: Callable) -> Callable:
    def report(*args, **kwargs):
        print("a hop", flush=True)
        return function(*args, **kwargs)

    return report


WorkerPool.run = reporting(WorkerPool.run)
ThreadPoolExecutor.submit = reporting(ThreadPoolExecutor.submit)
"""


def hops_of_a_socket(service: Path, server_name: str, redis_url: str) -> int:
    """Return the number of hops of a socket with a handshake, ten frames, ten group messages and a close."""
    with (service / "config" / "asgi.py").open("a", encoding="utf-8") as file:
        file.write(REPORT_HOPS)
    with served(service, all_on(server_name) | {"use_postgres": False}, None, redis_url) as server:
        before = hops(server)
        with open_socket(server.url, "/ws/products/") as socket:
            for _ in range(10):
                socket.send('{"type": "ping"}')
                assert receive_message(socket) == {"type": "pong"}
            asyncio.run(send_to_feed(redis_url, 10))
            assert [receive_message(socket)["number"] for _ in range(10)] == list(range(10))
        return hops(server) - before


def hops(server: Server) -> int:
    return server.log.count("a hop")


async def send_to_feed(redis_url: str, count: int) -> None:
    """Send messages to the group of the product feed, as another process of the service does."""
    layer = RedisChannelLayer(hosts=[redis_url])
    for number in range(count):
        await layer.group_send("products", {"type": "product.saved", "text": f'{{"number": {number}}}'})
    await layer.close_pools()


@pytest.mark.parametrize("server_name", SERVERS)
def test_socket_makes_no_hops(server_name: str, tmp_path: Path, redis_url: str) -> None:
    service = render(all_on(server_name) | {"use_postgres": False}, tmp_path)

    assert hops_of_a_socket(service, server_name, redis_url) == 0


def test_socket_of_an_unwrapped_channels_consumer_makes_hops(tmp_path: Path, redis_url: str) -> None:
    service = render(all_on() | {"use_postgres": False}, tmp_path)
    routes = "[on_event_loop(route) for route in urlpatterns]"
    break_source(service, "runtime/websockets/application.py", routes, "urlpatterns")

    assert hops_of_a_socket(service, "uvicorn", redis_url) >= 21
