"""The clients: `wrk` for throughput, and small ones of our own for what it cannot measure."""

import asyncio
import re
import subprocess
import time

import aiohttp

CONNECTIONS = 32
# Seconds after which a request counts as lost.
TIMEOUT = aiohttp.ClientTimeout(total=60)


class LoadError(Exception):
    """Requests that failed: what was measured is not what was meant."""


def throughput(url: str, seconds: float, headers: dict[str, str]) -> tuple[int, float]:
    """Return the requests that `wrk` makes on `CONNECTIONS` connections, and how many a second.

    Raises LoadError if any fails.
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
    """Return the seconds that each request takes, of clients that ask again as soon as they have their answer.

    None asks after `seconds`, but each asks once at least. Raises an exception group if a request fails.
    """
    deadline = time.perf_counter() + seconds
    taken: list[float] = []

    async def ask_again_and_again() -> None:
        ended = 0.0
        while ended < deadline:
            started = time.perf_counter()
            await get(session, url)
            ended = time.perf_counter()
            taken.append(ended - started)

    async with new_session() as session, asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(ask_again_and_again())
    return taken


async def at_once(url: str, count: int) -> None:
    """Make as many requests, all open at the same time. Raises as `latencies` does."""
    async with new_session() as session, asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(get(session, url))


def new_session() -> aiohttp.ClientSession:
    """Return an HTTP client that opens as many connections as it has requests."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=TIMEOUT, raise_for_status=True)


async def get(session: aiohttp.ClientSession, url: str) -> bytes:
    """Return the body of a URL that answers 2xx."""
    async with session.get(url) as response:
        return await response.read()
