"""The same contract without epoll: asyncio's own readers and writers.

For systems that have no epoll, and for tests that run everything over both. One loop callback per event instead of
one per batch, and interest that is added and removed as connections change their mind, because what lies underneath
is level-triggered: an event that nobody acts upon would be reported forever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from chute.streams import READABLE, WRITABLE, Closable, Waiter


class PortablePoller:
    """Readiness by `loop.add_reader` and `loop.add_writer`; implements `streams.Poller`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        before_event: Callable[[], None],
        after_event: Callable[[], None],
    ) -> None:
        """Use `loop`; the two callbacks surround every event, as a batch of one."""
        self._loop = loop
        self._before_event = before_event
        self._after_event = after_event
        self._waiters: dict[int, Waiter] = {}
        self._reading: set[int] = set()
        self._writing: set[int] = set()
        self._retired: list[Closable] = []

    def watch(self, fd: int, waiter: Waiter) -> None:
        """See `streams.Poller.watch`."""
        self._waiters[fd] = waiter
        self.refresh_interest(fd, waiter)

    def watch_listener(self, fd: int, waiter: Waiter) -> None:
        """See `streams.Poller.watch_listener`."""
        self.watch(fd, waiter)

    def pause_listener(self, fd: int) -> None:
        """See `streams.Poller.pause_listener`."""
        self._forget(fd)

    def refresh_interest(self, fd: int, waiter: Waiter) -> None:
        """Add or remove what `waiter` wants or wants no longer."""
        if self._waiters.get(fd) is not waiter:
            return  # retired in the meantime
        if waiter.wants_read != (fd in self._reading):
            if waiter.wants_read:
                self._reading.add(fd)
                self._loop.add_reader(fd, self._on_event, fd, READABLE)
            else:
                self._reading.discard(fd)
                self._loop.remove_reader(fd)
        if waiter.wants_write != (fd in self._writing):
            if waiter.wants_write:
                self._writing.add(fd)
                self._loop.add_writer(fd, self._on_event, fd, WRITABLE)
            else:
                self._writing.discard(fd)
                self._loop.remove_writer(fd)

    def retire(self, fd: int, closable: Closable) -> None:
        """See `streams.Poller.retire`."""
        self._forget(fd)
        self._retired.append(closable)

    def close_retired(self) -> None:
        """Close what was retired; only between events."""
        while self._retired:
            self._retired.pop().close()

    def close(self) -> None:
        """Close what was retired; the loop is its owner's."""
        self.close_retired()

    def _forget(self, fd: int) -> None:
        del self._waiters[fd]
        if fd in self._reading:
            self._reading.discard(fd)
            self._loop.remove_reader(fd)
        if fd in self._writing:
            self._writing.discard(fd)
            self._loop.remove_writer(fd)

    def _on_event(self, fd: int, mask: int) -> None:
        waiter = self._waiters.get(fd)
        if waiter is None:
            return  # the loop had queued this before the waiter was retired
        self._before_event()
        try:
            waiter.on_event(mask)
        except Exception as error:  # noqa: BLE001 - the wall
            waiter.on_failure(error)
        if self._waiters.get(fd) is waiter:
            self.refresh_interest(fd, waiter)
        self._after_event()
