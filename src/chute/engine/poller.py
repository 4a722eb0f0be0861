"""The nested epoll: readiness of all connections, in batches.

Why it is nested. asyncio's transports cost a Python call per event and a buffer per connection, and they stand
between us and the descriptor that sendfile needs. So the engine keeps an epoll of its own, and registers that epoll's
descriptor with the asyncio loop like any other: when something is ready inside, the loop wakes once, and one callback
handles the whole batch. Coroutines, timers and signals live in the same loop, undisturbed.

What an epoll set holds is not a number but a number *and* an open file description. Three rules follow:

1. A descriptor that was duplicated stays in the set after our copy is closed, and can then neither be removed nor
   told apart. So no socket is ever duplicated, and closing is enough to leave the set: no EPOLL_CTL_DEL per close.
2. Numbers are reused at once. If a handler closes 15 in the middle of a batch and a listener accepts 15 again, a
   later event of the same batch, meant for the old 15, would reach a stranger. So sockets are forgotten at once but
   closed only when the batch is over, and within a batch nobody can be given a number that the batch still names.
3. The inner set is edge-triggered: connections are registered once for everything (EPOLLIN, EPOLLOUT, EPOLLRDHUP) and
   keep readiness as state, so that an answer needs no epoll_ctl(2). The outer registration stays level-triggered:
   events that a wake did not get to are reported again. Without rule 3 one unread byte woke the loop 6754 times in
   20 ms, when this was tried. Every wake must therefore take events, or have connections whose turn it is.

Listeners are level-triggered, and exclusive, because several workers may wait on one of them.
"""

from __future__ import annotations

import select
import sys
from typing import Protocol

from chute.engine.limits import EVENTS_PER_BATCH
from chute.errors import MisuseError
from chute.streams import PEER_FINISHED, READABLE, WRITABLE, Closable, Waiter

# The names in `select` exist on Linux only, and this module must be importable elsewhere (linux/eventpoll.h).
_EPOLLET = 1 << 31
_EPOLLEXCLUSIVE = 1 << 28

_CONNECTION_EVENTS = READABLE | WRITABLE | PEER_FINISHED | _EPOLLET
_LISTENER_EVENTS = READABLE | _EPOLLEXCLUSIVE


class _Epoll(Protocol):
    """What is used of `select.epoll`."""

    def poll(self, timeout: float, maxevents: int) -> list[tuple[int, int]]: ...

    def register(self, fd: int, eventmask: int) -> None: ...

    def unregister(self, fd: int) -> None: ...

    def fileno(self) -> int: ...

    def close(self) -> None: ...


def _new_epoll() -> _Epoll:
    if sys.platform == "linux":
        return select.epoll()
    raise MisuseError(
        "epoll exists on Linux only; the bridge chooses the portable poller elsewhere"
    )


class EpollPoller:
    """An epoll of the engine's own; implements `streams.Poller`."""

    __slots__ = ("_epoll", "_retired", "_waiters")

    def __init__(self) -> None:
        self._epoll = _new_epoll()
        self._waiters: dict[int, Waiter] = {}
        self._retired: list[Closable] = []

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when `dispatch` has something to do."""
        return self._epoll.fileno()

    def watch(self, fd: int, waiter: Waiter) -> None:
        """See `streams.Poller.watch`."""
        self._waiters[fd] = waiter
        self._epoll.register(fd, _CONNECTION_EVENTS)

    def watch_listener(self, fd: int, waiter: Waiter) -> None:
        """See `streams.Poller.watch_listener`."""
        self._waiters[fd] = waiter
        self._epoll.register(fd, _LISTENER_EVENTS)

    def pause_listener(self, fd: int) -> None:
        """See `streams.Poller.pause_listener`."""
        del self._waiters[fd]
        self._epoll.unregister(fd)

    def refresh_interest(self, fd: int, waiter: Waiter) -> None:
        """Do nothing: edges come whether they are wanted or not."""

    def retire(self, fd: int, closable: Closable) -> None:
        """See `streams.Poller.retire`, and rule 2 above."""
        del self._waiters[fd]
        self._retired.append(closable)

    def dispatch(self) -> int:
        """Take one batch of events to their waiters and return how many there were.

        The wall between connections is here: whatever a waiter raises ends that waiter only.
        """
        events = self._epoll.poll(0, EVENTS_PER_BATCH)
        waiters = self._waiters
        for fd, mask in events:
            waiter = waiters.get(fd)
            if waiter is None:
                continue  # retired by an earlier event of this batch
            try:
                waiter.on_event(mask)
            except Exception as error:  # noqa: BLE001 - the wall
                waiter.on_failure(error)
        return len(events)

    def close_retired(self) -> None:
        """Close what was retired; only between batches."""
        retired = self._retired
        while retired:
            retired.pop().close()

    def close(self) -> None:
        """Close the set itself."""
        self.close_retired()
        self._epoll.close()
