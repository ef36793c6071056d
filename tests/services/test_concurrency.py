"""Many clients at once: the number of threads and connections that a service uses for them and releases afterwards."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psycopg
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Origin

from devtools.commands import TIMEOUT
from devtools.matrix import SERVERS, all_on
from devtools.production import served
from devtools.servers import Server, processes
from tests.support.effort import effort
from tests.support.probing import render_with_probe

pytestmark = pytest.mark.slow(40)

MAX_THREADS = 20  # of the thread pool, and so the most database connections
IDLE_TIMEOUT = 12  # seconds until idle threads and connections have ended
SLOW_QUERY = 1.0  # seconds


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path, database_url: str, redis_url: str) -> Iterator[Server]:
    """Serve a service with every toggle on, and the probe."""
    answers = all_on(request.param)
    with served(render_with_probe(answers, tmp_path), answers, database_url, redis_url) as server:
        yield server


# The longest tests run on one server; `make thorough` runs them on all.
on_one_server = pytest.mark.parametrize(
    "server", [SERVERS[0], *(pytest.param(name, marks=pytest.mark.thorough) for name in SERVERS[1:])], indirect=True
)


def threads(server: Server) -> int:
    """Return the number of threads of a server's processes."""
    return sum(process.num_threads() for process in processes(server))


def connections(database_url: str) -> int:
    """Return the number of connections to a database, except for that of this query."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with psycopg.connect(database_url) as connection:
        [[count]] = connection.execute(query)
    return int(count)


@asynccontextmanager
async def client(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a client session without a limit of connections."""
    async with aiohttp.ClientSession(server.url, connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


async def statuses(server: Server, path: str, times: int) -> Counter[int]:
    """Request a path concurrently; return the number of responses by status."""
    async with client(server) as session:

        async def get() -> int:
            async with session.get(path) as response:
                return response.status

        return Counter(await asyncio.gather(*(get() for _ in range(times))))


async def threads_for_sleeping_requests(server: Server, seconds: float) -> int:
    """Return how many more threads a server has while 500 requests sleep on the event loop."""
    before = most = threads(server)
    asleep = asyncio.create_task(statuses(server, f"/probe/sleep/?seconds={seconds}", 500))
    while not asleep.done():
        most = max(most, threads(server))
        await asyncio.sleep(0.05)
    assert await asleep == {200: 500}
    return most - before


def test_requests_that_wait_on_the_event_loop_use_no_threads(server: Server) -> None:
    assert asyncio.run(threads_for_sleeping_requests(server, 2)) <= 5


def test_requests_below_sync_middleware_of_django_use_threads(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    service = render_with_probe(all_on(), tmp_path)
    settings = service / "config" / "settings.py"
    with_sync_middleware = settings.read_text(encoding="utf-8").replace(
        '"runtime.requests.middleware.Security', '"django.middleware.security.Security'
    )
    settings.write_text(with_sync_middleware + 'SILENCED_SYSTEM_CHECKS += ["runtime.W002"]\n', encoding="utf-8")

    with served(service, all_on(), database_url, redis_url) as server:
        assert asyncio.run(threads_for_sleeping_requests(server, 0.1)) > 5


@on_one_server
def test_1000_concurrent_reads_share_the_connections_of_the_pool(server: Server, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        [[limit]] = connection.execute("SHOW max_connections")
    assert int(limit) == 100

    assert asyncio.run(statuses(server, "/probe/read/", 1_000)) == {200: 1_000}
    assert connections(database_url) <= MAX_THREADS


def test_slow_queries_of_50_sockets_run_concurrently(server: Server) -> None:
    async def slow(number: int) -> None:
        url = f"{server.url.replace('http', 'ws')}/ws/slow/"
        async with connect(url, origin=Origin(server.url), open_timeout=TIMEOUT) as socket:
            await socket.send(str(SLOW_QUERY))
            assert json.loads(await socket.recv()) == SLOW_QUERY

    async def all_slow() -> None:
        await asyncio.gather(*map(slow, range(50)))

    started = time.monotonic()
    asyncio.run(all_slow())
    assert time.monotonic() - started < 50 * SLOW_QUERY / 2


# The paths of the mixed requests, and the statuses of their responses.
MIXED = {
    "/": 200,
    "/health/live": 200,
    "/health/ready": 200,
    "/api/products/": 200,
    "/api/products/export/": 200,
    "/api/products/1/": 404,
    "/api/users/count/": 401,
    "/nowhere/": 404,
    "/admin/": 302,
    "/probe/sleep/?seconds=0.01": 200,
    "/probe/query/?seconds=0.01": 200,
}
# Of every 20th request, the client waits only 5 ms for the response.
DISCONNECT_INTERVAL = 20


@on_one_server
def test_threads_and_connections_are_released_after_thousands_of_requests(server: Server, database_url: str) -> None:
    paths = random.Random(0).choices(list(MIXED), k=4_000 * effort())  # noqa: S311 (reproducible)

    async def mixed(clients: int) -> None:
        numbered = enumerate(paths)
        async with client(server) as session:

            async def one_client() -> None:
                for number, path in numbered:
                    disconnects = number % DISCONNECT_INTERVAL == 0
                    timeout = aiohttp.ClientTimeout(total=0.005 if disconnects else TIMEOUT)
                    try:
                        async with session.get(path, timeout=timeout, allow_redirects=False) as response:
                            await response.read()
                            assert response.status == MIXED[path], path
                    except TimeoutError:
                        assert disconnects, path

            await asyncio.gather(*(one_client() for _ in range(clients)))

    # The first requests start the threads and connections that a service keeps.
    asyncio.run(statuses(server, "/nowhere/", 100))
    asyncio.run(statuses(server, "/probe/query/?seconds=0.05", 100))
    time.sleep(IDLE_TIMEOUT)
    before = threads(server), connections(database_url)

    asyncio.run(mixed(clients=32))

    deadline = time.monotonic() + TIMEOUT
    while (left := (threads(server), connections(database_url))) > before:
        assert time.monotonic() < deadline, f"{left} threads and connections are left, {before} before"
        time.sleep(1)
