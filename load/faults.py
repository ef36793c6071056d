"""What goes wrong in the middle of a load."""

from collections.abc import Callable
from dataclasses import dataclass

import psutil

from devtools.proxy import Proxy
from devtools.servers import Server

# Seconds by which each packet to and from a slow database is late.
LATENESS = 0.2


@dataclass(frozen=True)
class Site:
    """A service that runs, and the proxies before all that it depends on."""

    server: Server
    database: Proxy
    valkey: Proxy
    suppliers: Proxy

    def recover(self) -> None:
        """Let everything pass again."""
        for proxy in (self.database, self.valkey, self.suppliers):
            proxy.recover()

    def processes(self) -> list[psutil.Process]:
        """Return the service's processes, the first one first."""
        first = psutil.Process(self.server.process.pid)
        return [first, *first.children(recursive=True)]

    def kill_worker(self) -> None:
        """End one of the server's workers, as the kernel does when there is no memory left."""
        # Python has helpers of its own among the children; they are small.
        max(self.processes()[1:], key=lambda process: process.memory_info().rss).kill()


@dataclass(frozen=True)
class Fault:
    """What happens to a site. One that lasts is over when the site recovers, another as soon as it has happened."""

    inject: Callable[[Site], None]
    lasts: bool = True


FAULTS = {
    "none": Fault(lambda site: None),
    "database-refused": Fault(lambda site: site.database.refuse()),
    "database-hanging": Fault(lambda site: site.database.hang()),
    "database-slow": Fault(lambda site: site.database.delay(LATENESS)),
    "valkey-refused": Fault(lambda site: site.valkey.refuse()),
    "valkey-hanging": Fault(lambda site: site.valkey.hang()),
    "suppliers-hanging": Fault(lambda site: site.suppliers.hang()),
    "worker-killed": Fault(Site.kill_worker, lasts=False),
}
