"""Reads from Linux how many bytes the client of a TCP connection has acknowledged."""

import socket
import struct
import sys

# A value of SO_LINGER: closing the connection resets it, and the kernel discards the unsent bytes.
RESET = struct.pack("ii", 1, 0)
# Four fields of Linux's `struct tcp_info`: tcpi_state, tcpi_unacked, tcpi_bytes_acked, tcpi_notsent_bytes.
TCP_INFO = struct.Struct("=B23xI92xQ16xI")
TCP_LISTEN = 10


def tcp_info(connection: socket.socket) -> tuple[int, int, int, int]:
    """Return the fields of TCP_INFO for a connection. They are 0 on systems other than Linux."""
    if sys.platform != "linux":
        return 0, 0, 0, 0
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO.size)
    return TCP_INFO.unpack(info.ljust(TCP_INFO.size, b"\0"))
