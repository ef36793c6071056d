"""Server processes, and their use of CPU, memory and threads."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devtools.servers import Server, processes, started


@dataclass(frozen=True)
class Usage:
    """A server's processes, their threads, and their resident memory in bytes."""

    processes: int
    threads: int
    memory: int


class MeasuredServer(Server):
    """A running server whose use of the machine can be measured."""

    def cpu_time(self) -> float:
        """Return the CPU time of its processes so far, in seconds."""
        times = [process.cpu_times() for process in processes(self)]
        return float(sum(taken.user + taken.system for taken in times))

    def usage(self) -> Usage:
        """Return its current usage."""
        running = processes(self)
        return Usage(
            len(running),
            sum(process.num_threads() for process in running),
            sum(process.memory_info().rss for process in running),
        )

    def usage_during(self, work: Callable[[], object]) -> Usage:
        """Return the peak usage while a function runs in another thread. Raises the function's exception."""
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


@contextmanager
def running(
    command: list[str], port: int, path: str, folder: Path, environment: dict[str, str]
) -> Iterator[MeasuredServer]:
    """Start a server in a folder, wait until a path responds with 200, and stop it after the block.

    Raises AssertionError if it does not respond. The server's last output is added to an exception of the block.
    """
    with started(folder, *command, port=port, path=path, log=f"server-{port}.log", **environment) as server:
        try:
            yield MeasuredServer(server.url, server.process, server.log_file)
        except Exception as error:
            error.add_note(f"{' '.join(command)} printed:\n{server.log[-4000:]}")
            raise
