"""How fast one answer may leave: nginx's limit_rate and limit_rate_after."""

from __future__ import annotations

from chute.engine.limits import TIMER_RESOLUTION_S
from chute.exchange import Rate


class Pace:
    """Says how much of one answer may leave by now. As in nginx, a second's worth may leave ahead of its time."""

    __slots__ = ("_rate", "_started_s")

    def __init__(self, rate: Rate, now_s: float) -> None:
        """Begin to count at `now_s` (monotonic seconds)."""
        self._rate = rate
        self._started_s = now_s

    def allowance(self, sent: int, now_s: float) -> int:
        """Return how many bytes may leave now, none or more, after `sent` have."""
        rate = self._rate
        allowed = rate.after_bytes + int(rate.bytes_per_s * (now_s - self._started_s + 1))
        return max(0, allowed - sent)

    def pause_s(self) -> float:
        """Return after how many seconds it is worth asking again: long enough for a call to carry something."""
        return max(TIMER_RESOLUTION_S, 1 / self._rate.bytes_per_s)
