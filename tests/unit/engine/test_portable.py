"""Readiness by asyncio's readers and writers: interest follows the waiter, one event is one batch."""

from __future__ import annotations

import pytest

from chute.engine.portable import PortablePoller
from chute.streams import READABLE, WRITABLE
from readiness import ClosingNote, HandDrivenLoop, NotingWaiter

FD = 7


@pytest.fixture
def loop() -> HandDrivenLoop:
    return HandDrivenLoop()


@pytest.fixture
def calls() -> list[str]:
    """What surrounded events, in order."""
    return []


@pytest.fixture
def poller(loop: HandDrivenLoop, calls: list[str]) -> PortablePoller:
    return PortablePoller(
        loop,
        before_event=lambda: calls.append("before"),
        after_event=lambda: calls.append("after"),
    )


@pytest.mark.parametrize(
    ("reads", "writes"), [(True, False), (False, True), (True, True), (False, False)]
)
def test_interest_is_what_the_waiter_wants(
    poller: PortablePoller, loop: HandDrivenLoop, reads: bool, writes: bool
):
    poller.watch(FD, NotingWaiter(wants_read=reads, wants_write=writes))
    assert (FD in loop.readers, FD in loop.writers) == (reads, writes)


def test_event_reaches_the_waiter_between_its_two_callbacks(
    poller: PortablePoller, loop: HandDrivenLoop, calls: list[str]
):
    waiter = NotingWaiter(lambda: calls.append("event"), wants_write=True)
    poller.watch(FD, waiter)
    loop.readers[FD]()
    loop.writers[FD]()
    assert waiter.masks == [READABLE, WRITABLE]
    assert calls == ["before", "event", "after"] * 2


def test_waiter_that_changes_its_mind_at_an_event_is_heard(
    poller: PortablePoller, loop: HandDrivenLoop
):
    """Underneath it is level-triggered: an event that nobody wants would be reported for ever."""
    waiter = NotingWaiter()

    def begin_to_send() -> None:
        waiter.wants_read, waiter.wants_write = False, True

    waiter.then = begin_to_send
    poller.watch(FD, waiter)
    loop.readers[FD]()
    assert (FD in loop.readers, FD in loop.writers) == (False, True)


def test_interest_that_changed_outside_of_an_event_is_refreshed(
    poller: PortablePoller, loop: HandDrivenLoop
):
    waiter = NotingWaiter()
    poller.watch(FD, waiter)
    waiter.wants_read = False
    poller.refresh_interest(FD, waiter)
    assert FD not in loop.readers
    waiter.wants_read = True
    poller.refresh_interest(FD, waiter)
    assert FD in loop.readers


def test_number_of_another_waiter_is_not_touched(poller: PortablePoller, loop: HandDrivenLoop):
    """The number was given to a newcomer after its first owner was retired."""
    gone, newcomer = NotingWaiter(wants_write=True), NotingWaiter()
    poller.watch(FD, gone)
    poller.retire(FD, ClosingNote())
    poller.watch(FD, newcomer)
    poller.refresh_interest(FD, gone)
    assert (FD in loop.readers, FD in loop.writers) == (True, False)


def test_event_that_was_queued_before_the_end_is_dropped(
    poller: PortablePoller, loop: HandDrivenLoop, calls: list[str]
):
    waiter = NotingWaiter()
    poller.watch(FD, waiter)
    queued = loop.readers[FD]
    poller.retire(FD, ClosingNote())
    queued()
    assert (waiter.masks, calls) == ([], [])


def test_retired_number_leaves_nothing_in_the_loop(poller: PortablePoller, loop: HandDrivenLoop):
    closing = ClosingNote()
    poller.watch(FD, NotingWaiter(wants_write=True))
    poller.retire(FD, closing)
    assert (loop.readers, loop.writers, closing.closed) == ({}, {}, 0)
    poller.close_retired()
    poller.close()
    assert closing.closed == 1


def test_waiter_that_retires_itself_is_not_registered_again(
    poller: PortablePoller, loop: HandDrivenLoop, calls: list[str]
):
    poller.watch(FD, NotingWaiter(lambda: poller.retire(FD, ClosingNote())))
    loop.readers[FD]()
    assert (loop.readers, calls) == ({}, ["before", "after"])


def test_failure_is_told_to_the_waiter(
    poller: PortablePoller, loop: HandDrivenLoop, calls: list[str]
):
    fault = ValueError("a fault of our own")

    def fail() -> None:
        raise fault

    waiter = NotingWaiter(fail)
    poller.watch(FD, waiter)
    loop.readers[FD]()
    assert waiter.failures == [fault]
    assert calls == ["before", "after"]


def test_paused_listener_can_be_watched_again(poller: PortablePoller, loop: HandDrivenLoop):
    listener = NotingWaiter()
    poller.watch_listener(FD, listener)
    poller.pause_listener(FD)
    assert loop.readers == {}
    poller.watch_listener(FD, listener)
    loop.readers[FD]()
    assert listener.masks == [READABLE]
