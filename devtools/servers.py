"""Starting a service's real server, stopping it, and judging what it left in its log."""

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

# The same for processes that must end with their server.
EXIT_TIMEOUT = 60

# Lines that a log may have though they warn:
EXPLAINED = re.compile(
    # Django's, about requests of ours that it was right to refuse;
    r" WARNING (django\.(request|security\.csrf)|runtime\.auth\.logins)\b"
    # ours, about a statement that PostgreSQL has given up after its request was answered 504;
    r"| WARNING runtime\.threads\.executors .* after its request was cancelled: canceling statement due to "
    # uvicorn's, about a request that is no HTTP,
    r"|Invalid HTTP request received\."
    # and about a WebSocket handshake where no WebSockets are installed;
    r"| WARNING uvicorn\.error .*(Unsupported upgrade request\.|No supported WebSocket library detected\.)"
)
ALARMING = re.compile(r"\b(WARNING|ERROR|CRITICAL|Traceback|[A-Z]\w*Error|[A-Z]\w*Warning|never awaited|Unclosed)\b")


@dataclass
class Server:
    """A server that runs: where it is, and what it has logged."""

    url: str
    process: subprocess.Popen[bytes]
    log_file: Path
    # Parts of the log that a test has provoked.
    explained: list[str] = field(default_factory=list)

    @property
    def log(self) -> str:
        """What it has written so far, to either stream."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")


def processes(server: Server) -> list[psutil.Process]:
    """Return the processes of a server, its first one first."""
    first = psutil.Process(server.process.pid)
    return [first, *first.children(recursive=True)]


def alarms(log: str) -> list[str]:
    """Return the lines of a log that are alarming and not explained."""
    return [line for line in log.splitlines() if ALARMING.search(line) and not EXPLAINED.search(line)]


@contextmanager
def started(
    folder: Path, *command: str, port: int, path: str = "/health/live", log: str = "server.log", **environment: str
) -> Iterator[Server]:
    """Start a server by a command in a folder, and kill its process group in the end.

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
        wait_until_it_answers(server, path)
        yield server
    finally:
        # Workers and reloaded children too.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def booted(service: Path, *command: str, port: int, **environment: str) -> Iterator[Server]:
    """Hold a server open that a command starts; then stop it, and check how it exited and what it logged.

    Raises AssertionError if it does not answer or stop within TIMEOUT, leaves a process behind, exits with an error or
    logs an alarming line that is not explained.
    """
    with started(service, *command, port=port, **environment) as server:
        yield server
        server.process.terminate()
        status = server.process.wait(timeout=TIMEOUT)
        wait_until_alone(server.process.pid)
    assert status == 0, f"exited {status}:\n{server.log}"
    unexplained = server.log
    for explained in server.explained:
        unexplained = unexplained.replace(explained, "")
    assert not alarms(unexplained), "\n".join(["alarming:", *alarms(unexplained), "in:", unexplained])


def wait_until_alone(group: int) -> None:
    """Return once no process of a group runs. Raises AssertionError if one still does after EXIT_TIMEOUT."""
    deadline = time.monotonic() + EXIT_TIMEOUT
    while survivors := [process for process in psutil.process_iter() if runs_in(process, group)]:
        assert time.monotonic() < deadline, f"left behind: {survivors}"
        time.sleep(0.05)


def runs_in(process: psutil.Process, group: int) -> bool:
    """Tell whether a process is of a group, and not merely waiting for somebody to notice that it has ended."""
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def wait_until_it_answers(server: Server, path: str) -> None:
    """Return as soon as a server answers a request for a path with 200."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        assert server.process.poll() is None, f"exited {server.process.returncode} before it served:\n{server.log}"
        try:
            # Another process may listen on the port, and never answer.
            status, _ = poll(f"{server.url}{path}", timeout=5)
        except (OSError, http.client.HTTPException):
            assert time.monotonic() < deadline, f"does not answer:\n{server.log}"
            time.sleep(0.03)
        else:
            assert status == 200, f"{path} answered {status}:\n{server.log}"
            return


def poll(url: str, timeout: float = TIMEOUT) -> tuple[int, str]:
    """Return the status and the text of a response, for tests that ask again and again.

    Raises OSError or HTTPException if there is no response. A client of httpx would load certificates for each one, and
    so take processor time from the server.
    """
    parts = urllib.parse.urlsplit(url)
    with contextlib.closing(http.client.HTTPConnection(parts.netloc, timeout=timeout)) as client:
        client.request("GET", parts.path)
        response = client.getresponse()
        return response.status, response.read().decode()
