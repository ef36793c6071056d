"""Resets granian's connections to clients that stop reading their response."""

import asyncio
import os
import socket
import stat
import sys
from pathlib import Path

from django.conf import settings

from runtime.server.tcp import RESET, TCP_LISTEN, tcp_info

# The file descriptors of this process, including its sockets.
DESCRIPTORS = Path("/proc/self/fd")


class WriteTimeouts:
    """Resets the connections of clients that have not read anything for RESPONSE_WRITE_TIMEOUT seconds.

    granian has no such limit, and does not expose its connections. Linux lists them, and knows how many bytes a client
    has acknowledged. (TCP_USER_TIMEOUT would also close the connections of slow but steady readers.)
    """

    def __init__(self, port: int) -> None:
        # granian's listening port, which is also the local port of every connection that it accepts.
        self.port = port
        # The connections with unacknowledged bytes. Inode: number of acknowledged bytes, time of the last change
        self.stalled: dict[int, tuple[int, float]] = {}

    async def watch(self) -> None:
        """Check the connections until cancelled. The check runs in a thread, because there may be thousands of them."""
        while sys.platform == "linux":
            await asyncio.sleep(settings.RESPONSE_WRITE_TIMEOUT / 8)
            await asyncio.to_thread(self.check, asyncio.get_running_loop().time())

    def check(self, now: float) -> None:
        """Reset the connections whose acknowledged bytes have not changed for too long."""
        before, self.stalled = self.stalled, {}
        for entry in DESCRIPTORS.iterdir():
            try:
                # granian may close the descriptor at any time and reuse its number for another connection.
                descriptor = os.dup(int(entry.name))
            except OSError:
                continue
            status = os.fstat(descriptor)
            if not stat.S_ISSOCK(status.st_mode):
                os.close(descriptor)
                continue
            with socket.socket(fileno=descriptor) as connection:
                if connection.family not in (socket.AF_INET, socket.AF_INET6):
                    continue
                if connection.type != socket.SOCK_STREAM or connection.getsockname()[1] != self.port:
                    continue
                state, unacknowledged, acknowledged, unsent = tcp_info(connection)
                if state == TCP_LISTEN or not (unacknowledged or unsent):
                    continue
                was_acknowledged, since = before.get(status.st_ino, (-1, now))
                if acknowledged != was_acknowledged:
                    since = now
                elif now - since >= settings.RESPONSE_WRITE_TIMEOUT:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    connection.shutdown(socket.SHUT_RDWR)
                    continue
                self.stalled[status.st_ino] = acknowledged, since
