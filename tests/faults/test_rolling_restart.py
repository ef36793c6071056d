"""Rolling restarts under load: a deployment replaces the processes of a service one after the other.

HAProxy in front of them retries no request, so the clients see each one that a process does not answer.
"""

import asyncio
import itertools
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from devtools.matrix import SERVERS, Answers, all_off
from devtools.ports import free_port
from devtools.production import make_commands, prepare, production_environment
from devtools.rendering import break_source, render
from devtools.servers import Server, booted
from tests.support.probing import PROBE

CLIENTS = 8
PAUSE = 0.02  # seconds between a response and the next request of a client
PATHS = ("/health/live", "/api/products/", "/probe/sleep/?seconds=0.05", "/api/products/export/")
# It checks each process five times a second. Two results in a row change its state.
HAPROXY = """
global
    stats socket {socket}
defaults
    mode http
    retries 0
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout check 2s
frontend all
    bind 127.0.0.1:{port}
    default_backend processes
backend processes
    balance roundrobin
    option httpchk
    http-check send meth GET uri /health/ready hdr Host localhost
    http-check expect status 200
    default-server check inter 200ms fall 2 rise 2
    server p0 127.0.0.1:{processes[0]}
    server p1 127.0.0.1:{processes[1]}
"""
DELAY = 3  # seconds: several times longer than the health checks need, for a busy machine


class Load:
    """Clients that send requests without a pause, each on a persistent connection, and count the results."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.results: Counter[str] = Counter()
        self.stopped = asyncio.Event()

    async def run(self) -> None:
        """Send requests until stopped."""
        async with asyncio.TaskGroup() as clients:
            for number in range(CLIENTS):
                clients.create_task(self.run_client(number))

    async def run_client(self, number: int) -> None:
        """Send requests until stopped, without retries."""
        paths = itertools.islice(itertools.cycle(PATHS), number, None)
        async with httpx.AsyncClient(base_url=self.url, timeout=20) as client:
            while not self.stopped.is_set():
                try:
                    result = str((await client.get(next(paths))).status_code)
                except httpx.TransportError as error:
                    result = f"{type(error).__name__}: {error}"
                self.results[result] += 1
                await asyncio.sleep(PAUSE)


def under_load(url: str, restart: Callable[[], None]) -> Counter[str]:
    """Restart something while clients send requests; return the number of results by status or error."""

    async def both() -> Counter[str]:
        load = Load(url)
        running = asyncio.create_task(load.run())
        try:
            await asyncio.sleep(1)
            await asyncio.to_thread(restart)
            await asyncio.sleep(1)
        finally:
            load.stopped.set()
            await running
        return load.results

    return asyncio.run(both())


class Deployment:
    """Two processes of a service behind a load balancer. `booted` checks the exit status and the log of each."""

    def __init__(self, service: Path, answers: Answers, delay: float) -> None:
        self.environment = production_environment(answers, None, None) | {
            "DATABASE_URL": f"sqlite:///{service / 'db.sqlite3'}",
            "SHUTDOWN_DELAY": f"{delay}",
        }
        prepare(service, self.environment)
        # One folder per process, because each writes a log.
        self.folders = [shutil.copytree(service, service.with_name(f"process{number}")) for number in range(2)]
        self.ports = [free_port(), free_port()]
        self.port = free_port()
        # Not in the service's folder, because the path of a Unix socket must be short.
        self.folder = tempfile.TemporaryDirectory()
        self.socket = Path(self.folder.name) / "haproxy.sock"
        self.processes: list[ExitStack] = [ExitStack(), ExitStack()]

    @property
    def url(self) -> str:
        """The URL of the load balancer."""
        return f"http://localhost:{self.port}"

    def start(self, number: int) -> None:
        """Start one of the processes."""
        command = shlex.split(make_commands(self.folders[number], "serve", PORT=self.ports[number])[-1])
        process = booted(self.folders[number], "env", *command, port=self.ports[number], **self.environment)
        self.processes[number].enter_context(process)

    def replace(self, number: int) -> None:
        """Restart one of the processes, and wait until the load balancer sends it requests."""
        self.processes[number].close()
        self.start(number)
        self.wait_until_balanced()

    def replace_each_twice(self) -> None:
        """Replace each process twice, as two deployments do."""
        for number in (0, 1, 0, 1):
            self.replace(number)

    def wait_until_balanced(self) -> None:
        """Wait until the load balancer sends requests to both processes. Raises AssertionError after 20 seconds."""
        deadline = time.monotonic() + 20
        while self.states() != ["UP", "UP"]:
            assert time.monotonic() < deadline, self.states()
            time.sleep(0.1)

    def states(self) -> list[str]:
        """Return the states of the processes in the load balancer."""
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(self.socket))
            control.sendall(b"show stat\n")
            table = control.makefile().read()
        columns, *rows = [line.split(",") for line in table.removeprefix("# ").splitlines() if line]
        return [row[columns.index("status")] for row in rows if row[columns.index("svname")].startswith("p")]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run both processes and the load balancer."""
        config = self.socket.with_suffix(".cfg")
        config.write_text(HAPROXY.format(socket=self.socket, port=self.port, processes=self.ports), encoding="utf-8")
        with self.folder, self.processes[0], self.processes[1]:
            self.start(0)
            self.start(1)
            balancer = subprocess.Popen(["haproxy", "-db", "-f", str(config)])
            try:
                time.sleep(1)
                self.wait_until_balanced()
                yield
            finally:
                balancer.terminate()
                balancer.wait(timeout=10)


def render_for_load(name: str, directory: Path) -> tuple[Path, Answers]:
    """Render a service with the views of PATHS; return its folder and its answers."""
    answers = all_off(name) | {"use_async_views": True}
    service = render(answers, directory)
    shutil.copytree(PROBE, service / "probe")
    with (service / "config" / "urls.py").open("a") as urls:
        urls.write('urlpatterns += [path("probe/", include("probe.urls"))]\n')
    return service, answers


@pytest.mark.parametrize("name", SERVERS)
def test_rolling_restart_loses_no_request(name: str, tmp_path: Path) -> None:
    deployment = Deployment(*render_for_load(name, tmp_path), delay=DELAY)
    with deployment.running():
        results = under_load(deployment.url, deployment.replace_each_twice)
    assert set(results) == {"200"}, results
    assert results.total() > 1_000


@pytest.mark.parametrize(("delay", "ready"), [(0, True), (DELAY, False)], ids=["no delay", "ready until the end"])
def test_rolling_restart_loses_requests_without_a_drain(delay: float, ready: bool, tmp_path: Path) -> None:
    service, answers = render_for_load("uvicorn", tmp_path)
    if not ready:
        break_source(service, "runtime/requests/health.py", ".draining.is_set()", ".deadline_passed.is_set()")
    deployment = Deployment(service, answers, delay=delay)
    with deployment.running():
        results = under_load(deployment.url, deployment.replace_each_twice)
    assert results["503"] > 0, results


@pytest.mark.parametrize("name", ["uvicorn", "granian"])
def test_reload_of_the_workers_loses_no_request(name: str, tmp_path: Path) -> None:
    service, answers = render_for_load(name, tmp_path)
    environment = production_environment(answers, None, None) | {"SHUTDOWN_DELAY": f"{DELAY}", "WEB_CONCURRENCY": "2"}
    prepare(service, environment)
    port = free_port()
    command = shlex.split(make_commands(service, "serve", PORT=port)[-1])

    def replace_workers(server: Server) -> None:
        before = workers(server)
        os.kill(server.process.pid, signal.SIGHUP)
        deadline = time.monotonic() + 60
        while workers(server) & before:
            assert time.monotonic() < deadline, f"still has old workers:\n{server.log}"
            time.sleep(0.2)

    with booted(service, "env", *command, port=port, **environment) as server:
        results = under_load(server.url, lambda: replace_workers(server))
    assert set(results) == {"200"}, results


def workers(server: Server) -> set[int]:
    """Return the IDs of the worker processes of a server, without Python's resource tracker."""
    started = set()
    for child in psutil.Process(server.process.pid).children():
        with suppress(psutil.NoSuchProcess):  # the process has just ended
            if "resource_tracker" not in " ".join(child.cmdline()):
                started.add(child.pid)
    return started
