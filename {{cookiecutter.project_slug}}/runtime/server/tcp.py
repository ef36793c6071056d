"""What Linux knows about a TCP connection: how many bytes its client has acknowledged."""

import socket
import struct
import sys

# Value of SO_LINGER with which a closed connection is reset: the kernel does not keep the bytes that it has not sent.
RESET = struct.pack("ii", 1, 0)
# Fields of Linux's `struct tcp_info`: tcpi_state, tcpi_unacked, tcpi_bytes_acked, tcpi_notsent_bytes.
TCP_INFO = struct.Struct("=B23xI92xQ16xI")
TCP_LISTEN = 10


def tcp_info(connection: socket.socket) -> tuple[int, int, int, int]:
    """Return the state of a TCP connection, and what has been acknowledged: see TCP_INFO. Zeros on other systems."""
    if sys.platform != "linux":
        return 0, 0, 0, 0
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO.size)
    return TCP_INFO.unpack(info.ljust(TCP_INFO.size, b"\0"))
