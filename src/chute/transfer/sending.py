"""send(2) as the parts of this room see it."""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
import termios
from collections.abc import Callable

Send = Callable[[bytes | memoryview, int], int]
"""`socket.send`: bytes and flags in, the count accepted out."""

MSG_MORE: int = getattr(socket, "MSG_MORE", 0)
"""More follows at once (Linux): head and content share a segment. Elsewhere there is no such flag."""

PEER_ERRORS = frozenset(
    {
        errno.EPIPE,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.ENOTCONN,
        errno.ESHUTDOWN,
        errno.ETIMEDOUT,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ENETDOWN,
    }
)
"""Errors of a socket that mean: nobody is there to send to. Never a reason for another method."""


def name_of(error: OSError) -> str:
    """Return the symbol of the error's number, or its text when it has none."""
    return errno.errorcode.get(error.errno or 0, str(error))


def unacknowledged_bytes(fd: int) -> int:
    """Return how many bytes the kernel has taken from us for the socket `fd` and the peer has not acknowledged.

    SIOCOUTQ (tcp(7), unix(7)). Where the system cannot tell, that is 0: everything accepted counts as arrived.
    """
    try:
        answer = fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    return int(struct.unpack("i", answer)[0])
