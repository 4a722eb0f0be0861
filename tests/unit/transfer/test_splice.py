"""A relay over a played kernel: what it asks of it, what it says of the answers, and what it holds meanwhile."""

from __future__ import annotations

import errno
import itertools
import os
import select
import socket
import sys
import types
from collections.abc import Iterator

import pytest

from carrying import AGAIN, Act, failing
from chute.errors import PeerGone, SourceEnded, SourceFailed, TransferError
from chute.transfer import splice
from chute.transfer.carrier import PEER_ERRORS
from chute.transfer.pipes import PipePool
from chute.transfer.progress import WOULD_BLOCK
from chute.transfer.sending import MSG_MORE
from chute.transfer.splice import COPY_BYTES, MOVES_PER_STEP_MAX, Flow
from splicing import (
    AT_ONCE,
    EVERYTHING,
    MORE,
    Pairing,
    PlayedKernel,
    carry_by_edges,
    carry_played,
    line,
    open_fds,
    tcp_pair,
    unix_pair,
)

if sys.platform != "linux":
    pytest.skip("splice(2) exists on Linux only", allow_module_level=True)

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def pipes() -> Iterator[PipePool]:
    """A pool of which every pipe is given back in the end."""
    before = open_fds()
    pool = PipePool(2)
    yield pool
    assert pool.in_use == 0, "a pipe was not given back"
    pool.close()
    assert open_fds() == before


def names(kernel: PlayedKernel) -> list[str]:
    return [name for name, _, _, _ in kernel.calls]


def test_step_moves_the_named_bytes_and_reports_short_counts(pipes: PipePool):
    pipe = pipes.take()
    assert pipe is not None
    with line() as laid:
        laid.origin.send(b"0123456789")
        laid.source.settimeout(5)
        laid.source.recv(10, socket.MSG_PEEK)
        assert splice.splice_step(laid.source.fileno(), pipe.write_fd, 4, AT_ONCE) == 4
        assert splice.splice_step(laid.source.fileno(), pipe.write_fd, 100, AT_ONCE) == 6
        assert splice.splice_step(pipe.read_fd, laid.target.fileno(), 7, AT_ONCE) == 7
        assert laid.read(7) == b"0123456"
        assert os.read(pipe.read_fd, 100) == b"789"
    pipes.give_back(pipe)


def test_step_turns_eagain_into_a_value_and_the_end_into_zero(pipes: PipePool):
    pipe = pipes.take()
    assert pipe is not None
    with line() as laid:
        assert splice.splice_step(laid.source.fileno(), pipe.write_fd, 4, AT_ONCE) == WOULD_BLOCK
        laid.origin.close()
        laid.source.settimeout(5)
        assert laid.source.recv(1) == b""
        assert splice.splice_step(laid.source.fileno(), pipe.write_fd, 4, AT_ONCE) == 0
    pipes.give_back(pipe)


def test_step_raises_every_other_error():
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        splice.splice_step(1 << 20, 1 << 20, 1, AT_ONCE)


def test_step_says_so_where_there_is_no_splice(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(splice, "sys", types.SimpleNamespace(platform="darwin"))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSYS)):
        splice.splice_step(0, 1, 1, 0)


def test_urgent_mark_is_seen_where_it_is():
    near, far = tcp_pair()
    with near, far:
        near.send(b"a")
        assert not splice.is_at_urgent_mark(far.fileno())
        near.send(b"!", socket.MSG_OOB)
        urgent = select.poll()
        urgent.register(far, select.POLLPRI)
        assert urgent.poll(5000)
        assert not splice.is_at_urgent_mark(far.fileno())
        far.recv(1)
        assert splice.is_at_urgent_mark(far.fileno())


def test_what_has_no_urgent_data_is_at_no_mark(pipes: PipePool):
    pipe = pipes.take()
    assert pipe is not None
    assert not splice.is_at_urgent_mark(pipe.read_fd)
    pipes.give_back(pipe)


def test_bytes_go_from_source_to_target_and_never_into_this_process(pipes: PipePool):
    kernel = PlayedKernel(CONTENT + b"next")
    relay = kernel.relay(pipes, count=len(CONTENT))
    with kernel.plugged():
        assert relay.step(EVERYTHING) is Flow.DONE
    assert kernel.accepted == CONTENT
    assert relay.received == relay.carried == len(CONTENT)
    assert relay.carried_by == b"splice"
    assert names(kernel) == ["pull", "push"]


def test_end_of_input_is_confirmed_by_one_recv(pipes: PipePool):
    """Splice also says 0 when urgent data is in the way."""
    kernel = PlayedKernel(CONTENT)
    relay = kernel.relay(pipes)
    with kernel.plugged():
        assert relay.step(EVERYTHING) is Flow.ENDED
    assert kernel.accepted == CONTENT
    assert names(kernel) == ["pull", "push", "pull", "recv"]
    assert relay.carried_by == b"splice"


@pytest.mark.parametrize("count", [0, len(CONTENT), None], ids=["nothing", "a count", "the end"])
def test_relay_that_is_over_stays_over_and_asks_nothing(pipes: PipePool, count: int | None):
    kernel = PlayedKernel(CONTENT)
    relay = kernel.relay(pipes, count=count)
    with kernel.plugged():
        last = relay.step(EVERYTHING)
        calls = len(kernel.calls)
        assert relay.step(EVERYTHING) is last is (Flow.ENDED if count is None else Flow.DONE)
    assert len(kernel.calls) == calls
    assert calls == 0 or count != 0


@pytest.mark.parametrize("copy_reason", [None, b"off"], ids=["splice", "copying"])
def test_source_is_never_asked_for_a_byte_beyond_the_count(
    pipes: PipePool, copy_reason: bytes | None
):
    kernel = PlayedKernel(CONTENT, [100, 30, AGAIN, 4000])
    relay = kernel.relay(pipes, count=5000, copy_reason=copy_reason)
    taken = 0
    with kernel.plugged():
        carry_played(kernel, relay)
    for name, wanted, _, moved in kernel.calls:
        if name in ("pull", "recv"):
            assert taken + wanted <= 5000
            taken += 0 if isinstance(moved, OSError) else moved
    assert kernel.taken == 5000
    assert kernel.accepted == CONTENT[:5000]


def test_source_is_not_read_while_the_target_is_behind(pipes: PipePool):
    kernel = PlayedKernel(CONTENT, [4000, 10, AGAIN, AGAIN, 10, AGAIN])
    relay = kernel.relay(pipes)
    with kernel.plugged():
        for carried in (10, 10, 20):
            assert relay.step(EVERYTHING) is Flow.TARGET_FULL
            assert (relay.received, relay.carried) == (4000, carried)
            kernel.tell_target()
    assert len(kernel.named("pull")) == 1
    relay.abandon()


def test_no_more_is_pulled_than_the_pipe_takes():
    kernel = PlayedKernel(CONTENT)
    pool = PipePool(1, 4096)
    with kernel.plugged():
        kernel.relay(pool).step(EVERYTHING)
    assert {wanted for _, wanted, _, _ in kernel.named("pull")} == {4096}
    pool.close()


def test_pipe_is_held_only_while_the_target_is_behind(pipes: PipePool):
    kernel = PlayedKernel(CONTENT, [AGAIN, 500, 100, AGAIN, 300, 50, EVERYTHING, AGAIN])
    relay = kernel.relay(pipes)
    with kernel.plugged():
        assert pipes.in_use == 0
        assert relay.step(EVERYTHING) is Flow.SOURCE_EMPTY
        assert pipes.in_use == 0
        kernel.tell_source()
        assert relay.step(EVERYTHING) is Flow.TARGET_FULL
        assert pipes.in_use == 1
        kernel.tell_target()
        assert relay.step(300) is Flow.YIELDED
        assert pipes.in_use == 1
        assert relay.step(EVERYTHING) is Flow.SOURCE_EMPTY
        assert (relay.carried, pipes.in_use) == (500, 0)
        kernel.tell_source()
        carry_played(kernel, relay)
    assert kernel.accepted == CONTENT
    assert pipes.idle == 1


def test_more_is_said_only_of_bytes_that_are_held(pipes: PipePool):
    """That more is expected is no reason: the last segment would wait 200 ms for it."""
    kernel = PlayedKernel(CONTENT, [1000, 100, AGAIN])
    relay = kernel.relay(pipes, count=2000)
    with kernel.plugged():
        assert relay.step(EVERYTHING) is Flow.TARGET_FULL
        kernel.tell_target()
        assert relay.step(500) is Flow.YIELDED
        assert relay.step(EVERYTHING) is Flow.DONE
    assert [(offered, flags & MORE) for _, offered, flags, _ in kernel.named("push")] == [
        (1000, 0),
        (900, 0),
        (500, MORE),
        (400, 0),
        (1000, 0),
    ]


def test_copying_says_more_by_the_same_rule(pipes: PipePool):
    kernel = PlayedKernel(CONTENT, [1000, 100, AGAIN])
    relay = kernel.relay(pipes, count=2000, copy_reason=b"off")
    with kernel.plugged():
        assert relay.step(EVERYTHING) is Flow.TARGET_FULL
        kernel.tell_target()
        assert relay.step(500) is Flow.YIELDED
        assert relay.step(EVERYTHING) is Flow.DONE
    assert [call[1:3] for call in kernel.named("send")] == [
        (1000, 0),
        (900, 0),
        (500, MSG_MORE),
        (400, 0),
        (1000, 0),
    ]


@pytest.mark.parametrize("copy_reason", [None, b"off"], ids=["splice", "copying"])
def test_turn_ends_with_its_budget(pipes: PipePool, copy_reason: bytes | None):
    kernel = PlayedKernel(CONTENT)
    relay = kernel.relay(pipes, count=10, copy_reason=copy_reason)
    with kernel.plugged():
        assert relay.step(0) is Flow.YIELDED
        assert kernel.calls == []
        assert relay.step(4) is Flow.YIELDED
        assert (relay.received, relay.carried) == (4, 4)
        assert relay.step(6) is Flow.DONE, "used up exactly at the end"


def test_turn_of_a_source_of_single_bytes_ends_too(pipes: PipePool):
    kernel = PlayedKernel(CONTENT, otherwise=1)
    relay = kernel.relay(pipes)
    with kernel.plugged():
        assert relay.step(EVERYTHING) is Flow.YIELDED
    assert len(kernel.calls) == MOVES_PER_STEP_MAX
    assert kernel.accepted == CONTENT[: MOVES_PER_STEP_MAX // 2]
    relay.abandon()


def test_input_that_ends_before_the_count_says_how_far_it_came(pipes: PipePool):
    kernel = PlayedKernel(CONTENT[:700])
    relay = kernel.relay(pipes, count=1000)
    with kernel.plugged(), pytest.raises(SourceEnded, match="ended at 700 of 1000") as caught:
        relay.step(EVERYTHING)
    assert (caught.value.sent, caught.value.expected) == (700, 1000)
    assert kernel.accepted == CONTENT[:700]


@pytest.mark.parametrize("number", [errno.ECONNRESET, errno.ETIMEDOUT, errno.EIO, errno.ENOMEM])
def test_source_that_fails_is_told_from_a_target_that_fails(pipes: PipePool, number: int):
    kernel = PlayedKernel(CONTENT, [300, EVERYTHING, failing(number)])
    relay = kernel.relay(pipes)
    with (
        kernel.plugged(),
        pytest.raises(SourceFailed, match=errno.errorcode[number]) as caught,
    ):
        relay.step(EVERYTHING)
    assert caught.value.sent == 300 == len(kernel.accepted)


@pytest.mark.parametrize("number", sorted(PEER_ERRORS), ids=errno.errorcode.get)
def test_target_that_is_gone_takes_the_bytes_in_the_pipe_with_it(pipes: PipePool, number: int):
    kernel = PlayedKernel(CONTENT, [300, 100, failing(number)])
    relay = kernel.relay(pipes)
    with kernel.plugged(), pytest.raises(PeerGone, match=errno.errorcode[number]) as caught:
        relay.step(EVERYTHING)
    assert caught.value.sent == 100
    assert (pipes.in_use, pipes.idle) == (0, 0), "the pipe holds 200 bytes of somebody"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOBUFS])
def test_target_that_fails_otherwise_is_no_peer_that_is_gone(pipes: PipePool, number: int):
    kernel = PlayedKernel(CONTENT, [300, failing(number)])
    with kernel.plugged(), pytest.raises(TransferError) as caught:
        kernel.relay(pipes).step(EVERYTHING)
    assert type(caught.value) is TransferError


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ([failing(errno.ECONNRESET)], SourceFailed),
        ([300, failing(errno.ECONNRESET)], PeerGone),
        ([300, failing(errno.EINVAL)], TransferError),
    ],
    ids=["source", "peer", "otherwise"],
)
def test_copying_tells_failures_apart_as_splicing_does(
    pipes: PipePool, script: list[Act], expected: type[TransferError]
):
    relay = PlayedKernel(CONTENT, script).relay(pipes, copy_reason=b"off")
    with pytest.raises(TransferError) as caught:
        relay.step(EVERYTHING)
    assert type(caught.value) is expected


@pytest.mark.parametrize("copy_reason", [None, b"off"], ids=["splice", "copying"])
def test_target_that_takes_nothing_is_not_asked_for_ever(
    pipes: PipePool, copy_reason: bytes | None
):
    kernel = PlayedKernel(CONTENT, [300, 0])
    with kernel.plugged(), pytest.raises(TransferError, match="took nothing"):
        kernel.relay(pipes, copy_reason=copy_reason).step(EVERYTHING)


UNSUPPORTED = [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM]


@pytest.mark.parametrize("number", UNSUPPORTED, ids=errno.errorcode.get)
def test_t33_source_that_cannot_be_spliced_is_copied_and_not_asked_again(
    pipes: PipePool, number: int
):
    kernel = PlayedKernel(CONTENT, [failing(number), 1000])
    relay = kernel.relay(pipes)
    with kernel.plugged():
        assert carry_played(kernel, relay) is Flow.ENDED
    assert kernel.accepted == CONTENT
    assert relay.carried_by == b"copy:" + errno.errorcode[number].encode()
    assert len(kernel.named("pull")) == 1


@pytest.mark.parametrize("number", UNSUPPORTED, ids=errno.errorcode.get)
@pytest.mark.parametrize("already", [0, 77], ids=["at once", "after some bytes"])
def test_t33_target_that_cannot_be_spliced_gets_what_is_in_the_pipe_first(
    pipes: PipePool, number: int, already: int
):
    content = os.urandom(3 * COPY_BYTES + 5)
    refusal = failing(number)
    script: list[Act] = [EVERYTHING, *([already] if already else []), refusal, 9, AGAIN]
    kernel = PlayedKernel(content, script)
    relay = kernel.relay(pipes)
    with kernel.plugged():
        assert carry_played(kernel, relay) is Flow.ENDED
    assert kernel.accepted == content
    assert relay.carried_by == b"copy:" + errno.errorcode[number].encode()
    assert max(offered for _, offered, _, _ in kernel.named("send")) <= COPY_BYTES
    refused, *later = itertools.dropwhile(lambda call: call[3] is not refusal, kernel.calls)
    assert refused[0] == "push"
    assert {name for name, _, _, _ in later} == {"send", "recv"}


def test_copying_keeps_one_chunk(pipes: PipePool):
    kernel = PlayedKernel(os.urandom(3 * COPY_BYTES), [EVERYTHING, AGAIN])
    relay = kernel.relay(pipes, copy_reason=b"tls")
    with kernel.plugged():
        assert relay.step(EVERYTHING) is Flow.TARGET_FULL
        assert (relay.received, relay.carried) == (COPY_BYTES, 0)
        kernel.tell_target()
        assert carry_played(kernel, relay) is Flow.ENDED
    assert kernel.accepted == kernel.content
    assert relay.carried_by == b"copy:tls"
    assert set(names(kernel)) == {"recv", "send"}


def test_system_without_splice_copies(pipes: PipePool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(splice, "IS_AVAILABLE", False)
    monkeypatch.delattr(os, "splice")
    kernel = PlayedKernel(CONTENT)
    relay = kernel.relay(pipes)
    assert carry_played(kernel, relay) is Flow.ENDED
    assert kernel.accepted == CONTENT
    assert relay.carried_by == b"copy:ENOSYS"


def test_t29_relay_copies_while_no_pipe_is_left_and_splices_again_afterwards(pipes: PipePool):
    taken = [pipes.take(), pipes.take()]
    kernel = PlayedKernel(CONTENT, [10, 10, AGAIN])
    relay = kernel.relay(pipes)
    with kernel.plugged():
        assert relay.step(EVERYTHING) is Flow.SOURCE_EMPTY
        assert names(kernel) == ["recv", "send", "recv"]
        for pipe in taken:
            assert pipe is not None
            pipes.give_back(pipe)
        kernel.tell_source()
        assert carry_played(kernel, relay) is Flow.ENDED
    assert kernel.accepted == CONTENT
    assert "push" in names(kernel)
    assert relay.carried_by == b"copy:pipes", "one byte that was copied is enough to say so"


@pytest.mark.parametrize("ends_at_marks", [False, True], ids=["EAGAIN", "end of input"])
def test_urgent_mark_neither_stalls_nor_ends_a_relay(pipes: PipePool, *, ends_at_marks: bool):
    kernel = PlayedKernel(CONTENT, marks=[0, 300, 301, len(CONTENT)], ends_at_marks=ends_at_marks)
    relay = kernel.relay(pipes)
    with kernel.plugged():
        assert carry_played(kernel, relay) is Flow.ENDED
    assert kernel.accepted == CONTENT
    assert relay.carried_by == b"copy:urgent"


def test_silent_source_is_copied_from_only_at_a_mark(pipes: PipePool):
    kernel = PlayedKernel(CONTENT, [AGAIN])
    with kernel.plugged():
        assert kernel.relay(pipes).step(EVERYTHING) is Flow.SOURCE_EMPTY
    assert names(kernel) == ["pull"]


def test_abandoned_pipe_is_closed_with_what_it_holds(pipes: PipePool):
    kernel = PlayedKernel(CONTENT, [500, 100, AGAIN])
    relay = kernel.relay(pipes)
    with kernel.plugged():
        relay.step(EVERYTHING)
    relay.abandon()
    relay.abandon()
    assert (pipes.in_use, pipes.idle) == (0, 0)


@pytest.mark.parametrize("end", ["abandoned", "failed"])
def test_relay_that_was_abandoned_or_failed_carries_no_more(pipes: PipePool, end: str):
    """A socket tells its error once: a second look would take the failure for a proper end."""
    kernel = PlayedKernel(CONTENT, [failing(errno.ECONNRESET)])
    relay = kernel.relay(pipes)
    with kernel.plugged():
        if end == "abandoned":
            relay.abandon()
        else:
            with pytest.raises(SourceFailed):
                relay.step(EVERYTHING)
        with pytest.raises(AssertionError, match="carried on"):
            relay.step(EVERYTHING)


def test_pipe_of_a_step_that_was_interrupted_goes_back_by_the_kernels_count(pipes: PipePool):
    """Ctrl-C between a call and its counting: the relay thinks that the pipe is empty, the pool asks."""
    kernel = PlayedKernel(CONTENT)
    relay = kernel.relay(pipes)

    def interrupted(source: int, target: int, count: int, *, flags: int) -> int:
        kernel.splice(source, target, count, flags=flags)
        raise KeyboardInterrupt

    with kernel.plugged(), pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "splice", interrupted)
        with pytest.raises(KeyboardInterrupt):
            relay.step(EVERYTHING)
    assert kernel.taken > 0
    assert (pipes.in_use, pipes.idle) == (0, 0)


def test_negative_count_is_refused(pipes: PipePool):
    with pytest.raises(AssertionError, match="negative"):
        PlayedKernel(b"").relay(pipes, count=-1)


@pytest.mark.parametrize("pairing", [tcp_pair, unix_pair])
def test_sockets_are_neither_duplicated_nor_changed(pairing: Pairing):
    with line(pairing, pairing) as laid:
        before = open_fds()
        laid.origin.send(b"through")
        assert carry_by_edges(laid, laid.relay(7)) is Flow.DONE
        assert open_fds() == before + 2 * laid.pipes.idle
        assert not os.get_blocking(laid.source.fileno())
        assert not os.get_blocking(laid.target.fileno())
