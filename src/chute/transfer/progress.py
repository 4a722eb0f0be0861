"""How far one step got. Progress is a value, so that `BlockingIOError` never leaves this room."""

from __future__ import annotations

import enum


class Progress(enum.Enum):
    """The outcome of one turn at a socket."""

    DONE = "everything was accepted by the kernel"
    BLOCKED = "the send buffer is full; come back when the socket is writable"
    YIELDED = "the budget of this turn is used up; come back after the others"
    COLD = "the next bytes are not in memory; have them read, and come back then"


WOULD_BLOCK = -1
"""Returned by a step instead of a count of bytes when the socket takes nothing now (EAGAIN)."""

NOT_IN_MEMORY = -2
"""Returned by a step instead of a count of bytes when it would have to wait for the disk."""
