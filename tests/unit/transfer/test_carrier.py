"""One call at a time: which method, how much, and what has to be read before."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from carrying import AGAIN, SOCKET_FD, Act, PlayedSocket, failing, opened
from chute.errors import TransferError
from chute.transfer import carrier, copying, residency
from chute.transfer.carrier import (
    BUFFER,
    SENDFILE,
    WINDOW_BYTES,
    WINDOW_BYTES_MAX,
    Carrier,
    confirm_residency,
    method_for,
)
from chute.transfer.method import Device, Residency
from chute.transfer.progress import NOT_IN_MEMORY, WOULD_BLOCK
from chute.transfer.sending import MSG_MORE, PEER_ERRORS
from chute.transfer.source import FileSpan, SharedFile
from disks import PAGE_BYTES, FaultAtCall, PlayedDisk

CONTENT = os.urandom(16 * 1024)
CONTENT_BYTES = len(CONTENT)
AMPLE = 1 << 30
PROBED, UNKNOWN, ALWAYS = Residency.PROBED, Residency.UNKNOWN, Residency.ALWAYS


class Bench:
    """A carrier between a played disk and a played socket.

    Attributes:
        file: the file; its device can be changed at will.
    """

    def __init__(self, path: Path) -> None:
        self.file = opened(path, CONTENT)
        self.play()

    def play(self, *script: Act, otherwise: Act = AMPLE, **settings: object) -> Bench:
        """Begin anew, with a socket that acts by the script and a disk that has nothing in memory."""
        self.socket = PlayedSocket(script, otherwise)
        self.disk = PlayedDisk(self.socket)
        self.carrier = Carrier(
            SOCKET_FD,
            self.socket.send,
            **{"copy_reason": None, "holds_unsent": False, "may_wait": False} | settings,
        )
        return self

    def on(self, residency: Residency, copy_reason: bytes | None = None) -> FileSpan:
        """Put the file on such a device, and return all of it as a span."""
        self.file.device = Device(copy_reason, residency)
        self.disk.answers_probes = residency is PROBED
        return FileSpan(self.file, 0, CONTENT_BYTES)

    def step(self, span: FileSpan, sent: int = 0, budget: int = AMPLE, flags: int = 0) -> int:
        with self.disk.plugged():
            return self.carrier.step(span, sent, budget, flags)

    def read(self, span: FileSpan) -> None:
        """Have read what is wanted."""
        assert self.carrier.wanted is not None
        with self.disk.plugged():
            self.carrier.was_read(span, self.disk.read(self.carrier.wanted))

    @property
    def wanted(self) -> tuple[int, int, bool]:
        wanted = self.carrier.wanted
        assert wanted is not None
        assert wanted.file is self.file
        return wanted.offset, wanted.count, wanted.keeps


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "content")
    yield bench
    bench.file.close()


# ---------------------------------------------------------------------- sendfile


def test_content_that_nobody_need_wait_for_leaves_without_a_question(bench: Bench):
    span = bench.on(ALWAYS)
    assert bench.step(span, sent=1000, budget=500) == 500
    assert bench.disk.calls == [("sendfile", 1000, 500)]
    assert bench.socket.accepted == CONTENT[1000:1500]
    assert bench.carrier.carried == SENDFILE


@pytest.mark.parametrize("asked", [PROBED, UNKNOWN])
def test_thread_that_may_wait_asks_nothing(bench: Bench, asked: Residency):
    bench.play(may_wait=True)
    assert bench.step(bench.on(asked)) == CONTENT_BYTES
    assert [call[0] for call in bench.disk.calls] == ["sendfile"]


def test_chunk_that_is_in_memory_is_asked_for_once(bench: Bench):
    bench.play(1000, 500, AMPLE)
    span = bench.on(PROBED)
    bench.disk.resident = {0, 1, 2, 3}
    sent = 0
    while sent < CONTENT_BYTES:
        sent += bench.step(span, sent)
    assert bench.disk.calls == [
        ("probe", 0, 1),
        ("probe", CONTENT_BYTES - 1, 1),
        ("sendfile", 0, CONTENT_BYTES),
        ("sendfile", 1000, CONTENT_BYTES - 1000),
        ("sendfile", 1500, CONTENT_BYTES - 1500),
    ]
    assert bench.disk.stalls == 0


def test_chunk_is_asked_for_again_when_trust_has_ended(bench: Bench):
    bench.play(1000)
    span = bench.on(PROBED)
    bench.disk.resident = {0, 1, 2, 3}
    assert bench.step(span) == 1000
    bench.disk.evict()
    bench.disk.now_s += residency.TRUSTED_S
    assert bench.step(span, sent=1000) == NOT_IN_MEMORY
    assert bench.disk.stalls == 0


def test_trust_is_not_renewed_by_asking_for_what_lies_behind_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    """Or a socket that takes a little, and often, is sent pages that were asked for minutes ago."""
    monkeypatch.setattr(residency, "PROBED_BYTES_MAX", 2 * PAGE_BYTES)
    bench.play(otherwise=10)
    span = bench.on(PROBED)
    bench.disk.resident = {0, 1, 2, 3}
    for turn in range(5):
        bench.step(span, sent=10 * turn)
        bench.disk.evict(0, 2 * PAGE_BYTES)
        bench.disk.now_s += 0.9 * residency.TRUSTED_S
    assert bench.disk.foreseeable_stalls == 0


def test_nothing_is_asked_for_as_long_as_a_chunk_is_known_to_be_there(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(carrier, "WINDOW_BYTES", 3 * PAGE_BYTES)
    monkeypatch.setattr(residency, "PROBED_BYTES_MAX", PAGE_BYTES)
    span = bench.play().on(PROBED)
    bench.step(span)
    bench.read(span)
    probes = len(bench.disk.named("probe"))
    assert bench.step(span) >= PAGE_BYTES
    assert len(bench.disk.named("probe")) == probes


def test_no_more_is_sent_at_once_than_both_ends_speak_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(residency, "PROBED_BYTES_MAX", 5000)
    span = bench.on(PROBED)
    bench.disk.resident = {0, 1, 2, 3}
    assert bench.step(span) == 5000
    assert bench.step(span, sent=5000, budget=3000) == 3000
    assert bench.step(span, sent=8000) == 5000
    assert bench.disk.named("probe") == [
        ("probe", offset, 1) for offset in (0, 4999, 5000, 7999, 8000, 12999)
    ]


@pytest.mark.parametrize("missing", [0, 3], ids=["first", "last"])
def test_chunk_that_is_not_in_memory_at_either_end_is_wanted(bench: Bench, missing: int):
    span = bench.on(PROBED)
    bench.disk.resident = {0, 1, 2, 3} - {missing}
    assert bench.step(span) == NOT_IN_MEMORY
    assert bench.wanted == (0, CONTENT_BYTES, False)
    assert bench.disk.named("sendfile") == []
    assert bench.carrier.carried == BUFFER


def test_content_that_cannot_be_asked_for_is_wanted_at_once(bench: Bench):
    span = bench.on(UNKNOWN)
    assert bench.step(span, sent=100) == NOT_IN_MEMORY
    assert bench.wanted == (100, CONTENT_BYTES - 100, False)
    assert bench.disk.calls == []


@pytest.mark.parametrize("asked", [PROBED, UNKNOWN])
def test_what_was_read_is_sent_and_nothing_behind_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, asked: Residency
):
    monkeypatch.setattr(carrier, "WINDOW_BYTES", PAGE_BYTES)
    bench.play()
    span = bench.on(asked)
    assert bench.step(span) == NOT_IN_MEMORY
    bench.read(span)
    assert bench.carrier.wanted is None
    assert bench.step(span) == PAGE_BYTES
    assert bench.step(span, sent=PAGE_BYTES) == NOT_IN_MEMORY
    assert bench.wanted == (PAGE_BYTES, 2 * PAGE_BYTES, False)
    assert bench.disk.stalls == 0


def test_window_doubles_up_to_its_bound_and_ends_with_the_span(bench: Bench):
    """A span that is longer than the file: how long it really is, nobody knows before it is read."""
    bench.on(UNKNOWN)
    span = FileSpan(bench.file, 0, 20 * 1024 * 1024)
    sent, counts = 0, []
    while sent < span.count:
        assert bench.step(span, sent) == NOT_IN_MEMORY
        _, count, _ = bench.wanted
        counts.append(count)
        sent += count
        bench.read(span)
    assert counts[:5] == [WINDOW_BYTES * 2**n for n in range(5)]
    assert max(counts) == WINDOW_BYTES_MAX == WINDOW_BYTES * 2**4
    assert sum(counts) == span.count


@pytest.mark.parametrize(
    ("offset", "count", "expected"),
    [(0, CONTENT_BYTES, True), (100, 200, True), (0, 3 * PAGE_BYTES, False)],
    ids=["whole file", "whole range", "part"],
)
def test_span_that_was_read_whole_needs_no_question_for_a_while(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, offset: int, count: int, expected: bool
):
    monkeypatch.setattr(carrier, "WINDOW_BYTES", CONTENT_BYTES if expected else PAGE_BYTES)
    bench.play()
    bench.on(UNKNOWN)
    span = FileSpan(bench.file, offset, count)
    assert bench.step(span) == NOT_IN_MEMORY
    bench.read(span)
    assert (span.resident_until_s == bench.disk.now_s + residency.TRUSTED_S) is expected
    other = Carrier(
        SOCKET_FD, bench.socket.send, copy_reason=None, holds_unsent=False, may_wait=False
    )
    with bench.disk.plugged():
        assert other.step(span, 0, AMPLE, 0) == (count if expected else NOT_IN_MEMORY)


def test_span_that_is_known_to_be_in_memory_is_sent_without_a_question(bench: Bench):
    span = bench.on(PROBED)
    span.resident_until_s = bench.disk.now_s + 0.1
    assert bench.step(span) == CONTENT_BYTES
    assert bench.disk.named("probe") == []
    bench.disk.evict()
    bench.disk.now_s += 0.1
    assert bench.step(span) == NOT_IN_MEMORY


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO], ids=errno.errorcode.get)
def test_t05_copying_takes_over_before_the_first_byte_at_the_same_offset(bench: Bench, number: int):
    bench.play(failing(number))
    bench.on(ALWAYS)
    assert bench.step(FileSpan(bench.file, 100, 500), flags=MSG_MORE) == 500
    assert bench.socket.accepted == CONTENT[100:600]
    assert bench.carrier.carried == b"copy:" + errno.errorcode[number].encode()
    assert bench.socket.named("send") == [("send", MSG_MORE, 500, 500)]


def test_t05_copying_does_not_take_over_after_the_first_byte(bench: Bench):
    bench.play(failing(errno.EINVAL))
    with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
        bench.step(bench.on(ALWAYS), sent=1)
    assert bench.socket.accepted == b""
    assert bench.file.device.copy_reason is None


@pytest.mark.parametrize("number", sorted(PEER_ERRORS), ids=errno.errorcode.get)
def test_peer_that_is_gone_is_no_reason_to_copy(bench: Bench, number: int):
    bench.play(failing(number))
    with pytest.raises(OSError, match=os.strerror(number)):
        bench.step(bench.on(ALWAYS))
    assert bench.socket.named("send") == []


def test_transfer_that_had_to_copy_once_goes_on_copying(bench: Bench):
    bench.play(failing(errno.EIO))
    span = bench.on(ALWAYS)
    bench.step(span, budget=100)
    bench.carrier.next_span()
    bench.step(span, budget=100)
    assert bench.file.device.copy_reason is None
    assert len(bench.socket.named("sendfile")) == 1


# ---------------------------------------------------------------------- copying


@pytest.mark.parametrize(
    ("of_socket", "of_device", "expected"),
    [(b"tls", None, b"copy:tls"), (None, b"nfs", b"copy:nfs"), (b"tls", b"nfs", b"copy:tls")],
    ids=["socket's", "device's", "both"],
)
def test_reason_to_copy_is_the_sockets_or_the_devices(
    bench: Bench, of_socket: bytes | None, of_device: bytes | None, expected: bytes
):
    bench.play(copy_reason=of_socket)
    assert bench.step(bench.on(ALWAYS, of_device), budget=10) == 10
    assert bench.carrier.carried == expected
    assert bench.socket.named("sendfile") == []


def test_copying_takes_what_is_in_memory_and_wants_the_rest(bench: Bench):
    bench.disk.resident = {0, 1}
    span = bench.on(PROBED, b"off")
    assert bench.step(span) == 2 * PAGE_BYTES
    assert bench.step(span, sent=2 * PAGE_BYTES) == NOT_IN_MEMORY
    assert bench.wanted == (2 * PAGE_BYTES, 2 * PAGE_BYTES, False)
    bench.read(span)
    assert bench.step(span, sent=2 * PAGE_BYTES) == 2 * PAGE_BYTES
    assert bench.socket.accepted == CONTENT
    assert bench.disk.stalls == 0


def test_copying_where_nothing_can_be_asked_keeps_what_a_thread_has_read(bench: Bench):
    span = bench.on(UNKNOWN, b"nfs")
    assert bench.step(span, sent=1000) == NOT_IN_MEMORY
    assert bench.wanted == (1000, CONTENT_BYTES - 1000, True)
    bench.read(span)
    bench.disk.calls.clear()
    assert bench.step(span, sent=1000) == CONTENT_BYTES - 1000
    assert bench.socket.accepted == CONTENT[1000:]
    assert bench.disk.calls == []


def test_kept_content_that_the_socket_did_not_take_is_offered_again(bench: Bench):
    bench.play(700, AGAIN, 800)
    span = bench.on(UNKNOWN, b"nfs")
    bench.step(span)
    bench.read(span)
    bench.disk.calls.clear()
    assert bench.step(span) == 700
    assert bench.carrier.is_full
    assert bench.step(span, sent=700) == WOULD_BLOCK
    assert bench.step(span, sent=700) == 800
    assert bench.step(span, sent=1500, budget=100) == 100
    assert not bench.carrier.is_full
    assert bench.step(span, sent=1600) == CONTENT_BYTES - 1600
    assert bench.socket.accepted == CONTENT
    assert bench.disk.calls == []


def test_t01_nothing_from_a_thread_is_the_end_of_the_file(bench: Bench):
    bench.on(UNKNOWN, b"nfs")
    span = FileSpan(bench.file, CONTENT_BYTES - 10, 30)
    assert bench.step(span) == NOT_IN_MEMORY
    bench.read(span)
    assert bench.step(span) == 10
    assert bench.step(span, sent=10) == NOT_IN_MEMORY
    bench.read(span)
    assert bench.step(span, sent=10) == 0


def test_t28_error_from_a_thread_whose_content_is_kept_ends_the_transfer(bench: Bench):
    span = bench.on(UNKNOWN, b"nfs")
    bench.step(span)
    bench.disk.fail(0, 10, errno.ESTALE)
    with pytest.raises(TransferError, match=r"reading the file failed \(ESTALE\)"):
        bench.read(span)


@pytest.mark.parametrize("asked", [PROBED, ALWAYS])
def test_t28_error_of_reading_says_so(bench: Bench, asked: Residency):
    span = bench.on(asked, b"off")
    name = "probe" if asked is PROBED else "pread"
    bench.disk.meets = FaultAtCall(name, 0, failing(errno.EIO))
    with pytest.raises(TransferError, match=r"reading the file failed \(EIO\)"):
        bench.step(span)


@pytest.mark.parametrize("asked", [PROBED, UNKNOWN, ALWAYS])
def test_t35_bytes_that_tls_has_refused_are_offered_again_though_the_file_was_changed(
    bench: Bench, tmp_path: Path, asked: Residency
):
    bench.play(AGAIN, holds_unsent=True, copy_reason=b"tls")
    bench.disk.resident = {0, 1, 2, 3}
    span = bench.on(asked)
    if asked is UNKNOWN:
        bench.step(span)
        bench.read(span)
    assert bench.step(span) == WOULD_BLOCK
    (tmp_path / "content").write_bytes(bytes(CONTENT_BYTES))
    bench.disk.answers_probes = True
    with bench.disk.plugged():  # another transfer in the same thread reads, to the same place
        copying.read_in_memory(bench.file.fd, 0, CONTENT_BYTES)
    assert bench.step(span) == CONTENT_BYTES
    assert bench.socket.accepted == CONTENT


def test_plain_socket_keeps_nothing_that_can_be_read_again(bench: Bench):
    """A slow client of a file in the page cache costs no memory."""
    bench.play(AGAIN)
    bench.disk.resident = {0, 1, 2, 3}
    assert bench.step(bench.on(PROBED, b"off")) == WOULD_BLOCK
    assert bench.carrier._held == b""


# ---------------------------------------------------------------------- from span to span


def test_kept_bytes_are_never_those_of_another_span(bench: Bench):
    bench.play(700)
    span = bench.on(UNKNOWN, b"nfs")
    bench.step(span)
    bench.read(span)
    bench.step(span)
    bench.carrier.next_span()
    assert bench.step(FileSpan(bench.file, 9000, 100)) == NOT_IN_MEMORY
    assert bench.wanted == (9000, 100, True)


def test_trust_in_one_span_is_no_trust_in_the_next(bench: Bench, tmp_path: Path):
    span = bench.on(UNKNOWN)
    bench.step(span)
    bench.read(span)
    assert bench.step(span, budget=10) == 10
    bench.carrier.next_span()
    other = SharedFile(os.dup(bench.file.fd), bench.file.device)
    assert bench.step(FileSpan(other, 10, 100)) == NOT_IN_MEMORY
    other.release()


def test_end_that_a_thread_found_in_one_span_is_not_the_end_of_the_next(bench: Bench):
    bench.on(UNKNOWN, b"nfs")
    beyond = FileSpan(bench.file, CONTENT_BYTES, 10)
    bench.step(beyond)
    bench.read(beyond)
    bench.carrier.next_span()
    assert bench.step(FileSpan(bench.file, 0, 10)) == NOT_IN_MEMORY


def test_outcome_that_nobody_wanted_is_a_mistake(bench: Bench):
    with pytest.raises(AssertionError, match="nothing was wanted"):
        bench.carrier.was_read(bench.on(UNKNOWN), None)


# ---------------------------------------------------------------------- before anything is carried


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        ([], BUFFER),
        ([None], SENDFILE),
        ([b"nfs"], b"copy:nfs"),
        ([b"nfs", None], SENDFILE),
        ([None, b"fuse.sshfs"], b"copy:fuse.sshfs"),
    ],
    ids=["memory alone", "file", "distrusted file", "both", "both, the other way round"],
)
def test_last_file_decides_what_is_said_in_advance(
    bench: Bench, reasons: list[bytes | None], expected: bytes
):
    spans = [
        FileSpan(SharedFile(bench.file.fd, Device(reason, ALWAYS)), 0, 1) for reason in reasons
    ]
    assert method_for((b"head", *spans, b"end")) == expected


@pytest.mark.parametrize(
    ("asked", "copy_reason", "resident", "expected"),
    [
        (ALWAYS, None, set(), True),
        (PROBED, None, {0, 1, 2, 3}, True),
        (PROBED, None, {0, 3}, True),
        (PROBED, None, {1, 2, 3}, False),
        (PROBED, None, {0, 1, 2}, False),
        (UNKNOWN, None, {0, 1, 2, 3}, False),
        (ALWAYS, b"off", {0, 1, 2, 3}, False),
    ],
)
def test_span_is_confirmed_if_sendfile_would_not_wait(
    bench: Bench, asked: Residency, copy_reason: bytes | None, resident: set[int], expected: bool
):
    span = bench.on(asked, copy_reason)
    bench.disk.resident = resident
    with bench.disk.plugged():
        assert confirm_residency(span, 5.0) is expected
    assert span.resident_until_s == (5.0 + residency.TRUSTED_S if expected else 0.0)
