"""Whether content is in memory, asked without waiting for it.

`preadv2(2)` with RWF_NOWAIT reads what the page cache has and answers EAGAIN where it would have to wait for a disk:
0.6 us for a byte. A chunk is asked for its first and its last byte. That misses a hole in its middle, which only random
reads of small ranges leave behind, and which costs at most one wait for a part of a chunk; asking more often would cost
every chunk of every download.

Not every file system can be asked. ext4, XFS and btrfs can; overlayfs, FUSE and NFS answer EOPNOTSUPP.
"""

from __future__ import annotations

import os

IS_AVAILABLE = hasattr(os, "preadv") and hasattr(os, "RWF_NOWAIT")

TRUSTED_S = 1.0
"""For how long content that was in memory is taken to be there still: what is used does not get evicted at once."""

PROBED_BYTES_MAX = 1024 * 1024
"""The longest chunk whose two ends speak for all of it."""

_NO_WAIT: int = getattr(os, "RWF_NOWAIT", 0)
_ONE_BYTE = [bytearray(1)]
"""Where the probes read to; nobody looks at it."""


def can_probe(fd: int) -> bool:
    """Whether the file system of `fd` answers the question at all."""
    if not IS_AVAILABLE:
        return False
    try:
        os.preadv(fd, _ONE_BYTE, 0, _NO_WAIT)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


def is_resident(fd: int, offset: int, count: int) -> bool:
    """Whether `count` bytes from `offset` on can be sent without waiting for the disk, as far as both ends tell.

    Bytes beyond the end of the file count as resident: whoever sends them finds out at once that they are not there.
    An error of the file system counts as well, for the same reason.
    """
    try:
        os.preadv(fd, _ONE_BYTE, offset, _NO_WAIT)
        os.preadv(fd, _ONE_BYTE, offset + count - 1, _NO_WAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
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
