"""Waiting for signals and for children at once.

A signal's handler does nothing; Python writes the number of each into a pipe (`signal.set_wakeup_fd`), whose other
end is polled together with the pipes of the children. So a signal is handled between two others and never within one,
and none is lost that comes while nobody waits.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable, Sequence
from types import FrameType
from typing import NamedTuple


class Woken(NamedTuple):
    """What has happened.

    Attributes:
        signals: numbers, in the order in which they came.
        readable: descriptors that can be read, or have ended.
    """

    signals: Sequence[int]
    readable: Sequence[int]


class Wakeup:
    """The signals of one process; one at a time."""

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        """Take over the handling of `numbers` from now on, until `close`."""
        self._read_fd, self._write_fd = os.pipe()
        for fd in (self._read_fd, self._write_fd):
            os.set_blocking(fd, False)
        self._poll = select.poll()
        self._poll.register(self._read_fd, select.POLLIN)
        self._before = {number: signal.signal(number, _note) for number in numbers}
        self._wakeup_fd_before = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)

    def watch(self, fd: int) -> None:
        """Wait for `fd`, too."""
        self._poll.register(fd, select.POLLIN | select.POLLHUP)

    def forget(self, fd: int) -> None:
        """Wait for `fd` no longer."""
        self._poll.unregister(fd)

    def wait(self, timeout_s: float) -> Woken:
        """Wait until something happens, `timeout_s` at most."""
        ready = [fd for fd, _ in self._poll.poll(max(0.0, timeout_s) * 1000)]
        numbers: list[int] = []
        if self._read_fd in ready:
            ready.remove(self._read_fd)
            numbers.extend(os.read(self._read_fd, 4096))
        return Woken(numbers, ready)

    def close(self) -> None:
        """Give the signals back, and close the pipe: in the process itself, or in a child that was forked from it."""
        signal.set_wakeup_fd(self._wakeup_fd_before)
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        os.close(self._read_fd)
        os.close(self._write_fd)


def _note(number: int, frame: FrameType | None) -> None:
    """Do nothing: that there was a signal is in the pipe."""
