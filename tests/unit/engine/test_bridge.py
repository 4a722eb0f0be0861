"""From the loop to the connections and back: turns, budgets, and no wake for nothing."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator

import pytest

from chute.clock import Clock
from chute.engine import bridge as bridge_module
from chute.engine.bridge import Bridge
from chute.engine.limits import BATCHES_PER_WAKE
from chute.engine.poller import EpollPoller
from readiness import ClosingNote, HandDrivenLoop, NotingWaiter, connected_pair


class CountingClock(Clock):
    """Counts how often it was read."""

    def __init__(self) -> None:
        self.reads = 0
        super().__init__()

    def refresh(self) -> float:
        self.reads += 1
        self.now_s, self.second = float(self.reads), self.reads
        return self.now_s


class Turns:
    """A waiter that takes turns; `then` is what it does at each."""

    def __init__(
        self, name: str, journal: list[str], then: Callable[[], None] | None = None
    ) -> None:
        self.fd = -1
        self.wants_read = self.wants_write = False
        self.failures: list[Exception] = []
        self.then = then
        self._name = name
        self._journal = journal

    def on_event(self, mask: int) -> None:
        raise AssertionError("nobody registered this")

    def resume(self) -> None:
        self._journal.append(self._name)
        if self.then is not None:
            self.then()

    def on_failure(self, error: Exception) -> None:
        self.failures.append(error)


class Driven:
    """A bridge, the loop that it thinks it runs in, and what happened."""

    def __init__(self, *, portable: bool) -> None:
        self.loop = HandDrivenLoop()
        self.clock = CountingClock()
        self.journal: list[str] = []
        self.bridge = Bridge(
            self.loop,
            self.clock,
            portable=portable,
            after_batch=lambda: self.journal.append("batch"),
        )

    def wake(self) -> None:
        """Do what the loop does when something is ready, or when it was asked to call again."""
        for callback in list(self.loop.readers.values()):
            callback()


@pytest.fixture
def driven() -> Iterator[Driven]:
    if not hasattr(select, "epoll"):
        pytest.skip("no epoll here")
    driven = Driven(portable=False)
    yield driven
    driven.bridge.close()


@pytest.fixture
def portable() -> Iterator[Driven]:
    driven = Driven(portable=True)
    yield driven
    driven.bridge.close()


def test_epoll_is_one_reader_of_the_loop(driven: Driven):
    assert isinstance(driven.bridge.poller, EpollPoller)
    assert list(driven.loop.readers) == [driven.bridge.poller.fileno()]


def test_closed_bridge_has_left_the_loop():
    driven = Driven(portable=not hasattr(select, "epoll"))
    driven.bridge.close()
    assert driven.loop.readers == {}


def test_wake_handles_what_is_ready_and_stops(driven: Driven):
    near, far = connected_pair()
    waiter = NotingWaiter()
    driven.bridge.poller.watch(near.fileno(), waiter)
    driven.wake()
    assert len(waiter.masks) == 1
    assert driven.journal == ["batch", "batch"], "the second found nothing"
    assert driven.loop.soon == []
    driven.bridge.poller.retire(near.fileno(), near)
    far.close()


def test_clock_is_read_before_each_batch(driven: Driven):
    reads = driven.clock.reads
    near, far = connected_pair()
    seen: list[float] = []
    driven.bridge.poller.watch(near.fileno(), NotingWaiter(lambda: seen.append(driven.clock.now_s)))
    driven.wake()
    assert seen == [reads + 1]
    driven.bridge.poller.retire(near.fileno(), near)
    far.close()


def test_each_has_one_turn_per_batch(driven: Driven):
    """Whoever queues again during its turn stands behind the others, and waits for the next batch."""
    ready = driven.bridge.ready
    greedy = Turns("greedy", driven.journal)
    greedy.then = lambda: ready.append(greedy)
    modest = Turns("modest", driven.journal)
    ready.extend([greedy, modest])
    driven.wake()
    assert driven.journal[:3] == ["greedy", "modest", "batch"]
    assert driven.journal.count("greedy") == BATCHES_PER_WAKE
    assert driven.journal.count("modest") == 1


def test_events_are_handled_between_the_turns_of_a_download(driven: Driven):
    near, far = connected_pair()
    greedy = Turns("turn", driven.journal)
    greedy.then = lambda: driven.bridge.ready.append(greedy)
    driven.bridge.ready.append(greedy)
    far.send(b"request")
    driven.bridge.poller.watch(near.fileno(), NotingWaiter(lambda: driven.journal.append("event")))
    driven.wake()
    assert driven.journal[:3] == ["event", "turn", "batch"]
    driven.bridge.poller.retire(near.fileno(), near)
    far.close()


def test_wake_that_leaves_something_asks_for_another(driven: Driven):
    greedy = Turns("turn", driven.journal)
    greedy.then = lambda: driven.bridge.ready.append(greedy)
    driven.bridge.ready.append(greedy)
    driven.wake()
    assert len(driven.loop.soon) == 1, "asked once, however often it was reason to"
    greedy.then = None
    assert driven.loop.run_soon() == 1
    assert driven.loop.soon == []
    assert driven.journal.count("turn") == BATCHES_PER_WAKE + 1


def test_failure_during_a_turn_ends_no_other(driven: Driven):
    fault = ValueError("a fault of our own")

    def fail() -> None:
        raise fault

    broken, sound = Turns("broken", driven.journal, fail), Turns("sound", driven.journal)
    driven.bridge.ready.extend([broken, sound])
    driven.wake()
    assert broken.failures == [fault]
    assert driven.journal[:3] == ["broken", "sound", "batch"]


def test_retired_sockets_are_closed_with_the_batch(driven: Driven):
    near, far = connected_pair()
    closing = ClosingNote()
    poller = driven.bridge.poller
    poller.watch(near.fileno(), NotingWaiter(lambda: poller.retire(near.fileno(), closing)))
    driven.wake()
    assert closing.closed == 1
    near.close()
    far.close()


def test_spin_is_a_defect_and_a_lonely_idle_wake_is_not(
    driven: Driven, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bridge_module, "IDLE_WAKES_MAX", 5)
    turn = Turns("turn", driven.journal)
    for _ in range(4):
        for _ in range(4):
            driven.wake()
        driven.bridge.ready.append(turn)
        driven.wake()
    for _ in range(4):
        driven.wake()
    with pytest.raises(AssertionError, match="finds nothing to do"):
        driven.wake()


def test_without_epoll_each_event_is_a_batch(portable: Driven):
    near, far = connected_pair()
    waiter = NotingWaiter()
    portable.bridge.poller.watch(near.fileno(), waiter)
    portable.wake()
    portable.wake()
    assert len(waiter.masks) == 2
    assert portable.journal == []
    assert portable.loop.run_soon() == 1, "the rest of both events is done together"
    assert portable.journal == ["batch"]
    portable.bridge.poller.retire(near.fileno(), near)
    far.close()


def test_without_epoll_turns_alternate_with_the_loop(portable: Driven):
    greedy = Turns("greedy", portable.journal)
    greedy.then = lambda: portable.bridge.ready.append(greedy)
    near, far = connected_pair()
    portable.bridge.poller.watch(
        near.fileno(), NotingWaiter(lambda: portable.bridge.ready.append(greedy))
    )
    portable.wake()
    for _ in range(3):
        assert portable.loop.run_soon() == 1
    assert portable.journal == ["greedy", "batch"] * 3
    portable.bridge.ready.clear()
    portable.loop.run_soon()
    assert portable.loop.soon == []
    portable.bridge.poller.retire(near.fileno(), near)
    far.close()
