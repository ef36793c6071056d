"""The faults that are injected during a load."""

from collections.abc import Callable
from dataclasses import dataclass

from devtools.proxy import Proxy
from devtools.servers import Server, processes

# Seconds of delay for each packet to and from a slow database.
DELAY = 0.2


@dataclass(frozen=True)
class Site:
    """A running service, and the proxies in front of its dependencies."""

    server: Server
    database: Proxy
    valkey: Proxy
    suppliers: Proxy

    def recover(self) -> None:
        """Make every proxy forward again."""
        for proxy in (self.database, self.valkey, self.suppliers):
            proxy.recover()

    def kill_worker(self) -> None:
        """Kill a worker process of the server with SIGKILL, as the kernel does when memory runs out."""
        # A worker process uses more memory than the helper processes of multiprocessing.
        max(processes(self.server)[1:], key=lambda process: process.memory_info().rss).kill()


@dataclass(frozen=True)
class Fault:
    """A function that injects a fault into a site. A fault that lasts ends when the site recovers."""

    inject: Callable[[Site], None]
    lasts: bool = True


FAULTS = {
    "none": Fault(lambda site: None),
    "database-refused": Fault(lambda site: site.database.refuse()),
    "database-hanging": Fault(lambda site: site.database.hang()),
    "database-slow": Fault(lambda site: site.database.delay(DELAY)),
    "valkey-refused": Fault(lambda site: site.valkey.refuse()),
    "valkey-hanging": Fault(lambda site: site.valkey.hang()),
    "suppliers-hanging": Fault(lambda site: site.suppliers.hang()),
    "worker-killed": Fault(Site.kill_worker, lasts=False),
}
