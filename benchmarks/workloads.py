"""What is measured: each workload asks one server for one thing, and says in numbers how it went."""

import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.request import Request, urlopen

import uvloop
from clients import at_once, latencies, throughput
from contenders import (
    BARE,
    BROADCAST_PARTS,
    FASTAPI,
    ON_GRANIAN,
    SERVICE,
    SESSION_KEY,
    STARTPROJECT,
    STARTPROJECT_POOL,
    WITHOUT_AIOHTTP,
    WITHOUT_DIRECT_PATH,
    WITHOUT_LOOP_ORM,
    WITHOUT_POOL,
    WITHOUT_WORKER_POOL,
)
from listeners import broadcast_seconds
from processes import Server

# Seconds of load before anything is counted.
WARM_UP = 1
# How many requests sleep at once, and for how many seconds: the last must begin before the first has ended.
SLEEPERS = 500
SLEEP = 5.0
SOCKETS = 1_000
BROADCASTS = 20

# What a workload found out, by the name of the metric: {"requests per second": 4321.0}.
type Measurement = dict[str, float]
# Loads a server for about so many seconds, or for as long as the workload takes.
type Measure = Callable[[Server, float], Measurement]


@dataclass(frozen=True)
class Workload:
    """How a server is measured, and the names of the contenders that are."""

    measure: Measure
    contenders: tuple[str, ...]


def requests(path: str, answer: dict[str, object], **headers: str) -> Measure:
    """Return a measurement of the `requests per second` to a path, which must give one certain JSON answer."""

    def measure(server: Server, seconds: float) -> Measurement:
        url = server.url + path
        with urlopen(Request(url, headers=headers), timeout=30) as response:
            if (answered := json.load(response)) != answer:
                raise ValueError(f"{path} answered {answered}, not {answer}")
        throughput(url, WARM_UP, headers)
        return {"requests per second": throughput(url, seconds, headers)}

    return measure


def fan_out(clients: int) -> Measure:
    """Return a measurement of the median `latency`, in seconds, that so many clients at once get.

    Each of their requests makes the server do 10 calls of 0.1 s.
    """

    def measure(server: Server, seconds: float) -> Measurement:
        url = f"{server.url}/fan-out"
        uvloop.run(latencies(url, clients, WARM_UP))
        return {"latency": statistics.median(uvloop.run(latencies(url, clients, seconds)))}

    return measure


def sleepers(server: Server, seconds: float) -> Measurement:
    """Return the `threads` and the bytes of resident `memory` that a server gains while requests sleep in it.

    It takes as long as they sleep. Raises RuntimeError if they were not all asleep at the same time.
    """
    # One client: the threads of many would still be there for a moment.
    uvloop.run(latencies(f"{server.url}/json", 1, WARM_UP))
    threads, memory = [server.process.num_threads()], [server.process.memory_info().rss]
    started = time.perf_counter()
    with ThreadPoolExecutor(1) as executor:
        sleeping = executor.submit(uvloop.run, at_once(f"{server.url}/sleep?seconds={SLEEP}", SLEEPERS))
        while not sleeping.done():
            threads.append(server.process.num_threads())
            memory.append(server.process.memory_info().rss)
            time.sleep(0.1)
    sleeping.result()
    if time.perf_counter() - started > 2 * SLEEP:
        raise RuntimeError("the last request began after the first had ended")
    return {"threads": max(threads) - threads[0], "memory": max(memory) - memory[0]}


def broadcast(server: Server, seconds: float) -> Measurement:
    """Return the median `delay`, in seconds, from a publication until the last of the WebSockets has it.

    And the `cpu` seconds that the server's process takes for a publication, which other load on the machine hardly
    changes.
    """
    delays, cpu = uvloop.run(broadcast_seconds(server, "/ws/products/", SOCKETS, BROADCASTS))
    return {"delay": statistics.median(delays), "cpu": cpu}


HELLO = {"message": "Hello"}
WORKLOADS = {
    "json": Workload(
        requests("/json", HELLO),
        (STARTPROJECT, FASTAPI, BARE, SERVICE, WITHOUT_DIRECT_PATH, WITHOUT_WORKER_POOL, ON_GRANIAN),
    ),
    "row": Workload(
        requests("/row", {"id": 1, "name": "Hello"}),
        (
            STARTPROJECT,
            STARTPROJECT_POOL,
            FASTAPI,
            SERVICE,
            WITHOUT_LOOP_ORM,
            WITHOUT_DIRECT_PATH,
            WITHOUT_WORKER_POOL,
            WITHOUT_POOL,
            ON_GRANIAN,
        ),
    ),
    "session": Workload(
        requests("/session", {"key": "Hello"}, Cookie=f"sessionid={SESSION_KEY}"),
        (STARTPROJECT, STARTPROJECT_POOL, SERVICE, WITHOUT_LOOP_ORM),
    ),
    "fan-out-1": Workload(fan_out(clients=1), (STARTPROJECT, FASTAPI, SERVICE)),
    "fan-out-32": Workload(
        fan_out(clients=32),
        (STARTPROJECT, FASTAPI, SERVICE, WITHOUT_DIRECT_PATH, WITHOUT_WORKER_POOL, WITHOUT_AIOHTTP, ON_GRANIAN),
    ),
    "sleepers": Workload(sleepers, (STARTPROJECT, FASTAPI, SERVICE)),
    "broadcast": Workload(broadcast, (FASTAPI, BARE, SERVICE, *BROADCAST_PARTS)),
}
