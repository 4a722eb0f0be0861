"""The lazy wheel: never early, late by one resolution at most, and cheap to postpone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chute.engine.timers import NEVER, Timers

RESOLUTION_S = 0.25
START_S = 1000.0


class Expiring:
    """Counts its deadlines; `then` is what it does at one."""

    def __init__(self, deadline_s: float, then: Callable[[Expiring], None] | None = None) -> None:
        self.deadline_s = deadline_s
        self.slot_s = NEVER
        self.expired = 0
        self.failures: list[Exception] = []
        self._then = then

    def on_deadline(self) -> None:
        self.expired += 1
        if self._then is not None:
            self._then(self)

    def on_failure(self, error: Exception) -> None:
        self.failures.append(error)


@pytest.fixture
def timers() -> Timers:
    return Timers(START_S, RESOLUTION_S)


def test_deadline_is_met_late_by_the_resolution_at_most(timers: Timers):
    expiring = Expiring(START_S + 1.1)
    timers.schedule(expiring)
    timers.advance(START_S + 1.09)
    assert expiring.expired == 0
    timers.advance(START_S + 1.1 + RESOLUTION_S)
    assert expiring.expired == 1
    assert len(timers) == 0


def test_deadline_comes_once(timers: Timers):
    expiring = Expiring(START_S)
    timers.schedule(expiring)
    for step in range(20):
        timers.advance(START_S + step)
    assert expiring.expired == 1
    assert expiring.slot_s == NEVER


def test_postponed_deadline_needs_no_word(timers: Timers):
    """The hot path only assigns the attribute; the wheel finds out when it looks."""
    expiring = Expiring(START_S + 1)
    timers.schedule(expiring)
    for step in range(1, 41):
        expiring.deadline_s = START_S + step + 1
        timers.advance(START_S + step)
        assert len(timers) == 1
    assert expiring.expired == 0
    timers.advance(START_S + 41 + RESOLUTION_S)
    assert expiring.expired == 1


def test_earlier_deadline_is_scheduled_again(timers: Timers):
    expiring = Expiring(START_S + 60)
    timers.schedule(expiring)
    expiring.deadline_s = START_S + 1
    assert expiring.deadline_s < expiring.slot_s, "that is how a connection knows that it must tell"
    timers.schedule(expiring)
    assert len(timers) == 1
    timers.advance(START_S + 1 + RESOLUTION_S)
    assert expiring.expired == 1


def test_cancelled_deadline_never_comes(timers: Timers):
    kept, cancelled = Expiring(START_S + 1), Expiring(START_S + 1)
    timers.schedule(kept)
    timers.schedule(cancelled)
    timers.cancel(cancelled)
    assert len(timers) == 1
    timers.advance(START_S + 10)
    assert (kept.expired, cancelled.expired) == (1, 0)


def test_cancelling_twice_or_before_scheduling_is_nothing(timers: Timers):
    expiring = Expiring(START_S)
    timers.cancel(expiring)
    timers.schedule(expiring)
    timers.cancel(expiring)
    timers.cancel(expiring)
    assert (len(timers), expiring.slot_s) == (0, NEVER)


def test_deadline_in_the_past_is_met_at_once(timers: Timers):
    timers.advance(START_S + 5)
    expiring = Expiring(START_S - 100)
    timers.schedule(expiring)
    timers.advance(START_S + 5 + RESOLUTION_S)
    assert expiring.expired == 1


def test_deadline_that_sets_a_later_one_comes_again(timers: Timers):
    def postpone(expiring: Expiring) -> None:
        expiring.deadline_s += 1
        timers.schedule(expiring)

    expiring = Expiring(START_S + 1, postpone)
    timers.schedule(expiring)
    for step in range(1, 41):
        timers.advance(START_S + step / 4)
    assert expiring.expired == 9
    assert len(timers) == 1


def test_failure_at_a_deadline_is_told_to_its_owner_alone(timers: Timers):
    fault = RuntimeError("a fault of our own")

    def fail(_: Expiring) -> None:
        raise fault

    broken, sound = Expiring(START_S + 1, fail), [Expiring(START_S + 1) for _ in range(5)]
    for expiring in (*sound, broken):
        timers.schedule(expiring)
    timers.advance(START_S + 2)
    assert broken.failures == [fault]
    assert [expiring.expired for expiring in sound] == [1] * 5
    assert all(expiring.failures == [] for expiring in sound)


def test_clock_that_leaps_forgets_nobody(timers: Timers):
    """After a suspend all deadlines are over at once."""
    waiting = [Expiring(START_S + number) for number in range(100)]
    for expiring in waiting:
        timers.schedule(expiring)
    timers.advance(START_S + 3600)
    assert [expiring.expired for expiring in waiting] == [1] * 100


TIMES = st.floats(0, 100, allow_nan=False)


@given(
    deadlines=st.lists(st.tuples(TIMES, TIMES), max_size=20),
    steps=st.lists(st.floats(0.01, 10), max_size=60),
)
def test_every_deadline_comes_once_and_in_its_time(
    deadlines: list[tuple[float, float]], steps: list[float]
):
    """Each waits for its first deadline, is postponed to the later of the two at once, and expires by that."""
    timers = Timers(START_S, RESOLUTION_S)
    waiting = []
    for first, second in deadlines:
        expiring = Expiring(START_S + min(first, second))
        timers.schedule(expiring)
        expiring.deadline_s = START_S + max(first, second)
        waiting.append(expiring)
    now_s = START_S
    for step in steps:
        now_s += step
        timers.advance(now_s)
        for expiring in waiting:
            if expiring.deadline_s > now_s:
                assert expiring.expired == 0
            if expiring.deadline_s + RESOLUTION_S < now_s:
                assert expiring.expired == 1
    assert len(timers) == sum(expiring.expired == 0 for expiring in waiting)
