"""Properties of transfers whose content comes and goes in the page cache.

Invariant: whatever is in memory, whatever is evicted and when, however much the socket takes and a turn may move, and
however long the peer pauses, the bytes that leave are the spans in their order, each byte once. A turn that ends with
COLD names bytes that begin where the transfer stands and end within the span; the turn after they were read moves at
least one, unless the socket takes none, so the transfer ends. The loop never stalls for what probing could have seen
(`disks` says what that is). At the end nobody holds the file.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import NamedTuple
from unittest import mock

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from carrying import AGAIN, SOCKET_FD, Act, PlayedSocket
from chute.transfer import carrier, copying, residency
from chute.transfer.method import Device, Residency
from chute.transfer.outbox import Outbox
from chute.transfer.progress import Progress
from chute.transfer.source import CLOSED, FileSpan, Piece, SharedFile
from disks import PAGE_BYTES, PlayedDisk

pytestmark = pytest.mark.skipif(
    not residency.IS_AVAILABLE, reason="nobody can ask what is in memory"
)

PAGES = 12
CONTENT = os.urandom(PAGES * PAGE_BYTES - 1000)
WINDOW_PAGES, WINDOW_PAGES_MAX, CHUNK_PAGES, READ_PAGES = 2, 6, 4, 3
AMPLE = 1 << 30

SPAN = st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(1, len(CONTENT))).map(
    lambda pair: (pair[0], min(pair[1], len(CONTENT) - pair[0]))
)
LONG_SPAN = st.tuples(st.integers(0, 3 * PAGE_BYTES), st.integers(5 * PAGE_BYTES, 8 * PAGE_BYTES))
FEW_PIECES = st.lists(SPAN | st.binary(min_size=1, max_size=60), max_size=2)
PIECES = st.tuples(FEW_PIECES, LONG_SPAN, FEW_PIECES).map(
    lambda parts: [*parts[0], parts[1], *parts[2]]
)
APPETITE = st.lists(st.integers(1, 3 * PAGE_BYTES) | st.just(AGAIN), max_size=12)
BUDGETS = st.lists(st.integers(900, 6 * PAGE_BYTES), min_size=1, max_size=4)
PAGE = st.integers(0, PAGES - 1)
RESIDENT = st.sets(PAGE) | st.just(set(range(PAGES)))
PAUSES_S = st.lists(st.sampled_from([0.0, 0.0, 0.4, 1.0, 5.0]), min_size=1, max_size=6)
EVICTED = st.none() | st.sets(PAGE, min_size=1, max_size=6) | st.just(frozenset(range(PAGES)))
EVICTIONS = st.lists(EVICTED, min_size=1, max_size=8)


OFTEN = settings(max_examples=400, deadline=None)
"""What goes wrong here takes several rare things in a row, and one example takes a millisecond."""


class Way(NamedTuple):
    """How a transfer is carried."""

    residency: Residency
    copy_reason: bytes | None = None
    holds_unsent: bool = False


ASKED = [Residency.PROBED, Residency.UNKNOWN]
WAYS = st.sampled_from(
    [
        Way(asked, *carrying)
        for asked in ASKED
        for carrying in [(None, False), (b"off", False), (b"tls", True)]
    ]
)


@pytest.fixture(scope="module")
def fd() -> Iterator[int]:
    with tempfile.TemporaryFile() as content:
        content.write(CONTENT)
        content.flush()
        yield content.fileno()


@pytest.fixture(autouse=True, scope="module")
def small_steps() -> Iterator[None]:
    """Let the sizes that matter fit many times into a file that is small enough for many examples."""
    with (
        mock.patch.object(carrier, "WINDOW_BYTES", WINDOW_PAGES * PAGE_BYTES),
        mock.patch.object(carrier, "WINDOW_BYTES_MAX", WINDOW_PAGES_MAX * PAGE_BYTES),
        mock.patch.object(residency, "PROBED_BYTES_MAX", CHUNK_PAGES * PAGE_BYTES),
        mock.patch.object(copying, "READ_BYTES", READ_PAGES * PAGE_BYTES),
    ):
        yield


class Tls:
    """A socket that takes all of an offer or nothing, and after nothing insists on the same bytes (SSL_write(3))."""

    def __init__(self, played: PlayedSocket) -> None:
        self._played = played
        self._promised = b""

    def send(self, data: bytes | memoryview, flags: int) -> int:
        data = bytes(data)
        assert data.startswith(self._promised), "other bytes than were offered before"
        self._promised = b""
        try:
            return self._played.send(data, flags)
        except BlockingIOError:
            self._promised = data
            raise


class Transfer:
    """An outbox, and what happens around it: evictions, pauses, reads in a thread."""

    def __init__(
        self, fd: int, drawn: list[bytes | tuple[int, int]], way: Way, appetite: list[Act]
    ) -> None:
        if way.holds_unsent:
            appetite = [act if act is AGAIN else AMPLE for act in appetite]
        self.played = PlayedSocket(appetite, otherwise=AMPLE)
        self.disk = PlayedDisk(self.played)
        self.disk.answers_probes = way.residency is Residency.PROBED
        self.file = SharedFile(os.dup(fd), Device(None, way.residency))
        self.pieces: list[Piece] = [
            piece if isinstance(piece, bytes) else FileSpan(self.file, *piece) for piece in drawn
        ]
        self.outbox = Outbox(
            SOCKET_FD,
            Tls(self.played).send if way.holds_unsent else self.played.send,
            tuple(self.pieces),
            copy_reason=way.copy_reason,
            holds_unsent=way.holds_unsent,
        )
        # What TLS was offered once is offered again whole, however small the budget has become.
        self.over_budget_max = READ_PAGES * PAGE_BYTES if way.holds_unsent else 0
        self.was_cold = False
        self.reads = 0

    def turn(self, budget: int, around_the_read: Callable[[], None]) -> Progress:
        """Take one turn, and see what it did; after COLD, have read what it wants."""
        before = self.outbox.sent
        progress = self.outbox.flush(budget)
        moved = self.outbox.sent - before
        assert moved <= budget + self.over_budget_max
        assert self.outbox.sent == len(self.played.accepted)
        if self.was_cold:
            assert moved > 0 or progress is Progress.BLOCKED, "what was read was of no use"
        self.was_cold = progress is Progress.COLD
        if progress is Progress.YIELDED:
            assert budget <= moved
        elif progress is Progress.COLD:
            self.check_wanted()
            around_the_read()
            outcome = self.disk.read(self.outbox.wanted)
            self.reads += 1
            around_the_read()
            self.outbox.was_read(outcome)
            assert self.outbox.wanted is None
        else:
            assert self.outbox.wanted is None
        return progress

    def check_wanted(self) -> None:
        """What is wanted begins at the next byte, and ends within its span."""
        wanted = self.outbox.wanted
        assert wanted is not None
        start = 0
        for piece in self.pieces:
            size = len(piece) if isinstance(piece, bytes) else piece.count
            if self.outbox.sent < start + size:
                break
            start += size
        assert isinstance(piece, FileSpan)
        assert wanted.file is piece.file
        assert wanted.offset == piece.offset + self.outbox.sent - start
        assert 1 <= wanted.count <= piece.offset + piece.count - wanted.offset


def expected_of(drawn: list[bytes | tuple[int, int]]) -> bytes:
    return b"".join(
        piece if isinstance(piece, bytes) else CONTENT[piece[0] : piece[0] + piece[1]]
        for piece in drawn
    )


def turns_max(drawn: list[bytes | tuple[int, int]], appetite: list[Act], budget: int) -> int:
    """How many turns a transfer may take: two for each window, one that wants it and one that uses it.

    Each time the socket is full costs a turn, and a pause at which a window may be lost.
    """
    windows = len(expected_of(drawn)) // min(budget, WINDOW_PAGES * PAGE_BYTES) + 1
    return 2 * (windows + len(drawn)) + 3 * len(appetite)


def check_over(transfer: Transfer, drawn: list[bytes | tuple[int, int]]) -> None:
    assert transfer.played.accepted == expected_of(drawn)
    assert transfer.outbox.held_files() == []
    assert transfer.file.fd != CLOSED
    transfer.file.release()
    assert transfer.file.fd == CLOSED, "somebody still holds the file"


class Weather(NamedTuple):
    """What happens around a transfer: what is in memory in the beginning, and what goes on from there.

    Attributes:
        evictions: what is dropped after each system call and around each read, in turns.
        pauses_s: how long the peer takes between two turns, in turns.
    """

    resident: set[int]
    evictions: list[frozenset[int] | None]
    pauses_s: list[float]


WEATHER = st.builds(Weather, RESIDENT, EVICTIONS, PAUSES_S)


def carried_through(
    fd: int,
    drawn: list[bytes | tuple[int, int]],
    way: Way,
    appetite: list[Act],
    budgets: list[int],
    weather: Weather,
) -> Transfer:
    transfer = Transfer(fd, drawn, way, appetite)
    disk = transfer.disk
    disk.resident = set(weather.resident)
    striking = itertools.cycle(weather.evictions)

    def strike(_: str = "") -> None:
        disk.resident -= next(striking) or set()

    disk.after_call = strike
    with disk.plugged():
        for turn in range(turns_max(drawn, appetite, min(budgets))):
            progress = transfer.turn(budgets[turn % len(budgets)], strike)
            if progress is Progress.DONE:
                break
            if progress is not Progress.COLD:  # after a read, the next turn follows at once
                disk.now_s += weather.pauses_s[turn % len(weather.pauses_s)]
            strike()
        else:
            raise AssertionError("the transfer does not end")
    return transfer


@OFTEN
@given(PIECES, WAYS, APPETITE, BUDGETS, WEATHER)
def test_bytes_are_conserved_whatever_is_evicted_and_when(
    fd: int,
    drawn: list[bytes | tuple[int, int]],
    way: Way,
    appetite: list[Act],
    budgets: list[int],
    weather: Weather,
) -> None:
    transfer = carried_through(fd, drawn, way, appetite, budgets, weather)
    event(f"reads: {min(transfer.reads, 5)}")
    check_over(transfer, drawn)


@OFTEN
@given(PIECES, WAYS, APPETITE, BUDGETS, WEATHER)
@example(
    [(1, 8193), (0, 20480)],
    Way(Residency.PROBED),
    [AGAIN, 1, 1, 4095, 1, AGAIN],
    [4097],
    Weather(set(), [None, None, frozenset(range(PAGES))], [0.4]),
)
def test_loop_never_stalls_for_what_it_could_have_seen(
    fd: int,
    drawn: list[bytes | tuple[int, int]],
    way: Way,
    appetite: list[Act],
    budgets: list[int],
    weather: Weather,
) -> None:
    transfer = carried_through(fd, drawn, way, appetite, budgets, weather)
    transfer.file.release()
    event(f"stalls that could not be seen: {min(transfer.disk.stalls, 3)}")
    assert transfer.disk.foreseeable_stalls == 0


@OFTEN
@given(PIECES, WAYS, APPETITE, BUDGETS, PAUSES_S)
def test_transfer_ends_even_if_everything_is_evicted_at_every_moment(
    fd: int,
    drawn: list[bytes | tuple[int, int]],
    way: Way,
    appetite: list[Act],
    budgets: list[int],
    pauses_s: list[float],
) -> None:
    """The worst of disks: nothing it has read is in memory by the time it is sent, and yet every read moves it on."""
    transfer = Transfer(fd, drawn, way, appetite)
    disk = transfer.disk
    disk.after_call = lambda _: disk.evict()
    budget = max(budgets)
    with disk.plugged():
        for turn in range(turns_max(drawn, appetite, budget)):
            if transfer.turn(budget, disk.evict) is Progress.DONE:
                break
            disk.now_s += 0 if transfer.was_cold else pauses_s[turn % len(pauses_s)]
        else:
            raise AssertionError("the transfer does not end")
    check_over(transfer, drawn)


@OFTEN
@given(PIECES, WAYS, APPETITE, BUDGETS)
def test_nothing_is_read_twice_as_long_as_nothing_is_evicted_and_nobody_pauses(
    fd: int,
    drawn: list[bytes | tuple[int, int]],
    way: Way,
    appetite: list[Act],
    budgets: list[int],
) -> None:
    """Every byte is wanted at most once, so a transfer costs the disk no more than the spans come to.

    One span can leave a hole for the next one, between two ends that are in memory.
    """
    transfer = Transfer(fd, drawn, way, appetite)
    budget = max(budgets)
    wanted: list[tuple[int, int]] = []
    with transfer.disk.plugged():
        while True:
            before = transfer.outbox.sent
            progress = transfer.outbox.flush(budget)
            if progress is Progress.DONE:
                break
            if progress is Progress.COLD:
                assert transfer.outbox.wanted is not None
                start = transfer.outbox.sent
                wanted.append((start, start + transfer.outbox.wanted.count))
                transfer.outbox.was_read(transfer.disk.read(transfer.outbox.wanted))
            assert progress is not Progress.YIELDED or transfer.outbox.sent > before
    if way.residency is Residency.PROBED or way.copy_reason is None:
        for (_, end), (start, _) in itertools.pairwise(wanted):
            assert start >= end
    leaves_holes = way == Way(Residency.PROBED) and sum(type(piece) is tuple for piece in drawn) > 1
    assert transfer.disk.foreseeable_stalls == 0
    assert transfer.disk.stalls == 0 or leaves_holes
    check_over(transfer, drawn)


@OFTEN
@given(PIECES, WAYS, APPETITE, BUDGETS)
def test_content_that_is_in_memory_is_never_read_in_a_thread_if_the_disk_can_be_asked(
    fd: int,
    drawn: list[bytes | tuple[int, int]],
    way: Way,
    appetite: list[Act],
    budgets: list[int],
) -> None:
    transfer = Transfer(fd, drawn, way._replace(residency=Residency.PROBED), appetite)
    transfer.disk.resident = set(range(PAGES))
    with transfer.disk.plugged():
        while transfer.turn(max(budgets), lambda: None) is not Progress.DONE:
            assert not transfer.was_cold
            transfer.disk.now_s += 2
    assert transfer.disk.stalls == 0
    check_over(transfer, drawn)
