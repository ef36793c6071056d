"""Free ports of the loopback interface."""

import itertools
import os
import socket

# Each pytest worker has a range of 1,000 ports, below the range that the system uses for outgoing connections.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_ports = itertools.cycle(range(20_000 + 1_000 * WORKER, 21_000 + 1_000 * WORKER))


def free_port() -> int:
    """Return a port on which no process listens."""
    for port in _ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError
