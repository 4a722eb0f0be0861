"""Every call of a relay fails once, in every way.

Invariant, whatever fails and wherever: what the target accepted is a prefix of what the source had; either all of it
arrives, or a typed error says how much did; and no pipe is left with a byte in it, nor a descriptor. Each test goes on
failing the next call until a run is over before its fault came up: the clean pass.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from carrying import Act, failing
from chute.errors import PeerGone, SourceEnded, SourceFailed, TransferError
from chute.transfer.carrier import PEER_ERRORS
from chute.transfer.pipes import PipePool
from chute.transfer.splice import UNSUPPORTED
from splicing import PlayedKernel, carry_played, open_fds, unix_pair

if sys.platform != "linux":
    pytest.skip("splice(2) exists on Linux only", allow_module_level=True)

CONTENT = os.urandom(5000)
STEP_BYTES = 700
"""What each call moves, so that a transfer needs many."""
READS = {"pull", "recv"}


class FaultAt:
    """A script for a `PlayedKernel`: call number `n` meets `fault`, the others move `STEP_BYTES`."""

    def __init__(self, n: int, fault: Act) -> None:
        self.n, self.fault = n, fault
        self.has_struck = False

    def __iter__(self) -> Iterator[Act]:
        for number in itertools.count():
            self.has_struck = self.has_struck or number >= self.n
            yield self.fault if number == self.n else STEP_BYTES


class Outcome(NamedTuple):
    error: TransferError | None
    kernel: PlayedKernel
    carried_by: bytes


Transfer = Callable[..., Outcome]


@pytest.fixture(params=[len(CONTENT), None], ids=["a count", "to the end"])
def transfer(request: pytest.FixtureRequest) -> Transfer:
    """Carry `CONTENT` over a played kernel, and check what must hold in every outcome."""

    def run(script: FaultAt, *, copy_reason: bytes | None = None) -> Outcome:
        before, pipes = open_fds(), PipePool(1, 4096)
        kernel = PlayedKernel(CONTENT, script)
        relay = kernel.relay(pipes, count=request.param, copy_reason=copy_reason)
        error = None
        with kernel.plugged():
            try:
                carry_played(kernel, relay, lambda: 1000)
            except TransferError as caught:
                error = caught
        reached = len(kernel.accepted)
        assert kernel.accepted == CONTENT[:reached]
        assert relay.carried == reached == (len(CONTENT) if error is None else error.sent)
        assert pipes.in_use == 0
        assert pipes.idle == 0 or relay.received == relay.carried
        pipes.close()
        assert open_fds() == before
        return Outcome(error, kernel, relay.carried_by)

    return run


def until_a_clean_pass(run: Callable[[FaultAt], Outcome], fault: Act) -> Iterator[Outcome]:
    """Yield the outcome for the fault at call 0, 1, 2... until there is no such call."""
    for n in range(1000):
        script = FaultAt(n, fault)
        outcome = run(script)
        if not script.has_struck:
            assert outcome.error is None
            assert n >= 10, "the transfer is too short to prove anything"
            return
        yield outcome
    raise AssertionError("there is no clean pass")


def failed_call(outcome: Outcome) -> tuple[int, str]:
    """Return the number and the name of the call that met an error."""
    ((number, name),) = (
        (number, call[0])
        for number, call in enumerate(outcome.kernel.calls)
        if isinstance(call[3], OSError)
    )
    return number, name


BOTH_WAYS = pytest.mark.parametrize("copy_reason", [None, b"off"], ids=["splice", "copying"])


@BOTH_WAYS
@pytest.mark.parametrize("fault", [failing(errno.EAGAIN), 1, 3], ids=["EAGAIN", "one", "three"])
def test_t05_waiting_and_short_counts_lose_and_repeat_nothing(
    transfer: Transfer, fault: Act, copy_reason: bytes | None
):
    for outcome in until_a_clean_pass(lambda at: transfer(at, copy_reason=copy_reason), fault):
        assert outcome.error is None
        assert outcome.kernel.accepted == CONTENT


@pytest.mark.parametrize("number", sorted(UNSUPPORTED), ids=errno.errorcode.get)
def test_t33_copying_takes_over_at_the_byte_that_was_reached(transfer: Transfer, number: int):
    seen = set()
    for outcome in until_a_clean_pass(transfer, failing(number)):
        at, name = failed_call(outcome)
        seen.add(name)
        if name == "recv":  # the question whether the input has ended
            assert isinstance(outcome.error, SourceFailed)
            continue
        assert outcome.error is None
        later = {call[0] for call in outcome.kernel.calls[at + 1 :]}
        assert later <= {"recv", "send"}
        reason = b"copy:" + errno.errorcode[number].encode()
        assert outcome.carried_by == (reason if "send" in later else b"splice")
    assert seen - {"recv"} == {"pull", "push"}


@pytest.mark.parametrize("number", sorted(UNSUPPORTED), ids=errno.errorcode.get)
def test_copying_that_is_refused_too_is_an_error(transfer: Transfer, number: int):
    for outcome in until_a_clean_pass(lambda at: transfer(at, copy_reason=b"off"), failing(number)):
        _, name = failed_call(outcome)
        assert type(outcome.error) is (SourceFailed if name == "recv" else TransferError)


@BOTH_WAYS
@pytest.mark.parametrize("number", sorted(PEER_ERRORS), ids=errno.errorcode.get)
def test_t09_whoever_is_gone_is_named(transfer: Transfer, number: int, copy_reason: bytes | None):
    seen = set()
    for outcome in until_a_clean_pass(
        lambda at: transfer(at, copy_reason=copy_reason), failing(number)
    ):
        at, name = failed_call(outcome)
        seen.add(type(outcome.error))
        assert type(outcome.error) is (SourceFailed if name in READS else PeerGone)
        assert len(outcome.kernel.calls) == at + 1, "nothing was asked after that"
    assert seen == {SourceFailed, PeerGone}


@BOTH_WAYS
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOMEM, errno.EBADF], ids=errno.errorcode.get)
def test_errors_that_nobody_expects_are_typed_as_well(
    transfer: Transfer, number: int, copy_reason: bytes | None
):
    for outcome in until_a_clean_pass(
        lambda at: transfer(at, copy_reason=copy_reason), failing(number)
    ):
        _, name = failed_call(outcome)
        assert type(outcome.error) is (SourceFailed if name in READS else TransferError)


def test_t36_end_at_any_byte_before_the_count_is_an_error_with_that_byte():
    for end in range(0, 3000, 37):
        for copy_reason in (None, b"off"):
            pipes = PipePool(1, 4096)
            kernel = PlayedKernel(CONTENT[:end], FaultAt(3, failing(errno.EAGAIN)))
            relay = kernel.relay(pipes, count=3000, copy_reason=copy_reason)
            with kernel.plugged(), pytest.raises(SourceEnded) as caught:
                carry_played(kernel, relay)
            assert (caught.value.sent, caught.value.expected) == (end, 3000)
            assert kernel.accepted == CONTENT[:end]
            assert pipes.in_use == 0
            pipes.close()


def test_eintr_is_retried_below_us():
    """PEP 475: a signal in the middle of splice(2) is no error here, and moves no byte twice.

    The sockets block, so that the calls are certain to be waiting when the alarm comes; what the handler does makes
    the bytes and the room that let them end.
    """
    content = os.urandom(1 << 20)
    fed, received = 0, bytearray()
    origin, source = unix_pair()
    target, client = unix_pair()
    read_fd, write_fd = os.pipe()

    def help_on(*_: object) -> None:
        nonlocal fed
        try:
            received.extend(client.recv(1 << 20))
        except BlockingIOError:
            with contextlib.suppress(BlockingIOError):
                fed += origin.send(content[fed : fed + 50_000])
        # Armed again only now: a handler that interrupts itself would mix the bytes up.
        signal.setitimer(signal.ITIMER_REAL, 0.001)

    for end in (source, target):
        end.setblocking(True)
    before = signal.signal(signal.SIGALRM, help_on)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    carried = 0
    try:
        while carried < len(content):
            moved = os.splice(source.fileno(), write_fd, 65536)
            while moved:
                pushed = os.splice(read_fd, target.fileno(), moved)
                moved -= pushed
                carried += pushed
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        target.close()
        client.setblocking(True)
        while data := client.recv(1 << 20):
            received += data
        for end in (origin, source, client):
            end.close()
        os.close(read_fd)
        os.close(write_fd)
    assert received == content
