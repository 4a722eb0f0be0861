"""Properties of a relay.

Invariant: whatever comes of each call, and wherever the source or the target breaks, the bytes that the target has
accepted are a prefix of what the source had, each byte once and in order; `carried` is their number, and what is
`received` beyond it is held in a pipe or in one chunk. A relay waits only for what the kernel has said is not ready. It
ends with everything, or with a typed error that carries the count; and no pipe that it leaves behind holds a byte.
"""

from __future__ import annotations

import errno
import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from carrying import AGAIN, Act, failing
from chute.errors import PeerGone, SourceEnded, SourceFailed, TransferError
from chute.transfer.pipes import PipePool
from chute.transfer.splice import Flow
from splicing import PlayedKernel, carry_played, open_fds

if sys.platform != "linux":
    pytest.skip("splice(2) exists on Linux only", allow_module_level=True)

CONTENT = bytes(range(256)) * 8

SIZE = st.integers(0, len(CONTENT))
UNSUPPORTED = st.sampled_from([failing(number) for number in (errno.EINVAL, errno.ENOSYS)])
# Mostly a few bytes or EAGAIN, so that a transfer takes many calls; sometimes as much as there is.
ACT = st.integers(1, 300) | st.just(AGAIN) | st.just(len(CONTENT))
SCRIPT = st.lists(ACT, max_size=60)
BUDGETS = st.lists(st.integers(1, 700), min_size=1, max_size=8)
COPY_REASON = st.sampled_from([None, None, b"off"])
PIPES_MAX = st.sampled_from([0, 1, 1, 1])


@contextmanager
def pool_of(pipes_max: int) -> Iterator[PipePool]:
    """A pool of small pipes, which must come back empty or not at all."""
    before = open_fds()
    pipes = PipePool(pipes_max, 4096)
    yield pipes
    assert pipes.in_use == 0
    left = pipes.take()
    if left is not None:
        assert left.held_bytes() == 0
        pipes.give_back(left)
    pipes.close()
    assert open_fds() == before


@given(SIZE, st.none() | SIZE, SCRIPT, BUDGETS, COPY_REASON, PIPES_MAX)
def test_relay_conserves_bytes(
    size: int,
    count: int | None,
    script: list[Act],
    budgets: list[int],
    copy_reason: bytes | None,
    pipes_max: int,
):
    content = CONTENT[:size]
    kernel = PlayedKernel(content, script)
    error = last = None
    with pool_of(pipes_max) as pipes, kernel.plugged():
        relay = kernel.relay(pipes, count=count, copy_reason=copy_reason)
        try:
            last = carry_played(kernel, relay, itertools.cycle(budgets).__next__)
        except SourceEnded as caught:
            error = caught
    expected = content if count is None else content[:count]
    assert kernel.accepted == expected
    assert kernel.taken == relay.received == relay.carried == len(expected)
    if error is not None:
        assert count is not None
        assert size < count
        assert (error.sent, error.expected) == (size, count)
    else:
        assert last is (Flow.ENDED if count is None else Flow.DONE)
    is_spliced = copy_reason is None and (pipes_max > 0 or not expected)
    assert relay.carried_by == (b"splice" if is_spliced else b"copy:" + (copy_reason or b"pipes"))


class RefusingKernel(PlayedKernel):
    """Splices so many times, then refuses; being asked again after that is a fault."""

    def __init__(self, content: bytes, script: list[Act], refusal: OSError, after: int) -> None:
        super().__init__(content, script)
        self._refusal = refusal
        self._left = after

    @property
    def has_refused(self) -> bool:
        return self._left < 0

    def splice(self, source: int, target: int, count: int, *, flags: int) -> int:
        assert not self.has_refused
        self._left -= 1
        if self.has_refused:
            raise self._refusal
        return super().splice(source, target, count, flags=flags)


@given(SIZE, SCRIPT, BUDGETS, UNSUPPORTED, st.integers(0, 20))
def test_splice_that_is_refused_at_any_call_is_gone_on_with_by_copying(
    size: int, script: list[Act], budgets: list[int], refusal: OSError, after: int
):
    kernel = RefusingKernel(CONTENT[:size], script, refusal, after)
    with pool_of(1) as pipes, kernel.plugged():
        relay = kernel.relay(pipes)
        assert carry_played(kernel, relay, itertools.cycle(budgets).__next__) is Flow.ENDED
    assert kernel.accepted == kernel.content
    event("refused" if kernel.has_refused else "carried before that")
    copied = kernel.named("send")
    reason = b"copy:" + errno.errorcode[refusal.errno or 0].encode()
    assert relay.carried_by == (reason if copied else b"splice")


@given(
    st.lists(st.integers(0, len(CONTENT)), max_size=6),
    st.booleans(),
    SCRIPT,
    BUDGETS,
    st.none() | SIZE,
)
def test_urgent_marks_take_nothing_away(
    marks: list[int],
    ends_at_marks: bool,
    script: list[Act],
    budgets: list[int],
    count: int | None,
):
    kernel = PlayedKernel(CONTENT, script, marks=marks, ends_at_marks=ends_at_marks)
    with pool_of(1) as pipes, kernel.plugged():
        carry_played(kernel, kernel.relay(pipes, count=count), itertools.cycle(budgets).__next__)
    assert kernel.accepted == CONTENT[:count]


@given(SIZE, SCRIPT, BUDGETS, COPY_REASON, st.sampled_from(["source", "target"]))
def test_relay_that_breaks_says_how_far_it_came(
    at: int, script: list[Act], budgets: list[int], copy_reason: bytes | None, side: str
):
    kernel = PlayedKernel(
        CONTENT,
        script,
        source_fails_at=at if side == "source" else None,
        target_fails_at=at if side == "target" else None,
    )
    error: TransferError | None = None
    with pool_of(1) as pipes, kernel.plugged():
        relay = kernel.relay(pipes, copy_reason=copy_reason)
        try:
            carry_played(kernel, relay, itertools.cycle(budgets).__next__)
        except TransferError as caught:
            error = caught
    if side == "target" and at == len(CONTENT):
        assert error is None
    else:
        assert type(error) is (SourceFailed if side == "source" else PeerGone)
        assert error.sent == relay.carried == at
    assert kernel.accepted == CONTENT[:at]
    assert relay.received == kernel.taken


@given(SCRIPT, BUDGETS, COPY_REASON, st.integers(0, 30))
def test_relay_that_is_abandoned_leaves_nothing_behind(
    script: list[Act], budgets: list[int], copy_reason: bytes | None, steps: int
):
    kernel = PlayedKernel(CONTENT, script)
    with pool_of(1) as pipes, kernel.plugged():
        relay = kernel.relay(pipes, copy_reason=copy_reason)
        for _, budget in zip(range(steps), itertools.cycle(budgets), strict=False):
            relay.step(budget)
            kernel.tell_source()
            kernel.tell_target()
        assert kernel.accepted == CONTENT[: relay.carried]
        relay.abandon()
