"""Threads that work for one loop: lanes, turns, and being told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from chute.transfer.threads import Threads


class Task:
    """A job that waits until the test lets it go."""

    def __init__(
        self, lane: str, heard: list[object], work: Callable[[], object] | None = None
    ) -> None:
        self.lane = lane
        self.may_go_on = threading.Event()
        self.has_begun = threading.Event()
        self._heard = heard
        self._work = work

    def blocking_work(self) -> object:
        self.has_begun.set()
        assert self.may_go_on.wait(10)
        return self._work() if self._work is not None else self.lane

    def on_done(self, outcome: object) -> None:
        self._heard.append(outcome)


LOOPS: list[Loop] = []


@pytest.fixture(autouse=True)
def _send_threads_home() -> Iterator[None]:
    yield
    while LOOPS:
        LOOPS.pop().threads.close()


class Loop:
    """Notes that something is done, and delivers when the test says so."""

    def __init__(self, threads_max: int = 4, threads_per_lane_max: int = 2) -> None:
        LOOPS.append(self)
        self._notified = threading.Semaphore(0)
        self.threads: Threads[Task] = Threads(
            self._notified.release,
            threads_max=threads_max,
            threads_per_lane_max=threads_per_lane_max,
        )

    def deliver(self, count: int) -> None:
        for _ in range(count):
            assert self._notified.acquire(timeout=10)
        self.threads.deliver()


def test_outcome_is_told_in_the_loop_and_not_before():
    loop, heard = Loop(), []
    task = Task("a", heard)
    loop.threads.submit(task)
    task.may_go_on.set()
    loop.deliver(1)
    assert heard == ["a"]


def test_exception_is_an_outcome():
    def fail() -> None:
        raise ZeroDivisionError

    loop, heard = Loop(), []
    task = Task("a", heard, fail)
    task.may_go_on.set()
    loop.threads.submit(task)
    loop.deliver(1)
    assert isinstance(heard[0], ZeroDivisionError)


def test_lane_that_is_full_leaves_room_for_others():
    loop, heard = Loop(), []
    stuck = [Task("dead", heard) for _ in range(5)]
    for task in stuck:
        loop.threads.submit(task)
    other = Task("alive", heard)
    other.may_go_on.set()
    loop.threads.submit(other)
    loop.deliver(1)
    assert heard == ["alive"]
    assert [task.has_begun.is_set() for task in stuck] == [True, True, False, False, False]
    for task in stuck:
        task.may_go_on.set()
    while len(heard) < 6:
        loop.deliver(1)
    assert heard[1:] == ["dead"] * 5


def test_job_that_waits_can_be_cancelled_and_one_that_has_begun_cannot():
    loop, heard = Loop(threads_per_lane_max=1), []
    first, second = Task("a", heard), Task("a", heard)
    loop.threads.submit(first)
    loop.threads.submit(second)
    assert loop.threads.cancel(second)
    assert not loop.threads.cancel(second)
    assert first.has_begun.wait(10)
    assert not loop.threads.cancel(first)
    first.may_go_on.set()
    loop.deliver(1)
    assert heard == ["a"]
    assert not second.has_begun.is_set()


def test_closing_returns_what_never_began():
    loop, heard = Loop(threads_per_lane_max=1), []
    first, second = Task("a", heard), Task("a", heard)
    loop.threads.submit(first)
    loop.threads.submit(second)
    assert loop.threads.close() == [second]
    first.may_go_on.set()


@pytest.mark.parametrize("has_one", [False, True])
def test_without_another_thread_the_work_is_done_all_the_same(
    monkeypatch: pytest.MonkeyPatch, has_one: bool
):
    loop, heard = Loop(), []
    if has_one:
        first = Task("a", heard)
        first.may_go_on.set()
        loop.threads.submit(first)
        loop.deliver(1)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    task = Task("b", heard)
    task.may_go_on.set()
    loop.threads.submit(task)
    loop.deliver(1)
    assert heard[-1] == "b"


def test_loop_that_is_closed_ends_the_threads_quietly():
    def closed() -> None:
        raise RuntimeError("Event loop is closed")

    before = set(threading.enumerate())
    threads: Threads[Task] = Threads(closed, threads_max=2, threads_per_lane_max=2)
    task = Task("a", [])
    threads.submit(task)
    (thread,) = set(threading.enumerate()) - before
    assert thread.daemon
    task.may_go_on.set()
    thread.join(10)
    assert not thread.is_alive()
