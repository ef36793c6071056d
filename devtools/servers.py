"""Start the real server of a service, stop it, and check its log."""

import contextlib
import http.client
import os
import re
import signal
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from devtools.commands import ENVIRONMENT, TIMEOUT

# For processes that must end with their server.
EXIT_TIMEOUT = 60  # seconds

# Warnings that a log may contain in every test:
EXPECTED = re.compile(
    # of Django, about requests of the tests that it refuses;
    r" WARNING (django\.(request|security\.csrf)|runtime\.auth\.logins)\b"
    # of the service, about a statement that PostgreSQL cancelled after its request was answered with 504;
    r"| WARNING runtime\.threads\.executors .* after its request was cancelled: canceling statement due to "
    # of uvicorn, about a request that is not HTTP,
    r"|Invalid HTTP request received\."
    # and about a WebSocket handshake with a service without WebSockets.
    r"| WARNING uvicorn\.error .*(Unsupported upgrade request\.|No supported WebSocket library detected\.)"
)
ALARMING = re.compile(r"\b(WARNING|ERROR|CRITICAL|Traceback|[A-Z]\w*Error|[A-Z]\w*Warning|never awaited|Unclosed)\b")


@dataclass
class Server:
    """A running server: its URL, its process and its log."""

    url: str
    process: subprocess.Popen[bytes]
    log_file: Path
    # Parts of the log that a test has caused on purpose.
    expected_log: list[str] = field(default_factory=list)

    @property
    def log(self) -> str:
        """The text that the server has written to standard output and standard error so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")


def processes(server: Server) -> list[psutil.Process]:
    """Return the processes of a server. The first one is the parent."""
    first = psutil.Process(server.process.pid)
    return [first, *first.children(recursive=True)]


def alarming_lines(log: str) -> list[str]:
    """Return the lines of a log that match ALARMING and not EXPECTED."""
    return [line for line in log.splitlines() if ALARMING.search(line) and not EXPECTED.search(line)]


@contextmanager
def started(
    folder: Path, *command: str, port: int, path: str = "/health/live", log: str = "server.log", **environment: str
) -> Iterator[Server]:
    """Start a server with a command in a folder; yield it, and kill its process group afterwards.

    Raises AssertionError if the server does not answer a request for the path with 200 within TIMEOUT.
    """
    log_file = folder / log
    with log_file.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=ENVIRONMENT | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
        )
    server = Server(f"http://127.0.0.1:{port}", process, log_file)
    try:
        wait_for_response(server, path)
        yield server
    finally:
        # The group includes workers and reloaded children.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def booted(service: Path, *command: str, port: int, **environment: str) -> Iterator[Server]:
    """Start a server with a command and yield it; then stop it, and check its exit status and its log.

    Raises AssertionError if it does not answer or stop within TIMEOUT, leaves a process behind, exits with an error or
    logs an alarming line that the test does not expect.
    """
    with started(service, *command, port=port, **environment) as server:
        yield server
        server.process.terminate()
        status = server.process.wait(timeout=TIMEOUT)
        wait_for_group_exit(server.process.pid)
    assert status == 0, f"exited {status}:\n{server.log}"
    log = server.log
    for expected in server.expected_log:
        log = log.replace(expected, "")
    assert not alarming_lines(log), "\n".join(["alarming:", *alarming_lines(log), "in:", log])


def wait_for_group_exit(group: int) -> None:
    """Wait until no process of a group runs. Raises AssertionError after EXIT_TIMEOUT."""
    deadline = time.monotonic() + EXIT_TIMEOUT
    while survivors := [process for process in psutil.process_iter() if is_running_in_group(process, group)]:
        assert time.monotonic() < deadline, f"left behind: {survivors}"
        time.sleep(0.05)


def is_running_in_group(process: psutil.Process, group: int) -> bool:
    """Return whether a process belongs to a group and is not a zombie."""
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def wait_for_response(server: Server, path: str) -> None:
    """Wait until a server answers a request for a path.

    Raises AssertionError if the server exits, does not answer within TIMEOUT, or answers with another status than 200.
    """
    deadline = time.monotonic() + TIMEOUT
    while True:
        assert server.process.poll() is None, f"exited {server.process.returncode} before it served:\n{server.log}"
        try:
            # Another process that never answers may listen on the port.
            status, _ = poll(f"{server.url}{path}", timeout=5)
        except (OSError, http.client.HTTPException):
            assert time.monotonic() < deadline, f"does not answer:\n{server.log}"
            time.sleep(0.03)
        else:
            assert status == 200, f"{path} answered {status}:\n{server.log}"
            return


def poll(url: str, timeout: float = TIMEOUT) -> tuple[int, str]:
    """Return the status and the text of a response, for tests that poll.

    Raises OSError or HTTPException if there is no response. A client of httpx would load certificates for each request,
    which takes processor time from the server.
    """
    parts = urllib.parse.urlsplit(url)
    with contextlib.closing(http.client.HTTPConnection(parts.netloc, timeout=timeout)) as client:
        client.request("GET", parts.path)
        response = client.getresponse()
        return response.status, response.read().decode()
