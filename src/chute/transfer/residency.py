"""Whether content is in memory, asked without waiting for it.

`preadv2(2)` with RWF_NOWAIT reads what the page cache has and answers EAGAIN where it would have to wait for a disk:
0.6 us for a byte. A chunk is asked for its first and its last byte. That misses a hole in its middle, which only random
reads of small ranges leave behind, and which costs at most one wait for a part of a chunk; asking more often would cost
every chunk of every download.

Not every file system can be asked. ext4, XFS and btrfs can; overlayfs, FUSE and NFS answer EOPNOTSUPP.
"""

from __future__ import annotations

import errno
import os

IS_AVAILABLE = hasattr(os, "preadv") and hasattr(os, "RWF_NOWAIT")

TRUSTED_S = 1.0
"""For how long content that was in memory is taken to be there still: what is used does not get evicted at once."""

PROBED_BYTES_MAX = 1024 * 1024
"""The longest chunk whose two ends speak for all of it."""

_NO_WAIT: int = getattr(os, "RWF_NOWAIT", 0)
_ONE_BYTE = [bytearray(1)]
"""Where the probes read to; nobody looks at it."""


_UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


def can_probe(fd: int) -> bool | None:
    """Whether the file system of `fd` answers the question at all, or None if this file does not show it."""
    if not IS_AVAILABLE:
        return False
    try:
        os.preadv(fd, _ONE_BYTE, 0, _NO_WAIT)
    except BlockingIOError:
        return True
    except OSError as error:
        return False if error.errno in _UNSUPPORTED else None
    return True


def is_resident(fd: int, offset: int, count: int) -> bool:
    """Whether `count` bytes from `offset` on can be sent without waiting for the disk, as far as both ends tell.

    Bytes beyond the end of the file are not in memory: that a file shrank is found out by who reads it, not here
    (on Linux 5.9 and 5.10 nothing is also an answer to RWF_NOWAIT: preadv2(2), BUGS). An error of the file system
    counts as resident, for whoever sends finds it out at once.
    """
    try:
        return bool(
            os.preadv(fd, _ONE_BYTE, offset, _NO_WAIT)
            and (count == 1 or os.preadv(fd, _ONE_BYTE, offset + count - 1, _NO_WAIT))
        )
    except BlockingIOError:
        return False
    except OSError:
        return True


def read_resident(fd: int, room: bytearray, count: int, offset: int) -> int | None:
    """Read up to `count` bytes into `room`, as many as are in memory.

    Returns:
        The bytes read, 0 past the end of the file, or None when not even the first one is there.

    Raises:
        OSError: the file system failed.
    """
    try:
        return os.preadv(fd, [memoryview(room)[:count]], offset, _NO_WAIT)
    except BlockingIOError:
        return None
