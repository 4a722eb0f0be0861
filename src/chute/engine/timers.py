"""Deadlines in O(1): a lazy wheel.

Every connection has one deadline, which moves with nearly every request. So the hot path only assigns an attribute,
and the wheel learns of it late: a connection sits in the slot of some earlier deadline, and when that slot comes up
it is either over or moved to the slot it belongs to by now. One move per connection and time-out period, whatever
the request rate. Only a deadline that becomes *earlier* than the slot has to be told (`schedule`).

A closed connection is taken out at once, or a busy server would keep a minute's worth of them in memory.
"""

from __future__ import annotations

from typing import Protocol

NEVER = float("inf")


class Expiring(Protocol):
    """Something with a deadline.

    Attributes:
        deadline_s: when it has waited long enough (monotonic seconds).
        slot_s: when the wheel will look at it; written by the wheel only.
    """

    deadline_s: float
    slot_s: float

    def on_deadline(self) -> None:
        """React to the deadline having passed; must close, or set a later one."""

    def on_failure(self, error: Exception) -> None:
        """Clean up after `on_deadline` raised."""


class Timers:
    """The wheel; advanced by the engine about once per `resolution_s`."""

    __slots__ = ("_next", "_resolution_s", "_slots")

    def __init__(self, now_s: float, resolution_s: float) -> None:
        """Start a wheel at `now_s` that is late by `resolution_s` at most."""
        self._resolution_s = resolution_s
        self._slots: dict[int, set[Expiring]] = {}
        self._next = int(now_s / resolution_s)

    def schedule(self, expiring: Expiring) -> None:
        """Put `expiring` into the slot of its deadline, taking it out of the one it may be in."""
        self.cancel(expiring)
        index = max(int(expiring.deadline_s / self._resolution_s) + 1, self._next)
        expiring.slot_s = index * self._resolution_s
        slot = self._slots.get(index)
        if slot is None:
            slot = self._slots[index] = set()
        slot.add(expiring)

    def cancel(self, expiring: Expiring) -> None:
        """Take `expiring` out of the wheel, if it is in."""
        if expiring.slot_s == NEVER:
            return
        index = round(expiring.slot_s / self._resolution_s)
        slot = self._slots.get(index)
        if slot is not None:
            slot.discard(expiring)
            if not slot:
                del self._slots[index]
        expiring.slot_s = NEVER

    def advance(self, now_s: float) -> None:
        """Call `on_deadline` of whatever is over, and move the rest to where it belongs by now."""
        last = int(now_s / self._resolution_s)
        while self._next <= last:
            slot = self._slots.pop(self._next, None)
            self._next += 1
            for expiring in slot or ():
                expiring.slot_s = NEVER
                try:
                    if expiring.deadline_s > now_s:
                        self.schedule(expiring)
                    else:
                        expiring.on_deadline()
                except Exception as error:  # noqa: BLE001 - the wall between connections
                    expiring.on_failure(error)

    def __len__(self) -> int:
        return sum(len(slot) for slot in self._slots.values())
