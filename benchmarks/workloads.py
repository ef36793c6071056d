"""The workloads: each sends one kind of request to a server and returns numbers."""

import base64
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.request import Request, urlopen

import itsdangerous
import uvloop

from benchmarks.clients import at_once, latencies, throughput
from benchmarks.contenders import (
    BARE,
    BOLT_BARE,
    BROADCAST_PARTS,
    FASTAPI,
    LITESTAR,
    NO_MIDDLEWARE,
    ON_GRANIAN,
    SAME_WORK,
    SECRET_KEY,
    SERVICE,
    SESSION_KEY,
    STARTPROJECT,
    WITHOUT_AIOHTTP,
    WITHOUT_DIRECT_PATH,
    WITHOUT_LOOP_ORM,
    WITHOUT_POOL,
    WITHOUT_WORKER_POOL,
)
from benchmarks.listeners import broadcast_seconds
from benchmarks.processes import MeasuredServer

WARM_UP = 1  # seconds of load before a measurement
# The number of requests that sleep at once. The last one must begin before the first one ends.
SLEEPERS = 500
SLEEP = 5.0  # seconds
SOCKETS = 1_000
BROADCASTS = 20
HELLO = {"message": "Hello"}

# The results of a workload by metric: {"requests per second": 4321.0}.
type Measurement = dict[str, float]
# Loads a server for about this many seconds, or for as long as the workload takes.
type Measure = Callable[[MeasuredServer, float], Measurement]


@dataclass(frozen=True)
class Workload:
    """A function that measures a server, and the names of the contenders that it measures."""

    measure: Measure
    contenders: tuple[str, ...]


def check(url: str, answer: dict[str, object], **headers: str) -> None:
    """Raise ValueError if a URL does not respond with `answer` as JSON, which is the same for every contender."""
    with urlopen(Request(url, headers=headers), timeout=30) as response:
        if (answered := json.load(response)) != answer:
            raise ValueError(f"{url} answered {answered}, not {answer}")


def requests(path: str, answer: dict[str, object], **headers: str) -> Measure:
    """Return a function that measures requests to a path.

    The metrics are `requests per second`, `cpu` seconds of the server per request, and the server's peak of
    `processes` and `threads`.
    """

    def measure(server: MeasuredServer, seconds: float) -> Measurement:
        url = server.url + path
        check(url, answer, **headers)
        usage = server.usage_during(partial(throughput, url, WARM_UP, headers))
        before = server.cpu_time()
        count, rate = throughput(url, seconds, headers)
        cpu = (server.cpu_time() - before) / count
        return {"requests per second": rate, "cpu": cpu, "processes": usage.processes, "threads": usage.threads}

    return measure


def signed(session: dict[str, str]) -> str:
    """Return a session as the cookie of starlette's SessionMiddleware."""
    return itsdangerous.TimestampSigner(SECRET_KEY).sign(base64.b64encode(json.dumps(session).encode())).decode()


def fan_out(clients: int) -> Measure:
    """Return a function that measures the median `latency` in seconds for a number of concurrent clients.

    Each request makes the server call another server 10 times, for 0.1 s each.
    """

    def measure(server: MeasuredServer, seconds: float) -> Measurement:
        url = f"{server.url}/fan-out"
        check(url, {"answers": 10})
        uvloop.run(latencies(url, clients, WARM_UP))
        return {"latency": statistics.median(uvloop.run(latencies(url, clients, seconds)))}

    return measure


def sleepers(server: MeasuredServer, seconds: float) -> Measurement:
    """Return the `threads` and the bytes of resident `memory` that a server gains while requests sleep.

    Raises RuntimeError if the requests did not all sleep at the same time.
    """
    check(f"{server.url}/sleep?seconds=0", HELLO)
    # Warm up with one client. The threads for many clients would still run when `usage` is called.
    uvloop.run(latencies(f"{server.url}/json", 1, WARM_UP))
    before = server.usage()
    started = time.perf_counter()
    peak = server.usage_during(lambda: uvloop.run(at_once(f"{server.url}/sleep?seconds={SLEEP}", SLEEPERS)))
    if time.perf_counter() - started > 2 * SLEEP:
        raise RuntimeError("the last request began after the first had ended")
    return {"threads": peak.threads - before.threads, "memory": peak.memory - before.memory}


def broadcast(server: MeasuredServer, seconds: float) -> Measurement:
    """Return the median `delay` in seconds until the last WebSocket has a text, and the `cpu` seconds per text.

    Other load on the machine hardly changes the CPU time.
    """
    delays, cpu = uvloop.run(broadcast_seconds(server, "/ws/products/", HELLO, SOCKETS, BROADCASTS))
    return {"delay": statistics.median(delays), "cpu": cpu}


# The contenders of fan-out and sleep. Each of the others behaves as one of these.
WAITING = (STARTPROJECT, BOLT_BARE, FASTAPI, LITESTAR, SERVICE)
WORKLOADS = {
    "json": Workload(
        requests("/json", HELLO),
        (*SAME_WORK, *NO_MIDDLEWARE, WITHOUT_DIRECT_PATH, WITHOUT_WORKER_POOL, ON_GRANIAN),
    ),
    "row": Workload(
        requests("/row", {"id": 1, "name": "Hello"}),
        (
            *SAME_WORK,
            *(name for name in NO_MIDDLEWARE if name != BARE),
            WITHOUT_LOOP_ORM,
            WITHOUT_DIRECT_PATH,
            WITHOUT_WORKER_POOL,
            WITHOUT_POOL,
            ON_GRANIAN,
        ),
    ),
    "session": Workload(
        requests("/session", {"key": "Hello"}, Cookie=f"sessionid={SESSION_KEY}; session={signed({'key': 'Hello'})}"),
        (*SAME_WORK, WITHOUT_LOOP_ORM),
    ),
    "fan-out-1": Workload(fan_out(clients=1), WAITING),
    "fan-out-32": Workload(
        fan_out(clients=32),
        (*WAITING, WITHOUT_DIRECT_PATH, WITHOUT_WORKER_POOL, WITHOUT_AIOHTTP, ON_GRANIAN),
    ),
    "sleepers": Workload(sleepers, WAITING),
    "broadcast": Workload(broadcast, (FASTAPI, BARE, SERVICE, *BROADCAST_PARTS)),
}
