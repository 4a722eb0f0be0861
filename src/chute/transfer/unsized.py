"""Files whose size lies: what a kernel makes up while it is being read.

Files of procfs claim to be empty and are not; files of sysfs claim to have 4096 bytes and have fewer. Both have no
block allocated, and so they are read first and sized by what came (T27). Empty files, and small ones that their
file system keeps inside the inode, look the same; reading them first does no harm.
"""

from __future__ import annotations

import errno
import os

UNTRUSTED_SIZE_BYTES = 64 * 1024
"""Up to it, a size without any allocated block is not believed; sparse giants are."""

READ_FIRST_BYTES_MAX = 16 * 1024 * 1024
"""The most that is read from a file whose size cannot be trusted; a longer one is not sent at all."""

_PIECE_BYTES = 256 * 1024


def size_may_lie(status: os.stat_result) -> bool:
    """Whether to read a regular file before sizing it."""
    return status.st_blocks == 0 and status.st_size <= UNTRUSTED_SIZE_BYTES


def blocking_read_all(fd: int, bytes_max: int = READ_FIRST_BYTES_MAX) -> bytes:
    """Read from the beginning until nothing more comes.

    Raises:
        OSError: the file system failed; EFBIG: more than `bytes_max` came, and part of a file is no answer.
    """
    pieces: list[bytes] = []
    offset = 0
    while piece := os.pread(fd, _PIECE_BYTES, offset):
        pieces.append(piece)
        offset += len(piece)
        if offset > bytes_max:
            raise OSError(errno.EFBIG, f"longer than {bytes_max} bytes, and of unknown size")
    return b"".join(pieces)
