"""What can be sent: a piece of memory, or a slice of a file.

A `SharedFile` is one descriptor with a count of holders. Whoever keeps a file over more than one turn of the event
loop acquires it and releases it; the last release closes the descriptor. Readers always go through `.fd`, which
becomes -1 on closing, so a descriptor number that the kernel has given to somebody else can never be used by
mistake (the fault of the original: it used a duplicated descriptor after closing it).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from chute.transfer.method import Device

CLOSED = -1


class SharedFile:
    """An open descriptor of a regular file and the number of its holders.

    The creator holds the first reference. All reads name their offset, so holders never disturb each other and the
    file position is neither used nor moved.

    Attributes:
        fd: the descriptor, or `CLOSED`.
        device: what is known of the device that the file lies on.
    """

    __slots__ = ("_holders", "device", "fd")

    def __init__(self, fd: int, device: Device | None = None) -> None:
        """Take over `fd`.

        Args:
            fd: an open descriptor of a regular file.
            device: what is known of its device; without it, waiting for its disk is taken to be no matter.
        """
        self.fd = fd
        self.device = device or Device()
        self._holders = 1

    def acquire(self) -> None:
        """Add a holder; only a file that still has one may be acquired."""
        assert self._holders > 0, "acquired after the last release"
        self._holders += 1

    def release(self) -> None:
        """Drop a holder; the last one closes the descriptor."""
        assert self._holders > 0, "released more often than acquired"
        self._holders -= 1
        if self._holders == 0:
            self.close()

    def close(self) -> None:
        """Close the descriptor if it is open; holders are not asked. Used when the content moved to memory."""
        if self.fd != CLOSED:
            fd, self.fd = self.fd, CLOSED
            os.close(fd)


@dataclass(slots=True)
class FileSpan:
    """`count` bytes of `file` from `offset` on: sent by an `Outbox`, any number of times.

    Attributes:
        file: where the bytes are.
        offset: the first of them.
        count: how many they are.
        resident_until_s: until when all of them are taken to be in memory (monotonic seconds).
    """

    file: SharedFile
    offset: int
    count: int
    resident_until_s: float = 0.0


Piece = bytes | FileSpan
"""One piece of an answer, in the order of sending."""


def size_of(piece: Piece) -> int:
    """Return how many bytes `piece` comes to."""
    return piece.count if isinstance(piece, FileSpan) else len(piece)


def bytes_in(pieces: tuple[Piece, ...]) -> int:
    """Return how many bytes `pieces` come to."""
    return sum(size_of(piece) for piece in pieces)
