"""The clock that everything of one request agrees on."""

from __future__ import annotations

import pytest

from chute import clock as clock_module
from chute.clock import Clock, wall_ns


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What the operating system says; tests change it."""
    now = {"time": 1000.9, "monotonic": 50.0}
    monkeypatch.setattr(clock_module.time, "time", lambda: now["time"])
    monkeypatch.setattr(clock_module.time, "monotonic", lambda: now["monotonic"])
    return now


def test_clock_is_right_from_the_beginning(times: dict[str, float]):
    clock = Clock()
    assert (clock.second, clock.now_s) == (1000, 50.0)


def test_clock_stands_still_between_two_refreshes(times: dict[str, float]):
    clock = Clock()
    times.update(time=1001.0, monotonic=50.1)
    assert (clock.second, clock.now_s) == (1000, 50.0)
    assert clock.refresh() == 50.1
    assert (clock.second, clock.now_s) == (1001, 50.1)


def test_wall_clock_that_is_set_back_moves_no_deadline(times: dict[str, float]):
    clock = Clock()
    times.update(time=10.0, monotonic=51.0)
    clock.refresh()
    assert (clock.second, clock.now_s) == (10, 51.0)


def test_wall_ns_is_comparable_with_file_times(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(clock_module.time, "time_ns", lambda: 123_456_789)
    assert wall_ns() == 123_456_789
