"""The time, read once and shared.

The only module that asks the operating system what time it is. The engine calls `refresh` when a batch of events
begins and after each answer, everything else reads the two attributes: one `clock_gettime` per request instead of
one per question, and all who decide something about the same request agree on when it happened.
"""

from __future__ import annotations

import time


class Clock:
    """The monotonic time and the wall-clock second, as of the last `refresh`.

    Attributes:
        now_s: monotonic seconds; deadlines and validity are counted in it.
        second: whole seconds since the epoch; `Date` fields and log lines are rendered from it.
    """

    __slots__ = ("now_s", "second")

    def __init__(self) -> None:
        self.now_s = 0.0
        self.second = 0
        self.refresh()

    def refresh(self) -> float:
        """Read both clocks again and return the monotonic seconds."""
        self.second = int(time.time())
        self.now_s = now_s = time.monotonic()
        return now_s


monotonic_s = time.monotonic
"""The monotonic clock itself, for the one caller that needs it between two refreshes."""


def wall_ns() -> int:
    """Return nanoseconds since the epoch, to be compared with a file's time stamps."""
    return time.time_ns()
