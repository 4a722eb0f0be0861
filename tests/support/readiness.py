"""Waiters that note what they are told, and an asyncio loop that is driven by hand."""

from __future__ import annotations

import socket
from collections.abc import Callable

from chute.transfer.threads import Threads


class NotingWaiter:
    """Notes events and failures; `then` is what it does at an event."""

    def __init__(
        self,
        then: Callable[[], None] | None = None,
        *,
        wants_read: bool = True,
        wants_write: bool = False,
    ) -> None:
        self.masks: list[int] = []
        self.failures: list[Exception] = []
        self.then = then
        self.wants_read = wants_read
        self.wants_write = wants_write

    def on_event(self, mask: int) -> None:
        self.masks.append(mask)
        if self.then is not None:
            self.then()

    def on_failure(self, error: Exception) -> None:
        self.failures.append(error)


class ClosingNote:
    """A closable that counts how often it was closed."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class HandDrivenHandle:
    """What `call_soon` returns."""

    def __init__(self, soon: list[Callable[[], None]], callback: Callable[[], None]) -> None:
        self._soon = soon
        self._callback = callback

    def cancel(self) -> None:
        if self._callback in self._soon:
            self._soon.remove(self._callback)


class HandDrivenLoop:
    """The part of an asyncio loop that the engine uses; nothing happens before a test makes it happen."""

    def __init__(self) -> None:
        self.readers: dict[int, Callable[[], None]] = {}
        self.writers: dict[int, Callable[[], None]] = {}
        self.soon: list[Callable[[], None]] = []

    def add_reader(self, fd: int, callback: Callable[..., None], *arguments: object) -> None:
        self.readers[fd] = lambda: callback(*arguments)

    def add_writer(self, fd: int, callback: Callable[..., None], *arguments: object) -> None:
        self.writers[fd] = lambda: callback(*arguments)

    def remove_reader(self, fd: int) -> bool:
        return self.readers.pop(fd, None) is not None

    def remove_writer(self, fd: int) -> bool:
        return self.writers.pop(fd, None) is not None

    def call_soon(self, callback: Callable[[], None]) -> HandDrivenHandle:
        self.soon.append(callback)
        return HandDrivenHandle(self.soon, callback)

    def run_soon(self) -> int:
        """Run what was put off, once, and return how much that was."""
        callbacks, self.soon = self.soon, []
        for callback in callbacks:
            callback()
        return len(callbacks)


def connected_pair() -> tuple[socket.socket, socket.socket]:
    """Return two ends of a connection, both non-blocking."""
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    return near, far


def no_threads() -> Threads:
    """Return threads of which nobody hears, for what never defers."""
    return Threads(lambda: None, threads_max=1, threads_per_lane_max=1)
