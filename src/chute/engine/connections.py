"""What the connections of one engine share."""

from __future__ import annotations

from typing import Protocol

from chute.engine.bridge import Bridge
from chute.engine.timers import Timers
from chute.transfer.read_ahead import ReadAhead
from chute.transfer.threads import Job, Threads


class Abortable(Protocol):
    """A connection, as its engine sees it."""

    def abort(self) -> None:
        """Close now, whatever is on its way."""

    def drain(self) -> None:
        """Close soon: with the answer that is on its way or is asked for next, or if there is none."""


class Connections:
    """The bridge, the timers, the threads that read, and the set of all open connections.

    Attributes:
        bridge: through which the loop calls them.
        read_ahead: reads what is not in memory.
        threads: work for answers that are deferred, that are made while they are sent, or that take content first.
        timers: where their deadlines are watched.
        open: all that are not closed.
    """

    __slots__ = ("bridge", "open", "read_ahead", "threads", "timers")

    def __init__(
        self, bridge: Bridge, timers: Timers, read_ahead: ReadAhead, threads: Threads[Job]
    ) -> None:
        self.bridge = bridge
        self.read_ahead = read_ahead
        self.threads = threads
        self.timers = timers
        self.open: set[Abortable] = set()
