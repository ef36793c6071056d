"""Many clients at once: how many threads and connections a service takes for them, and that it gives them all back."""

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

# What a service has at most, and the seconds after which those that are idle have ended.
MAX_THREADS = 20
LINGER = 12
# Seconds of a slow query.
SLOW = 1.0


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path, database_url: str, redis_url: str) -> Iterator[Server]:
    """Serve a service with every toggle on, and the probe."""
    answers = all_on(request.param)
    with served(render_with_probe(answers, tmp_path), answers, database_url, redis_url) as server:
        yield server


# The servers of the longest tests: `make thorough` runs them on all.
on_few_servers = pytest.mark.parametrize(
    "server", [SERVERS[0], *(pytest.param(name, marks=pytest.mark.thorough) for name in SERVERS[1:])], indirect=True
)


def threads(server: Server) -> int:
    """Return how many threads a server's processes have."""
    return sum(process.num_threads() for process in processes(server))


def connections(database_url: str) -> int:
    """Return how many connections to a database others have."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with psycopg.connect(database_url) as connection:
        [[count]] = connection.execute(query)
    return int(count)


@asynccontextmanager
async def client(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    """Open as many connections to a server as there are requests at once."""
    async with aiohttp.ClientSession(server.url, connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


async def statuses(server: Server, path: str, times: int) -> Counter[int]:
    """Request a path so many times at once; return how often it answered with each status."""
    async with client(server) as session:

        async def get() -> int:
            async with session.get(path) as response:
                return response.status

        return Counter(await asyncio.gather(*(get() for _ in range(times))))


async def threads_for_sleepers(server: Server, seconds: float) -> int:
    """Return how many threads more a server has while 500 requests sleep, each for some seconds."""
    before = most = threads(server)
    asleep = asyncio.create_task(statuses(server, f"/probe/sleep/?seconds={seconds}", 500))
    while not asleep.done():
        most = max(most, threads(server))
        await asyncio.sleep(0.05)
    assert await asleep == {200: 500}
    return most - before


def test_requests_that_wait_on_the_loop_hold_no_thread(server: Server) -> None:
    assert asyncio.run(threads_for_sleepers(server, 2)) <= 5


def test_one_middleware_of_djangos_and_they_would(tmp_path: Path, database_url: str, redis_url: str) -> None:
    service = render_with_probe(all_on(), tmp_path)
    settings = service / "config" / "settings.py"
    theirs = settings.read_text(encoding="utf-8").replace(
        '"runtime.requests.middleware.Security', '"django.middleware.security.Security'
    )
    settings.write_text(theirs + 'SILENCED_SYSTEM_CHECKS += ["runtime.W002"]\n', encoding="utf-8")

    with served(service, all_on(), database_url, redis_url) as server:
        assert asyncio.run(threads_for_sleepers(server, 0.1)) > 5


@on_few_servers
def test_more_readers_than_the_database_has_connections_for(server: Server, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        [[limit]] = connection.execute("SHOW max_connections")
    assert int(limit) == 100

    assert asyncio.run(statuses(server, "/probe/read/", 1_000)) == {200: 1_000}
    assert connections(database_url) <= MAX_THREADS


def test_a_slow_query_of_one_socket_is_in_no_other_ones_way(server: Server) -> None:
    async def slow(number: int) -> None:
        url = f"{server.url.replace('http', 'ws')}/ws/slow/"
        async with connect(url, origin=Origin(server.url), open_timeout=TIMEOUT) as socket:
            await socket.send(str(SLOW))
            assert json.loads(await socket.recv()) == SLOW

    async def all_slow() -> None:
        await asyncio.gather(*map(slow, range(50)))

    started = time.monotonic()
    asyncio.run(all_slow())
    assert time.monotonic() - started < 50 * SLOW / 2


# The paths of the mixed requests, and what they answer.
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
# Every so many requests, the client does not wait for the answer.
IMPATIENT = 20


@on_few_servers
def test_thousands_of_requests_leave_nothing_behind(server: Server, database_url: str) -> None:
    paths = random.Random(0).choices(list(MIXED), k=4_000 * effort())  # noqa: S311 (the same ones every time)

    async def mixed(clients: int) -> None:
        numbered = enumerate(paths)
        async with client(server) as session:

            async def one_client() -> None:
                for number, path in numbered:
                    impatient = number % IMPATIENT == 0
                    timeout = aiohttp.ClientTimeout(total=0.005 if impatient else TIMEOUT)
                    try:
                        async with session.get(path, timeout=timeout, allow_redirects=False) as response:
                            await response.read()
                            assert response.status == MIXED[path], path
                    except TimeoutError:
                        assert impatient, path

            await asyncio.gather(*(one_client() for _ in range(clients)))

    # What a service keeps for the next requests it has after the first ones.
    asyncio.run(statuses(server, "/nowhere/", 100))
    asyncio.run(statuses(server, "/probe/query/?seconds=0.05", 100))
    time.sleep(LINGER)
    before = threads(server), connections(database_url)

    asyncio.run(mixed(clients=32))

    deadline = time.monotonic() + TIMEOUT
    while (left := (threads(server), connections(database_url))) > before:
        assert time.monotonic() < deadline, f"{left} threads and connections are left, {before} before"
        time.sleep(1)
