"""Every call that reads a file fails once, in every way, while its content comes and goes in the page cache.

Invariant, whatever fails and wherever, in the loop or in a thread: what the socket accepted is a prefix of the right
bytes; either all of it arrives, or a typed error says exactly how much did; and the file is given back.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import errno
import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import chute
from carrying import SOCKET_FD, Act, PlayedSocket, failing, opened
from chute.errors import FileShrank, TransferError
from chute.transfer import aio, carrier, copying, residency
from chute.transfer.method import UNSUPPORTED, Device, Devices, Residency
from chute.transfer.outbox import Outbox
from chute.transfer.progress import Progress
from chute.transfer.read_ahead import THREADS_PER_DEVICE_MAX, Reading, Wanted
from chute.transfer.read_ahead import Outcome as Read
from chute.transfer.source import CLOSED, FileSpan, SharedFile
from disks import PAGE_BYTES, FaultAtCall, Meets, PlayedDisk, PlayedLoop, nothing

pytestmark = pytest.mark.skipif(
    not residency.IS_AVAILABLE, reason="nobody can ask what is in memory"
)

CONTENT = os.urandom(4 * PAGE_BYTES)
OFFSET, COUNT = 1000, 10_000
HEAD, END = b"head\r\n\r\n", b"--end--"
EXPECTED = HEAD + CONTENT[OFFSET : OFFSET + COUNT] + END
TURNS_MAX = 500


class Way(NamedTuple):
    """How a transfer is carried; see `Outbox` and `Device`."""

    residency: Residency
    copy_reason: bytes | None = None
    holds_unsent: bool = False
    may_wait: bool = False


WAYS = {
    "sendfile, asked": Way(Residency.PROBED),
    "sendfile, unknown": Way(Residency.UNKNOWN),
    "sendfile, waiting": Way(Residency.UNKNOWN, may_wait=True),
    "copying, asked": Way(Residency.PROBED, b"off"),
    "copying, unknown": Way(Residency.UNKNOWN, b"off"),
    "copying, waiting": Way(Residency.PROBED, b"off", may_wait=True),
    "tls, asked": Way(Residency.PROBED, b"tls", holds_unsent=True),
    "tls, unknown": Way(Residency.UNKNOWN, b"tls", holds_unsent=True),
    "tls, waiting": Way(Residency.UNKNOWN, b"tls", holds_unsent=True, may_wait=True),
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())


class Outcome(NamedTuple):
    error: TransferError | None
    disk: PlayedDisk
    accepted: bytes
    carried: bytes


Carry = Callable[..., Outcome]
"""The `carry` fixture: a way and what goes wrong in, what came of it out."""


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every transfer need several calls of each kind."""
    monkeypatch.setattr(carrier, "WINDOW_BYTES", PAGE_BYTES)
    monkeypatch.setattr(carrier, "WINDOW_BYTES_MAX", PAGE_BYTES)
    monkeypatch.setattr(residency, "PROBED_BYTES_MAX", PAGE_BYTES)
    monkeypatch.setattr(copying, "READ_BYTES", PAGE_BYTES // 2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "content"
    place.write_bytes(CONTENT)
    return place


@pytest.fixture
def carry(path: Path) -> Carry:
    """Carry `EXPECTED` from a cold disk to a socket that takes 3000 bytes at once; check what must always hold."""

    def run(
        way: Way,
        meets: Meets = nothing,
        *,
        device: Device | None = None,
        prepare: Callable[[PlayedDisk], None] = lambda _: None,
    ) -> Outcome:
        file = SharedFile(os.open(path, os.O_RDONLY), device or Device(None, way.residency))
        played = PlayedSocket(otherwise=1 << 20 if way.holds_unsent else 3000)
        disk = PlayedDisk(played)
        disk.answers_probes = way.residency is Residency.PROBED
        disk.meets = meets
        prepare(disk)
        _, *settings = way
        outbox = Outbox(
            SOCKET_FD,
            played.send,
            (HEAD, FileSpan(file, OFFSET, COUNT), END),
            **dict(zip(Way._fields[1:], settings, strict=True)),
        )
        file.release()
        error = None
        with disk.plugged():
            try:
                drive(outbox, disk)
            except TransferError as caught:
                error = caught
                outbox.abandon()
        assert file.fd == CLOSED, "the file was not given back"
        accepted = bytes(played.accepted)
        assert EXPECTED.startswith(accepted)
        assert outbox.sent == len(accepted)
        assert accepted == EXPECTED if error is None else error.sent == len(accepted)
        return Outcome(error, disk, accepted, outbox.carried)

    return run


def drive(outbox: Outbox, disk: PlayedDisk) -> None:
    """Flush until DONE; after each COLD, have the disk read what is wanted."""
    for _ in range(TURNS_MAX):
        match outbox.flush(5000):
            case Progress.DONE:
                return
            case Progress.COLD:
                assert outbox.wanted is not None
                outbox.was_read(disk.read(outbox.wanted))
    raise AssertionError(f"not done after {TURNS_MAX} turns")


def until_a_clean_pass(carry: Carry, way: Way, name: str, fault: Act) -> Iterator[Outcome]:
    """Yield the outcome for the fault at call 0, 1, 2... of that name, until there is no such call."""
    for n in range(TURNS_MAX):
        at = FaultAtCall(name, n, fault)
        outcome = carry(way, at)
        if not at.has_struck:
            assert outcome.error is None
            return
        yield outcome
    raise AssertionError("there is no clean pass")


NAMES = ("sendfile", "fill", "pread", "probe")
HARMLESS: dict[str, Act] = {"one byte": 1, "three bytes": 3, "a page": PAGE_BYTES}
ERRORS = sorted({*UNSUPPORTED, errno.EIO, errno.ESTALE, errno.ENOMEM, errno.EPERM})


@EVERY_WAY
def test_transfer_without_a_fault_arrives_and_never_stalls_the_loop(carry: Carry, way: Way):
    outcome = carry(way)
    assert outcome.error is None
    assert outcome.disk.foreseeable_stalls == 0 or way.may_wait
    assert outcome.carried == (b"copy:" + way.copy_reason if way.copy_reason else b"sendfile")


@EVERY_WAY
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", HARMLESS.values(), ids=HARMLESS.keys())
def test_t33_short_counts_lose_and_repeat_nothing(carry: Carry, way: Way, name: str, fault: Act):
    for outcome in until_a_clean_pass(carry, way, name, fault):
        assert outcome.error is None


@EVERY_WAY
@pytest.mark.parametrize("name", ["sendfile", "probe"])
def test_t05_eagain_is_waited_for_and_loses_and_repeats_nothing(carry: Carry, way: Way, name: str):
    """From sendfile it means that the socket is full, from a probe that the disk would have to be waited for."""
    for outcome in until_a_clean_pass(carry, way, name, failing(errno.EAGAIN)):
        assert outcome.error is None


@EVERY_WAY
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
def test_t28_error_of_any_call_ends_the_transfer_where_it_is_or_does_no_harm(
    carry: Carry, way: Way, name: str, number: int
):
    for outcome in until_a_clean_pass(carry, way, name, failing(number)):
        if outcome.error is not None:
            assert type(outcome.error) is TransferError
            assert errno.errorcode[number] in str(outcome.error)


@EVERY_WAY
@pytest.mark.parametrize("name", ["sendfile", "fill", "pread"])
def test_t01_zero_is_a_file_that_shrank_or_does_no_harm(carry: Carry, way: Way, name: str):
    for outcome in until_a_clean_pass(carry, way, name, 0):
        if outcome.error is not None:
            assert isinstance(outcome.error, FileShrank)
            assert outcome.error.expected == len(EXPECTED)


@pytest.mark.parametrize("way", ["sendfile, asked", "sendfile, unknown", "copying, asked"])
@pytest.mark.parametrize("fault", [0, failing(errno.EIO)], ids=["zero", "EIO"])
def test_reading_for_the_page_cache_may_fail_without_harm(carry: Carry, way: str, fault: Act):
    """What sends reads again, and has the last word."""
    outcomes = list(until_a_clean_pass(carry, WAYS[way], "fill", fault))
    assert len(outcomes) >= 2
    assert [outcome.error for outcome in outcomes] == [None] * len(outcomes)


@pytest.mark.parametrize("way", ["sendfile, asked", "sendfile, unknown", "copying, asked"])
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM], ids=errno.errorcode.get)
def test_advice_that_is_refused_does_no_harm(carry: Carry, way: str, number: int):
    """A kernel without CONFIG_ADVISE_SYSCALLS, or a filter of system calls: the read that follows would do."""
    outcomes = list(until_a_clean_pass(carry, WAYS[way], "advise", failing(number)))
    assert outcomes
    assert [outcome.error for outcome in outcomes] == [None] * len(outcomes)


@pytest.mark.parametrize("way", ["copying, asked", "tls, asked"])
def test_zero_from_a_read_that_may_not_wait_is_not_the_end_of_the_file(carry: Carry, way: str):
    for outcome in until_a_clean_pass(carry, WAYS[way], "probe", 0):
        assert outcome.error is None


BORDERS = {0, 1, COUNT - 1, *(page * PAGE_BYTES - OFFSET + by for page in (1, 2) for by in (-1, 0))}


@EVERY_WAY
def test_t28_eio_after_k_bytes_ends_the_transfer_within_them(carry: Carry, way: Way):
    """For k over the whole span: no byte behind the bad one leaves, and how many did is said exactly."""
    for k in sorted(BORDERS | set(range(0, COUNT, 61))):
        outcome = carry(way, prepare=lambda disk, k=k: disk.fail(OFFSET + k, 1, errno.EIO))
        assert type(outcome.error) is TransferError
        assert len(HEAD) <= len(outcome.accepted) <= len(HEAD) + k
        assert "EIO" in str(outcome.error)


@pytest.mark.parametrize("way", ["sendfile, asked", "sendfile, unknown", "copying, asked"])
@pytest.mark.parametrize("k", [0, 3 * PAGE_BYTES // 2], ids=["at the beginning", "in the middle"])
def test_disk_that_failed_in_a_thread_is_not_tried_again_in_the_loop(
    carry: Carry, way: str, k: int
):
    bad = OFFSET + k
    outcome = carry(
        WAYS[way],
        prepare=lambda disk: disk.fail(bad, 1, errno.EIO),
    )
    assert type(outcome.error) is TransferError
    assert outcome.disk.failed_in_loop == 0


# ---------------------------------------------------------------------- what is remembered


@pytest.fixture
def device(path: Path) -> Device:
    """What chute finds out about the device of the file by itself, but for whether it can be asked."""
    fd = os.open(path, os.O_RDONLY)
    try:
        device = Devices("on").of(fd, os.fstat(fd))
    finally:
        os.close(fd)
    assert device.copy_reason is None
    return device


ASKED_OR_NOT = pytest.mark.parametrize("asked", [Residency.PROBED, Residency.UNKNOWN])
WAITING_OR_NOT = pytest.mark.parametrize("may_wait", [False, True])


@ASKED_OR_NOT
@WAITING_OR_NOT
@pytest.mark.parametrize("number", sorted(UNSUPPORTED), ids=errno.errorcode.get)
def test_t33_device_without_sendfile_is_not_asked_again_for_another_file(
    carry: Carry, device: Device, number: int, asked: Residency, may_wait: bool
):
    device.residency = asked
    way = Way(asked, may_wait=may_wait)
    first = carry(way, FaultAtCall("sendfile", 0, failing(number)), device=device)
    assert first.error is None
    assert len(first.disk.named("sendfile")) == 1
    second = carry(way, device=device)
    assert second.error is None
    assert second.disk.named("sendfile") == []
    assert second.carried == b"copy:" + errno.errorcode[number].encode()


@ASKED_OR_NOT
@WAITING_OR_NOT
@pytest.mark.parametrize(
    "number", [errno.EIO, errno.ESTALE, errno.ENOMEM, errno.EPERM], ids=errno.errorcode.get
)
def test_t33_error_of_one_file_at_one_moment_is_not_remembered(
    carry: Carry, device: Device, number: int, asked: Residency, may_wait: bool
):
    device.residency = asked
    way = Way(asked, may_wait=may_wait)
    first = carry(way, FaultAtCall("sendfile", 0, failing(number)), device=device)
    assert first.carried == b"copy:" + errno.errorcode[number].encode()
    second = carry(way, device=device)
    assert second.carried == b"sendfile"
    assert second.disk.named("sendfile")


@ASKED_OR_NOT
def test_t33_files_of_two_devices_are_told_apart(carry: Carry, device: Device, asked: Residency):
    other = Device(None, asked)
    carry(Way(asked), FaultAtCall("sendfile", 0, failing(errno.EINVAL)), device=other)
    assert (device.copy_reason, other.copy_reason) == (None, b"EINVAL")


# ---------------------------------------------------------------------- TLS


@pytest.mark.parametrize("what", ["memory", "file"])
def test_t35_bytes_that_were_refused_are_offered_again_whole_whatever_the_budget(
    path: Path, what: str
):
    """OpenSSL takes fewer bytes than before for a mistake, and the connection is lost (BAD_LENGTH)."""
    offered = []

    def refuse(data: bytes | memoryview, flags: int) -> int:
        offered.append(bytes(data))
        raise failing(errno.EAGAIN)

    file = SharedFile(os.open(path, os.O_RDONLY))
    pieces = (CONTENT,) if what == "memory" else (FileSpan(file, 0, len(CONTENT)),)
    outbox = Outbox(SOCKET_FD, refuse, pieces, copy_reason=b"tls", holds_unsent=True)
    for budget in (2000, 1000):
        assert outbox.flush(budget) is Progress.BLOCKED
    outbox.abandon()
    file.release()
    assert offered[1].startswith(offered[0])


# ---------------------------------------------------------------------- threads that cannot be had


def test_executor_that_starts_no_thread_leaks_no_descriptor(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Refusing(concurrent.futures.ThreadPoolExecutor):
        def submit(self, *_: object, **__: object) -> concurrent.futures.Future[object]:
            raise RuntimeError("can't start new thread")

    devices = Devices()
    monkeypatch.setattr(devices, "_examine", lambda _: Device(None, Residency.UNKNOWN))
    monkeypatch.setattr(aio, "_devices", devices)

    async def main(ours: socket.socket, fd: int) -> None:
        asyncio.get_running_loop().set_default_executor(Refusing())
        with contextlib.suppress(RuntimeError, TransferError):
            await chute.sock_sendfile(ours, fd)
            pytest.fail("it was not refused")

    ours, theirs = socket.socketpair()
    with ours, theirs, path.open("rb") as file:
        ours.setblocking(False)
        before = len(os.listdir("/proc/self/fd"))
        asyncio.run(main(ours, file.fileno()))
        after = os.listdir("/proc/self/fd")
        leaked = [int(fd) for fd in after if is_second_descriptor_of(path, int(fd), file.fileno())]
        for fd in leaked:
            os.close(fd)
        assert len(after) <= before


def is_second_descriptor_of(path: Path, fd: int, first: int) -> bool:
    try:
        return fd != first and os.readlink(f"/proc/self/fd/{fd}") == str(path)
    except OSError:
        return False


def submit_in_vain(loop: PlayedLoop, wanted: Wanted, times: int) -> None:
    """Submit while no thread can be started."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(times):
            with contextlib.suppress(RuntimeError):
                loop.reader.submit(wanted, lambda _: None)


@pytest.fixture
def loop() -> Iterator[PlayedLoop]:
    loop = PlayedLoop()
    yield loop
    loop.reader.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SharedFile]:
    shared = opened(tmp_path / "other", CONTENT)
    yield shared
    shared.close()


def test_file_is_given_back_when_no_thread_can_be_started(loop: PlayedLoop, file: SharedFile):
    submit_in_vain(loop, Wanted(file, 0, 100, keeps=True), 1)
    file.release()
    loop.reader.deliver()
    loop.reader.close()
    assert file.fd == CLOSED


def test_device_can_be_read_from_again_after_no_thread_could_be_started(
    loop: PlayedLoop, file: SharedFile
):
    submit_in_vain(loop, Wanted(file, 0, 100, keeps=True), THREADS_PER_DEVICE_MAX)
    outcomes: list[Read] = []
    loop.reader.submit(Wanted(file, 0, 100, keeps=True), outcomes.append)
    loop.run_until(lambda: bool(outcomes))


def test_job_that_runs_out_of_memory_is_told_of_like_any_other(
    loop: PlayedLoop, file: SharedFile, monkeypatch: pytest.MonkeyPatch
):
    def exhausted(*_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    monkeypatch.setattr(os, "pread", exhausted)
    outcomes: list[Read] = []
    loop.reader.submit(Wanted(file, 0, 100, keeps=True), outcomes.append)
    loop.run_until(lambda: bool(outcomes))


class Told(NamedTuple):
    """One job: its file, held by the job alone, and what was heard of it."""

    file: SharedFile
    job: Reading
    outcomes: list[Read]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("is_cut_short", [False, True], ids=["to the end", "closed in the middle"])
def test_nothing_is_lost_or_held_whatever_the_order_of_submitting_cancelling_and_ending(
    loop: PlayedLoop, file: SharedFile, seed: int, is_cut_short: bool
):
    """Real threads, and three devices that are always saturated."""
    chance = random.Random(seed)
    devices = [Device(), Device(), Device()]
    told: list[Told] = []
    cancelled: set[int] = set()
    for number in range(300):
        match chance.randrange(4):
            case 0 | 1:
                shared = SharedFile(os.dup(file.fd), chance.choice(devices))
                outcomes: list[Read] = []
                wanted = Wanted(shared, number, 10, keeps=chance.random() < 0.5)
                told.append(Told(shared, loop.reader.submit(wanted, outcomes.append), outcomes))
                shared.release()
            case 2 if told:
                victim = chance.randrange(len(told))
                if not told[victim].outcomes:
                    cancelled.add(victim)
                loop.reader.cancel(told[victim].job)
            case _:
                loop.reader.deliver()
    if not is_cut_short:
        awaited = [one for number, one in enumerate(told) if number not in cancelled]
        loop.run_until(lambda: all(one.outcomes for one in awaited))
        assert [len(one.outcomes) for one in awaited] == [1] * len(awaited)
    loop.end()
    assert [one.outcomes for number, one in enumerate(told) if number in cancelled] == [[]] * len(
        cancelled
    )
    assert [one.file.fd for one in told] == [CLOSED] * len(told)
