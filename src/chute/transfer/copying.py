"""Content that goes through this process: read here, sent by whoever asked.

Two ways to read, and both name their offset. Reading what is in memory never waits; plain pread(2) may, and belongs
where that is nobody else's business: in a thread, or for content that was just read ahead.
"""

from __future__ import annotations

import os
import threading

from chute.transfer.residency import read_resident

READ_BYTES = 256 * 1024
"""One read: large enough that the calls do not matter, small enough to stay in the second-level cache."""


class _Scratch(threading.local):
    """Room to read into, one per thread: fresh memory for every read would cost a page fault per 4 KiB of it."""

    def __init__(self) -> None:
        self.room = bytearray(READ_BYTES)


_scratch = _Scratch()


def read_in_memory(fd: int, offset: int, count: int) -> memoryview | None:
    """Read what the page cache has of the next `count` bytes, at most `READ_BYTES`.

    Returns:
        The bytes, in memory that this thread's next call overwrites; empty past the end of the file; None when the
        first of them would have to come from the disk.

    Raises:
        OSError: the file system failed.
    """
    room = _scratch.room
    moved = read_resident(fd, room, min(count, READ_BYTES), offset)
    return None if moved is None else memoryview(room)[:moved]


def blocking_read(fd: int, offset: int, count: int) -> bytes:
    """Read the next `count` bytes, at most `READ_BYTES`, waiting for the disk if need be.

    Returns:
        The bytes; empty past the end of the file.

    Raises:
        OSError: the file system failed.
    """
    return os.pread(fd, min(count, READ_BYTES), offset)
