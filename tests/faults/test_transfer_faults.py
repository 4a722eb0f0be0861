"""Every call of a transfer fails once, in every way.

Invariant, whatever fails and wherever: what the socket accepted is a prefix of the right bytes; either all of it
arrives, or a typed error says how much did; and every file is given back. Each test goes on failing the next call
until a run is over before its fault came up: the clean pass.
"""

from __future__ import annotations

import errno
import itertools
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from carrying import EVERYTHING, SOCKET_FD, Act, PlayedSocket, carry, failing
from chute.errors import FileShrank, PeerGone, TransferError
from chute.transfer.outbox import Outbox
from chute.transfer.source import CLOSED, FileSpan, Piece, SharedFile

CONTENT = os.urandom(5000)
HEAD, MIDDLE, END = b"head\r\n\r\n", b"--part--", b"--end--"
EXPECTED = HEAD + CONTENT[100:2100] + MIDDLE + CONTENT[3000:4500] + END
STEP_BYTES = 700
"""What the played socket takes at once, so that every piece needs several calls."""

_real_pread = os.pread


class Outcome(NamedTuple):
    error: TransferError | None
    played: PlayedSocket
    already_sent: int
    carried: bytes

    @property
    def accepted(self) -> bytes:
        return bytes(self.played.accepted)


Transfer = Callable[..., Outcome]
"""The `transfer` fixture: a script in, what came of it out."""


class FaultAt:
    """A script for a `PlayedSocket`: call number `n` meets `fault`, the others take `STEP_BYTES`."""

    def __init__(self, n: int, fault: Act) -> None:
        self.n, self.fault = n, fault
        self.has_struck = False

    def __iter__(self) -> Iterator[Act]:
        for number in itertools.count():
            self.has_struck = self.has_struck or number >= self.n
            yield self.fault if number == self.n else STEP_BYTES


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "content"
    place.write_bytes(CONTENT)
    return place


@pytest.fixture
def transfer(path: Path, monkeypatch: pytest.MonkeyPatch) -> Transfer:
    """Carry `EXPECTED` over a played socket, and check what must hold in every outcome."""

    def run(script: FaultAt, *, copy_reason: bytes | None = None, already_sent: int = 0) -> Outcome:
        played = PlayedSocket(script)
        monkeypatch.setattr(os, "sendfile", played.sendfile)
        file = SharedFile(os.open(path, os.O_RDONLY))
        pieces: tuple[Piece, ...] = (
            HEAD,
            FileSpan(file, 100, 2000),
            MIDDLE,
            FileSpan(file, 3000, 1500),
            END,
        )
        outbox = Outbox(
            SOCKET_FD, played.send, pieces, already_sent=already_sent, copy_reason=copy_reason
        )
        file.release()
        error = None
        try:
            carry(outbox, lambda: 1000)
        except TransferError as caught:
            error = caught
            outbox.abandon()
        assert file.fd == CLOSED, "the file was not given back"
        outcome = Outcome(error, played, already_sent, outbox.carried)
        check_conserved(outcome, outbox)
        return outcome

    return run


def check_conserved(outcome: Outcome, outbox: Outbox) -> None:
    reached = outcome.already_sent + len(outcome.accepted)
    assert outcome.accepted == EXPECTED[outcome.already_sent : reached]
    assert outbox.sent == reached
    if outcome.error is None:
        assert reached == len(EXPECTED)
    else:
        assert outcome.error.sent == reached


def until_a_clean_pass(run: Callable[[FaultAt], Outcome], fault: Act) -> Iterator[Outcome]:
    """Yield the outcome for the fault at call 0, 1, 2... until there is no such call."""
    for n in range(1000):
        script = FaultAt(n, fault)
        outcome = run(script)
        if not script.has_struck:
            assert outcome.error is None
            assert n >= 2, "the transfer is too short to prove anything"
            return
        yield outcome
    raise AssertionError("there is no clean pass")


def failed_call(outcome: Outcome) -> tuple[int, str]:
    """Return the number and the name of the call that met an error."""
    ((number, name),) = (
        (number, call[0])
        for number, call in enumerate(outcome.played.calls)
        if isinstance(call[3], OSError)
    )
    return number, name


def is_before_first_byte_of_a_span(outcome: Outcome, number: int) -> bool:
    accepted = sum(call[3] for call in outcome.played.calls[:number] if isinstance(call[3], int))
    starts = (len(HEAD), len(HEAD) + 2000 + len(MIDDLE))
    return outcome.already_sent + accepted in starts


BOTH_WAYS = pytest.mark.parametrize("copy_reason", [None, b"off"], ids=["sendfile", "copying"])


@BOTH_WAYS
@pytest.mark.parametrize("fault", [failing(errno.EAGAIN), 1, 3], ids=["EAGAIN", "one", "three"])
def test_t05_waiting_and_short_counts_lose_and_repeat_nothing(
    transfer: Transfer, fault: Act, copy_reason: bytes | None
):
    for outcome in until_a_clean_pass(lambda at: transfer(at, copy_reason=copy_reason), fault):
        assert outcome.error is None
        assert outcome.accepted == EXPECTED


@pytest.mark.parametrize(
    "number", [errno.EINVAL, errno.ENOSYS, errno.EIO, errno.EOPNOTSUPP], ids=errno.errorcode.get
)
def test_t33_copying_takes_over_before_the_first_byte_of_a_span_and_never_after(
    transfer: Transfer, number: int
):
    seen = set()
    for outcome in until_a_clean_pass(transfer, failing(number)):
        at, name = failed_call(outcome)
        falls_back = name == "sendfile" and is_before_first_byte_of_a_span(outcome, at)
        seen.add((name, falls_back))
        if falls_back:
            assert outcome.error is None
            assert outcome.carried == b"copy:" + errno.errorcode[number].encode()
            assert {call[0] for call in outcome.played.calls[at + 1 :]} == {"send"}
        else:
            assert type(outcome.error) is TransferError
            assert len(outcome.played.calls) == at + 1
    assert seen == {("send", False), ("sendfile", True), ("sendfile", False)}


@BOTH_WAYS
@pytest.mark.parametrize("number", [errno.EPIPE, errno.ECONNRESET], ids=errno.errorcode.get)
def test_t09_peer_that_is_gone_ends_the_transfer_at_once(
    transfer: Transfer, number: int, copy_reason: bytes | None
):
    for outcome in until_a_clean_pass(
        lambda at: transfer(at, copy_reason=copy_reason), failing(number)
    ):
        assert isinstance(outcome.error, PeerGone)
        assert len(outcome.played.calls) == failed_call(outcome)[0] + 1


def test_t33_zero_from_sendfile_in_the_middle_of_a_file_is_copied_around(transfer: Transfer):
    """It moved nothing, so copying goes on at the exact offset; whether the file has ended, the file itself says."""
    copied = 0
    for outcome in until_a_clean_pass(transfer, 0):
        assert outcome.error is None
        assert outcome.accepted == EXPECTED
        copied += outcome.carried == b"copy:zero"
    assert copied >= 5


def test_t01_zero_from_sendfile_at_the_end_of_the_file_is_a_file_that_shrank(
    transfer: Transfer, path: Path
):
    for end in range(0, 4400, 100):
        os.truncate(path, end)
        outcome = transfer(FaultAt(1 << 30, 0))
        path.write_bytes(CONTENT)
        assert isinstance(outcome.error, FileShrank)
        assert outcome.error.expected == len(EXPECTED)
        assert outcome.played.calls[-1][0] == "sendfile"


@pytest.mark.parametrize("already_sent", [3, len(HEAD), 500, len(HEAD) + 2000, 3000])
@pytest.mark.parametrize(
    "number", [errno.EAGAIN, errno.EINVAL, errno.ECONNRESET], ids=errno.errorcode.get
)
def test_t05_transfer_that_was_begun_elsewhere_conserves_bytes_too(
    transfer: Transfer, number: int, already_sent: int
):
    for outcome in until_a_clean_pass(
        lambda at: transfer(at, already_sent=already_sent), failing(number)
    ):
        is_begun_span = already_sent in (500, 3000) and failed_call(outcome) == (0, "sendfile")
        if number == errno.EINVAL and is_begun_span:
            assert type(outcome.error) is TransferError
            assert outcome.accepted == b""


class FailingPread:
    """os.pread whose call number `n` meets a fault: an error, or at most so many bytes."""

    def __init__(self, n: int, fault: Act) -> None:
        self.n, self.fault = n, fault
        self.count = 0

    def __call__(self, fd: int, count: int, offset: int) -> bytes:
        number, self.count = self.count, self.count + 1
        if number != self.n:
            return _real_pread(fd, count, offset)
        if isinstance(self.fault, OSError):
            raise self.fault
        return _real_pread(fd, min(count, self.fault), offset)


READ_FAULTS: dict[str, tuple[Act, type[TransferError] | None]] = {
    "EIO": (failing(errno.EIO), TransferError),
    "ESTALE": (failing(errno.ESTALE), TransferError),
    "short": (3, None),
    "zero": (0, FileShrank),
}


@pytest.mark.parametrize(("fault", "expected"), READ_FAULTS.values(), ids=READ_FAULTS.keys())
def test_t28_disk_that_fails_while_copying_ends_the_transfer_where_it_is(
    transfer: Transfer,
    monkeypatch: pytest.MonkeyPatch,
    fault: Act,
    expected: type[TransferError] | None,
):
    for n in range(1000):
        pread = FailingPread(n, fault)
        monkeypatch.setattr(os, "pread", pread)
        outcome = transfer(FaultAt(1 << 30, 0), copy_reason=b"off")
        if pread.count <= n:
            break
        assert (None if outcome.error is None else type(outcome.error)) is expected
    assert n >= 5


def test_disk_that_fails_for_sendfile_and_for_copying_is_one_error(
    transfer: Transfer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "pread", FailingPread(0, failing(errno.EIO)))
    outcome = transfer(FaultAt(1, failing(errno.EIO)))
    assert type(outcome.error) is TransferError
    assert outcome.accepted == HEAD


@BOTH_WAYS
def test_abandoning_at_any_moment_gives_the_file_back(
    path: Path, monkeypatch: pytest.MonkeyPatch, copy_reason: bytes | None
):
    for turns in range(20):
        played = PlayedSocket(otherwise=EVERYTHING)
        monkeypatch.setattr(os, "sendfile", played.sendfile)
        file = SharedFile(os.open(path, os.O_RDONLY))
        pieces = (HEAD, FileSpan(file, 0, 600), MIDDLE, FileSpan(file, 600, 600))
        outbox = Outbox(SOCKET_FD, played.send, pieces, copy_reason=copy_reason)
        for _ in range(turns):
            outbox.flush(100)
        outbox.abandon()
        assert outbox.held_files() == []
        file.release()
        assert file.fd == CLOSED


def test_eintr_is_retried_below_us(path: Path):
    """PEP 475: a signal in the middle of sendfile(2) is no error here, and moves no byte twice.

    The socket blocks, so that the call is certain to be waiting when the alarm comes; what the handler reads
    makes the room that lets the call end.
    """
    ours, theirs = socket.socketpair()
    received = bytearray()

    def read_some(*_: object) -> None:
        received.extend(theirs.recv(1 << 20))
        signal.setitimer(
            signal.ITIMER_REAL, 0.01
        )  # not a repeating one: it could interrupt this handler

    with ours, theirs, path.open("rb") as file:
        os.truncate(path, 4 << 20)
        before = signal.signal(signal.SIGALRM, read_some)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        sent = 0
        try:
            while sent < 4 << 20:
                sent += os.sendfile(ours.fileno(), file.fileno(), sent, (4 << 20) - sent)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        ours.close()
        while data := theirs.recv(1 << 20):
            received += data
    assert len(received) == 4 << 20
    assert received.startswith(CONTENT)
    assert not received[len(CONTENT) :].strip(b"\0")
