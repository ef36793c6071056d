"""Cuts granian's connections to clients that stop reading their response."""

import asyncio
import os
import socket
import stat
import sys
from pathlib import Path

from django.conf import settings

from runtime.server.tcp import RESET, TCP_LISTEN, tcp_info

# The files and connections of this process.
DESCRIPTORS = Path("/proc/self/fd")


class WriteTimeouts:
    """Cuts connections whose clients have not read anything for RESPONSE_WRITE_TIMEOUT seconds.

    granian has no such limit, and an application does not see its connections. Linux lists them, and tells how many
    bytes the client has acknowledged. (TCP_USER_TIMEOUT also cuts clients that read slowly but steadily.)
    """

    def __init__(self, port: int) -> None:
        # The port where granian listens, which is that of the connections it has accepted.
        self.port = port
        # For each connection with bytes that are not acknowledged, by its inode: those that are, and since when.
        self.waiting: dict[int, tuple[int, float]] = {}

    async def watch(self) -> None:
        """Cut connections until cancelled. Looking at thousands of them would block the event loop."""
        while sys.platform == "linux":
            await asyncio.sleep(settings.RESPONSE_WRITE_TIMEOUT / 8)
            await asyncio.to_thread(self.check, asyncio.get_running_loop().time())

    def check(self, now: float) -> None:
        """Note what has been acknowledged; cut the connections on which that has not changed for too long."""
        before, self.waiting = self.waiting, {}
        for entry in DESCRIPTORS.iterdir():
            try:
                # granian's threads may close it at any time, and its number may be that of another connection then.
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
                self.waiting[status.st_ino] = acknowledged, since
