"""What the connections of one engine share."""

from __future__ import annotations

from typing import Protocol

from chute.engine.bridge import Bridge
from chute.engine.timers import Timers


class Abortable(Protocol):
    """A connection, as its engine sees it."""

    def abort(self) -> None:
        """Close now, whatever is on its way."""


class Connections:
    """The bridge, the timers, and the set of all open connections.

    Attributes:
        bridge: through which the loop calls them.
        timers: where their deadlines are watched.
        open: all that are not closed.
    """

    __slots__ = ("bridge", "open", "timers")

    def __init__(self, bridge: Bridge, timers: Timers) -> None:
        self.bridge = bridge
        self.timers = timers
        self.open: set[Abortable] = set()
