"""Files whose size lies: what a kernel makes up while it is being read.

Files of procfs claim to be empty and are not; files of sysfs claim to have 4096 bytes and have fewer. Both have no
block allocated, and so they are read first and sized by what came (T27). Empty files, and small ones that their
file system keeps inside the inode, look the same; reading them first does no harm.
"""

from __future__ import annotations

import os

UNTRUSTED_SIZE_BYTES = 64 * 1024
"""Up to it, a size without any allocated block is not believed; sparse giants are."""

READ_FIRST_BYTES_MAX = 16 * 1024 * 1024
"""The most that is read from a file whose size cannot be trusted; the rest is not sent."""

_PIECE_BYTES = 256 * 1024


def size_may_lie(status: os.stat_result) -> bool:
    """Whether to read a regular file before sizing it."""
    return status.st_blocks == 0 and status.st_size <= UNTRUSTED_SIZE_BYTES


def blocking_read_all(fd: int, bytes_max: int = READ_FIRST_BYTES_MAX) -> bytes:
    """Read from the beginning until nothing more comes, or `bytes_max` have.

    Raises:
        OSError: the file system failed.
    """
    pieces: list[bytes] = []
    offset = 0
    while offset < bytes_max:
        piece = os.pread(fd, min(bytes_max - offset, _PIECE_BYTES), offset)
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)
