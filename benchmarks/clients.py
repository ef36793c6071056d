"""The clients: `wrk` for throughput, and small asynchronous clients for what it cannot measure."""

import asyncio
import re
import subprocess
import time

import aiohttp

CONNECTIONS = 32
TIMEOUT = aiohttp.ClientTimeout(total=60)  # seconds until a request counts as lost


class LoadError(Exception):
    """Some requests failed, so the measurement is invalid."""


def throughput(url: str, seconds: float, headers: dict[str, str]) -> tuple[int, float]:
    """Return the number of requests that `wrk` makes on `CONNECTIONS` connections, and the number per second.

    Raises LoadError if a request fails.
    """
    options = [f"--connections={CONNECTIONS}", "--threads=1", f"--duration={seconds:.0f}s"]
    options += [f"--header={name}: {value}" for name, value in headers.items()]
    command = ["wrk", *options, url]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 30).stdout
    failed = re.search(r"Non-2xx.*|Socket errors.*", printed)
    if failed:
        raise LoadError(failed[0])
    count, rate = (re.search(pattern, printed)[1] for pattern in (r"(\d+) requests in", r"Requests/sec: +([\d.]+)"))
    return int(count), float(rate)


async def latencies(url: str, clients: int, seconds: float) -> list[float]:
    """Return the durations of requests, in seconds. Each client sends the next request as soon as it has a response.

    Each client sends at least one request, and none after `seconds`. Raises an exception group if a request fails.
    """
    deadline = time.perf_counter() + seconds
    taken: list[float] = []

    async def send_requests() -> None:
        ended = 0.0
        while ended < deadline:
            started = time.perf_counter()
            await get(session, url)
            ended = time.perf_counter()
            taken.append(ended - started)

    async with new_session() as session, asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(send_requests())
    return taken


async def at_once(url: str, count: int) -> None:
    """Make `count` requests at the same time. Raises an exception group if a request fails."""
    async with new_session() as session, asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(get(session, url))


def new_session() -> aiohttp.ClientSession:
    """Return an HTTP client without a limit of connections."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=TIMEOUT, raise_for_status=True)


async def get(session: aiohttp.ClientSession, url: str) -> bytes:
    """Return the body of a response. Raises ClientResponseError for a status of 400 or more."""
    async with session.get(url) as response:
        return await response.read()
