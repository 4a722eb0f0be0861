"""The contracts for I/O: who is told about readiness, and who does the telling.

Protocols only. `engine` implements them twice (a nested epoll, and asyncio's own readers and writers), tests a third
time with a script. Readiness is a *state that the waiter keeps*, not a question it asks again: a poller reports a
change once, and the waiter remembers it until the kernel says EAGAIN or a short count shows that it is used up.
"""

from __future__ import annotations

from typing import Protocol

READABLE = 0x001
"""Bytes, or the end of input, can be read (EPOLLIN)."""
WRITABLE = 0x004
"""The send buffer takes more (EPOLLOUT)."""
FAILED = 0x008
"""The socket has an error, for example a reset (EPOLLERR)."""
HUNG_UP = 0x010
"""Both directions are closed (EPOLLHUP)."""
PEER_FINISHED = 0x2000
"""The peer has closed its sending direction (EPOLLRDHUP)."""


class Waiter(Protocol):
    """Something with a descriptor that wants to hear of its readiness."""

    def on_event(self, mask: int) -> None:
        """React to a change of readiness; must return quickly and must not wait."""

    def on_failure(self, error: Exception) -> None:
        """Clean up after `on_event` raised: the last wall between one connection and the others."""

    @property
    def wants_read(self) -> bool:
        """Whether news of `READABLE` would be acted upon; asked only by level-triggered pollers."""

    @property
    def wants_write(self) -> bool:
        """Whether news of `WRITABLE` would be acted upon; asked only by level-triggered pollers."""


class Closable(Protocol):
    """A socket, or whatever else is closed once a batch of events is over."""

    def close(self) -> None:
        """Close it."""


class Poller(Protocol):
    """Tells waiters about readiness, in batches."""

    def watch(self, fd: int, waiter: Waiter) -> None:
        """Report every change of readiness of `fd`, in both directions, until it is retired."""

    def watch_listener(self, fd: int, waiter: Waiter) -> None:
        """Report `READABLE` for as long as connections wait in the queue of `fd`."""

    def pause_listener(self, fd: int) -> None:
        """Stop reporting for a listener; `watch_listener` starts again. The descriptor stays open."""

    def refresh_interest(self, fd: int, waiter: Waiter) -> None:
        """Look again at what `waiter` wants, after it changed outside of an event."""

    def retire(self, fd: int, closable: Closable) -> None:
        """Forget `fd` now, and close it when no event of the running batch can mean it any more."""
