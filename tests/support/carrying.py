"""A socket and its kernel, played: for tests of `transfer` that need no network.

A `PlayedSocket` stands behind both ways out of an outbox, `send` and `sendfile`. What each call meets is written
beforehand: a most number of bytes, or an error. What was accepted is kept, so a test compares it with what should
have arrived.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from chute.transfer.outbox import Outbox
from chute.transfer.progress import Progress
from chute.transfer.source import SharedFile

SOCKET_FD = 987_654
"""Stands for the socket; no descriptor has this number, so a real call with it would fail."""

EVERYTHING = 1 << 62
Act = int | OSError
"""What a call meets: at most so many bytes are accepted, or an error is raised."""

_real_pread = os.pread


def failing(number: int) -> OSError:
    """An error as the kernel's number makes it: Python chooses the subclass, BlockingIOError for EAGAIN."""
    return OSError(number, os.strerror(number))


AGAIN = failing(errno.EAGAIN)


class PlayedSocket:
    """Accepts bytes by a script; when the script has ended, by `otherwise`.

    Attributes:
        accepted: all bytes taken so far.
        calls: (name, flags or None, bytes offered, what came of it) of every call, in order.
    """

    def __init__(self, script: Iterable[Act] = (), otherwise: Act = EVERYTHING) -> None:
        self._script = iter(script)
        self._otherwise = otherwise
        self.accepted = bytearray()
        self.calls: list[tuple[str, int | None, int, Act]] = []

    def send(self, data: bytes | memoryview, flags: int) -> int:
        return self._accept("send", flags, bytes(data))

    def sendfile(self, out_fd: int, in_fd: int, offset: int, count: int) -> int:
        assert out_fd == SOCKET_FD
        return self._accept("sendfile", None, _real_pread(in_fd, count, offset))

    def named(self, name: str) -> list[tuple[str, int | None, int, Act]]:
        return [call for call in self.calls if call[0] == name]

    def _accept(self, name: str, flags: int | None, data: bytes) -> int:
        act = next(self._script, self._otherwise)
        if isinstance(act, OSError):
            self.calls.append((name, flags, len(data), act))
            raise act
        taken = data[:act]
        self.calls.append((name, flags, len(data), len(taken)))
        self.accepted += taken
        return len(taken)


def opened(path: Path, content: bytes) -> SharedFile:
    """Write `content` to `path` and open it; the caller holds the one reference."""
    path.write_bytes(content)
    return SharedFile(os.open(path, os.O_RDONLY))


def carry(
    outbox: Outbox, budget: Callable[[], int] = lambda: EVERYTHING, *, turns_max: int = 10_000
) -> None:
    """Flush until DONE, coming back after each BLOCKED and YIELDED as an engine would."""
    for _ in range(turns_max):
        if outbox.flush(budget()) is Progress.DONE:
            return
    raise AssertionError(f"not done after {turns_max} turns")
