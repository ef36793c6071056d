"""Servers in processes of their own: started, waited for, stopped."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import psutil

# Nothing else of this machine's environment may decide how a server runs.
ENVIRONMENT = {key: os.environ[key] for key in ("HOME", "LANG", "PATH", "TMPDIR") if key in os.environ}
# Seconds that a server has to answer for the first time, and to stop.
START_TIMEOUT = 30
STOP_TIMEOUT = 10


@dataclass(frozen=True)
class Usage:
    """What a server occupies: its processes, their threads, and their resident memory in bytes."""

    processes: int
    threads: int
    memory: int


@dataclass(frozen=True)
class Server:
    """A server that answers: where it is, and its first process."""

    url: str
    process: psutil.Process

    def processes(self) -> list[psutil.Process]:
        """Return all of its processes."""
        return [self.process, *self.process.children(recursive=True)]

    def cpu_time(self) -> float:
        """Return the seconds of CPU time that its processes have taken so far."""
        times = [process.cpu_times() for process in self.processes()]
        return float(sum(taken.user + taken.system for taken in times))

    def usage(self) -> Usage:
        """Return what it occupies now."""
        processes = self.processes()
        return Usage(
            len(processes),
            sum(process.num_threads() for process in processes),
            sum(process.memory_info().rss for process in processes),
        )

    def usage_during(self, work: Callable[[], object]) -> Usage:
        """Return the most that it occupies while a function runs in another thread. Raises what that raises."""
        usages = [self.usage()]
        with ThreadPoolExecutor(1) as executor:
            working = executor.submit(work)
            while not working.done():
                usages.append(self.usage())
                time.sleep(0.1)
        working.result()
        return Usage(
            max(usage.processes for usage in usages),
            max(usage.threads for usage in usages),
            max(usage.memory for usage in usages),
        )


def free_port() -> int:
    """Return a port of the loopback interface that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextmanager
def running(command: list[str], port: int, directory: Path, environment: dict[str, str]) -> Iterator[Server]:
    """Hold a server open that a command starts in a folder, and that listens on a port; then stop it.

    Raises RuntimeError if it exits or does not answer. What it has printed is added to that, and to whatever the block
    raises.
    """
    log_file = directory / f"server-{port}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=ENVIRONMENT | environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
        )
    server = Server(f"http://127.0.0.1:{port}", psutil.Process(process.pid))
    try:
        wait_until_it_answers(server, process)
        yield server
    except Exception as error:
        printed = log_file.read_text(encoding="utf-8", errors="replace")
        error.add_note(f"{' '.join(command)} printed:\n{printed[-4000:]}")
        raise
    finally:
        stop(process)


def wait_until_it_answers(server: Server, process: subprocess.Popen[bytes]) -> None:
    """Return once a server gives any answer at all; raise RuntimeError if it does not."""
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"exited {process.returncode} before it answered")
        try:
            urlopen(server.url, timeout=START_TIMEOUT).close()
        except HTTPError:
            return  # there need not be anything at /
        except URLError as error:
            if time.monotonic() > deadline:
                raise RuntimeError("does not answer") from error
            time.sleep(0.02)
        else:
            return


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a server to stop, and end whatever of its process group is left."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
