"""Threads that read: who has his turn, who is told, and who holds the file meanwhile."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from carrying import failing, opened
from chute.transfer import copying, read_ahead, residency, sendfile
from chute.transfer.method import Device
from chute.transfer.read_ahead import (
    AHEAD_BYTES,
    THREADS_MAX,
    THREADS_PER_DEVICE_MAX,
    Outcome,
    Wanted,
    blocking_perform,
)
from chute.transfer.source import CLOSED, SharedFile
from disks import SOON_S, BusyThreads, PlayedLoop

CONTENT = os.urandom(10_000)


@pytest.fixture
def loop() -> Iterator[PlayedLoop]:
    loop = PlayedLoop()
    yield loop
    loop.end()


@pytest.fixture
def busy(loop: PlayedLoop, monkeypatch: pytest.MonkeyPatch) -> Iterator[BusyThreads]:
    busy = BusyThreads()
    monkeypatch.setattr(read_ahead, "blocking_perform", busy.perform)
    yield busy
    busy.end()
    loop.end()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SharedFile]:
    """A file held by the test alone; every test ends with nobody else holding it."""
    shared = opened(tmp_path / "content", CONTENT)
    yield shared
    assert shared.fd != CLOSED
    shared.release()
    assert shared.fd == CLOSED, "somebody still holds the file"


def on_another_device(file: SharedFile) -> SharedFile:
    return SharedFile(os.dup(file.fd), Device())


def wanted(file: SharedFile, offset: int = 0, count: int = 100, *, keeps: bool = True) -> Wanted:
    return Wanted(file, offset, count, keeps)


# ---------------------------------------------------------------------- one job


def test_there_is_no_thread_before_the_first_job(loop: PlayedLoop):
    assert loop.threads() == []


def test_threads_do_not_keep_the_process_from_ending(loop: PlayedLoop, file: SharedFile):
    outcomes: list[Outcome] = []
    loop.reader.submit(wanted(file), outcomes.append)
    (thread,) = loop.threads()
    assert thread.daemon
    loop.run_until(lambda: bool(outcomes))


@pytest.mark.parametrize(("keeps", "expected"), [(True, CONTENT[100:300]), (False, None)])
def test_outcome_is_the_content_only_if_that_is_to_be_kept(
    loop: PlayedLoop, file: SharedFile, keeps: bool, expected: bytes | None
):
    outcomes: list[Outcome] = []
    loop.reader.submit(wanted(file, 100, 200, keeps=keeps), outcomes.append)
    loop.run_until(lambda: bool(outcomes))
    assert outcomes == [expected]


@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "for the page cache"])
def test_error_of_the_file_system_is_the_outcome(
    loop: PlayedLoop, file: SharedFile, monkeypatch: pytest.MonkeyPatch, keeps: bool
):
    def broken(*_: object) -> bytes:
        raise failing(errno.EIO)

    monkeypatch.setattr(os, "pread", broken)
    monkeypatch.setattr(os, "sendfile", broken)
    outcomes: list[Outcome] = []
    loop.reader.submit(wanted(file, keeps=keeps), outcomes.append)
    loop.run_until(lambda: bool(outcomes))
    (outcome,) = outcomes
    assert isinstance(outcome, OSError)
    assert outcome.errno == errno.EIO


def test_nobody_hears_of_a_job_but_by_deliver_and_in_its_thread(
    loop: PlayedLoop, busy: BusyThreads, file: SharedFile
):
    heard_in: list[threading.Thread] = []
    loop.reader.submit(wanted(file), lambda _: heard_in.append(threading.current_thread()))
    busy.wait_until_started(file.device, 1)
    loop.reader.deliver()
    assert heard_in == []
    busy.let_go_on(file.device)
    loop.run_until(lambda: bool(heard_in))
    assert heard_in == [threading.current_thread()]
    loop.reader.deliver()
    assert len(heard_in) == 1


def test_job_keeps_its_file_open_though_everybody_else_has_let_go(
    loop: PlayedLoop, busy: BusyThreads, tmp_path: Path
):
    shared = opened(tmp_path / "other", CONTENT)
    outcomes: list[Outcome] = []
    loop.reader.submit(wanted(shared), outcomes.append)
    busy.wait_until_started(shared.device, 1)
    shared.release()
    os.fstat(shared.fd)
    busy.let_go_on(shared.device)
    loop.run_until(lambda: bool(outcomes))
    assert shared.fd == CLOSED


def test_one_thread_does_one_job_after_the_other(loop: PlayedLoop, file: SharedFile):
    outcomes: list[Outcome] = []
    for number in range(1, 20):
        loop.reader.submit(wanted(file, number, 10), outcomes.append)
        loop.run_until(lambda number=number: len(outcomes) == number)
    assert len(loop.threads()) == 1
    assert outcomes == [CONTENT[number : number + 10] for number in range(1, 20)]


# ---------------------------------------------------------------------- many jobs


def test_device_gets_no_more_than_its_share_and_delays_no_other(
    loop: PlayedLoop, busy: BusyThreads, file: SharedFile
):
    other = on_another_device(file)
    heard: list[str] = []
    for _ in range(THREADS_PER_DEVICE_MAX + 3):
        loop.reader.submit(wanted(file), lambda _: heard.append("saturated"))
    busy.wait_until_started(file.device, THREADS_PER_DEVICE_MAX)
    assert not busy.has_started_more(file.device)
    for number in range(1, 4):  # one after the other, and then some at once
        loop.reader.submit(wanted(other), lambda _: heard.append("other"))
        busy.wait_until_started(other.device, 1)
        busy.let_go_on(other.device)
        loop.run_until(lambda number=number: heard == ["other"] * number)
    for _ in range(THREADS_PER_DEVICE_MAX):
        loop.reader.submit(wanted(other), lambda _: heard.append("other"))
    busy.wait_until_started(other.device, THREADS_PER_DEVICE_MAX)
    busy.let_go_on(other.device, THREADS_PER_DEVICE_MAX)
    loop.run_until(lambda: heard == ["other"] * (3 + THREADS_PER_DEVICE_MAX))
    busy.let_go_on(file.device, 100)
    loop.run_until(lambda: heard.count("saturated") == THREADS_PER_DEVICE_MAX + 3)
    other.release()
    assert other.fd == CLOSED


def test_waiting_jobs_start_in_their_order_as_others_end(
    loop: PlayedLoop, busy: BusyThreads, file: SharedFile
):
    outcomes: list[Outcome] = []
    jobs = THREADS_PER_DEVICE_MAX + 4
    for number in range(jobs):
        loop.reader.submit(wanted(file, number), outcomes.append)
    busy.wait_until_started(file.device, THREADS_PER_DEVICE_MAX)
    for number in range(1, 5):
        busy.let_go_on(file.device)
        loop.run_until(lambda number=number: len(outcomes) == number)
        busy.wait_until_started(file.device, 1)
        assert busy.began[-1].offset == THREADS_PER_DEVICE_MAX + number - 1
    busy.let_go_on(file.device, THREADS_PER_DEVICE_MAX)
    loop.run_until(lambda: len(outcomes) == jobs)
    assert sorted(outcomes) == sorted(str(number).encode() for number in range(jobs))


def test_threads_are_bounded_whatever_the_number_of_devices(
    loop: PlayedLoop, busy: BusyThreads, file: SharedFile
):
    files = [on_another_device(file) for _ in range(5)]
    outcomes: list[Outcome] = []
    for _ in range(2 * THREADS_PER_DEVICE_MAX):
        for each in files:
            loop.reader.submit(wanted(each), outcomes.append)
    assert len(loop.threads()) == THREADS_MAX
    busy.end()
    loop.run_until(lambda: len(outcomes) == 2 * THREADS_PER_DEVICE_MAX * len(files))
    assert len(loop.threads()) == THREADS_MAX
    for each in files:
        each.release()
        assert each.fd == CLOSED


def test_nothing_is_remembered_of_devices_that_nobody_reads_from(
    loop: PlayedLoop, file: SharedFile
):
    outcomes: list[Outcome] = []
    holders = sys.getrefcount(file.device)
    for _ in range(3 * THREADS_PER_DEVICE_MAX):
        loop.reader.submit(wanted(file), outcomes.append)
    loop.run_until(lambda: len(outcomes) == 3 * THREADS_PER_DEVICE_MAX)
    loop.end()  # a thread holds its last job for a moment
    holders_now = sys.getrefcount(file.device)
    assert holders_now == holders


def test_whoever_is_told_may_want_more_at_once(loop: PlayedLoop, file: SharedFile):
    outcomes: list[Outcome] = []

    def go_on(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if len(outcomes) < 30:
            loop.reader.submit(wanted(file, len(outcomes), 1), go_on)

    for _ in range(THREADS_PER_DEVICE_MAX + 1):
        loop.reader.submit(wanted(file, 0, 1), go_on)
    loop.run_until(lambda: len(outcomes) == 30 + THREADS_PER_DEVICE_MAX)


def test_whoever_fails_on_being_told_loses_nothing_of_the_others(
    loop: PlayedLoop, file: SharedFile
):
    outcomes: list[Outcome] = []

    def fail(_: Outcome) -> None:
        raise ZeroDivisionError

    loop.reader.submit(wanted(file), fail)
    with pytest.raises(ZeroDivisionError):
        loop.run_until(lambda: False)
    for _ in range(2 * THREADS_PER_DEVICE_MAX):
        loop.reader.submit(wanted(file), outcomes.append)
    loop.run_until(lambda: len(outcomes) == 2 * THREADS_PER_DEVICE_MAX)


# ---------------------------------------------------------------------- cancelling


def test_job_that_is_cancelled_while_it_waits_is_never_done(
    loop: PlayedLoop, busy: BusyThreads, file: SharedFile
):
    heard: list[str] = []
    for _ in range(THREADS_PER_DEVICE_MAX):
        loop.reader.submit(wanted(file), lambda _: heard.append("before"))
    waiting = on_another_device(file)
    waiting.device = file.device
    job = loop.reader.submit(wanted(waiting), lambda _: heard.append("cancelled"))
    loop.reader.submit(wanted(file), lambda _: heard.append("behind"))
    busy.wait_until_started(file.device, THREADS_PER_DEVICE_MAX)
    loop.reader.cancel(job)
    loop.reader.cancel(job)
    waiting.release()
    assert waiting.fd == CLOSED
    busy.end()
    loop.run_until(lambda: len(heard) == THREADS_PER_DEVICE_MAX + 1)
    assert sorted(set(heard)) == ["before", "behind"]
    assert len(busy.began) == THREADS_PER_DEVICE_MAX + 1


@pytest.mark.parametrize("is_done", [False, True], ids=["reads", "has read"])
def test_job_that_is_cancelled_when_it_has_begun_holds_its_file_to_the_end(
    loop: PlayedLoop, busy: BusyThreads, tmp_path: Path, is_done: bool
):
    shared = opened(tmp_path / "other", CONTENT)
    heard: list[Outcome] = []
    job = loop.reader.submit(wanted(shared), heard.append)
    busy.wait_until_started(shared.device, 1)
    if is_done:
        busy.let_go_on(shared.device)
        loop.wait_until_notified()
    loop.reader.cancel(job)
    shared.release()
    os.fstat(shared.fd)
    busy.end()
    if is_done:
        loop.reader.deliver()
    loop.run_until(lambda: shared.fd == CLOSED)
    loop.reader.cancel(job)
    assert heard == []


# ---------------------------------------------------------------------- the end


def test_closing_gives_back_the_files_of_jobs_that_wait(
    loop: PlayedLoop, busy: BusyThreads, tmp_path: Path
):
    shared = opened(tmp_path / "other", CONTENT)
    waiting = SharedFile(os.dup(shared.fd), shared.device)
    heard: list[Outcome] = []
    for _ in range(THREADS_PER_DEVICE_MAX):
        loop.reader.submit(wanted(shared), lambda _: None)
    loop.reader.submit(wanted(waiting), heard.append)
    busy.wait_until_started(shared.device, THREADS_PER_DEVICE_MAX)
    waiting.release()
    shared.release()
    assert waiting.fd != CLOSED
    loop.reader.close()
    assert waiting.fd == CLOSED
    assert shared.fd != CLOSED, "a thread still reads from it"
    busy.end()
    loop.run_until(lambda: shared.fd == CLOSED)
    assert heard == []
    assert len(busy.began) == THREADS_PER_DEVICE_MAX


def test_thread_whose_loop_is_closed_ends_quietly(
    loop: PlayedLoop, busy: BusyThreads, file: SharedFile, monkeypatch: pytest.MonkeyPatch
):
    complaints: list[object] = []
    monkeypatch.setattr(threading, "excepthook", complaints.append)
    outcomes: list[Outcome] = []
    loop.reader.submit(wanted(file), outcomes.append)
    busy.wait_until_started(file.device, 1)
    (thread,) = loop.threads()
    loop.is_closed = True
    busy.let_go_on(file.device)
    thread.join(SOON_S)
    assert not thread.is_alive()
    assert complaints == []
    loop.reader.deliver()  # what was done is not lost, should anybody still ask
    assert outcomes == [b"0"]


# ---------------------------------------------------------------------- reading


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """What sendfile and pread were asked for: (name, offset, count)."""
    calls: list[tuple[str, int, int]] = []
    real_sendfile, real_pread = os.sendfile, os.pread

    def played_sendfile(out_fd: int, in_fd: int, offset: int, count: int) -> int:
        calls.append(("sendfile", offset, count))
        return real_sendfile(out_fd, in_fd, offset, count)

    def played_pread(fd: int, count: int, offset: int) -> bytes:
        calls.append(("pread", offset, count))
        return real_pread(fd, count, offset)

    monkeypatch.setattr(os, "sendfile", played_sendfile)
    monkeypatch.setattr(os, "pread", played_pread)
    return calls


def test_kept_content_is_bounded_by_one_read(tmp_path: Path):
    large = opened(tmp_path / "large", bytes(copying.READ_BYTES + 1))
    outcome = blocking_perform(wanted(large, 0, 1 << 40), large.fd)
    large.release()
    assert isinstance(outcome, bytes)
    assert len(outcome) == copying.READ_BYTES


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("offset", [len(CONTENT) - 7, len(CONTENT), len(CONTENT) + 7])
def test_window_beyond_the_end_of_the_file_ends_there(file: SharedFile, keeps: bool, offset: int):
    outcome = blocking_perform(wanted(file, offset, 1 << 22, keeps=keeps), file.fd)
    assert outcome == (CONTENT[offset:] if keeps else None)


def test_file_that_shrinks_while_it_is_read_ends_the_reading(
    file: SharedFile, tmp_path: Path, moved: list[tuple[str, int, int]]
):
    os.truncate(tmp_path / "content", 4000)
    assert blocking_perform(wanted(file, 0, 9000, keeps=False), file.fd) is None
    assert moved == [("sendfile", 0, 9000), ("sendfile", 4000, 5000)]


def test_page_cache_is_filled_without_a_byte_coming_here(
    file: SharedFile, moved: list[tuple[str, int, int]]
):
    assert blocking_perform(wanted(file, 100, 9000, keeps=False), file.fd) is None
    assert moved == [("sendfile", 100, 9000)]


def test_short_moves_are_gone_on_with(file: SharedFile, monkeypatch: pytest.MonkeyPatch):
    asked = []

    def at_most_1000(out_fd: int, in_fd: int, offset: int, count: int) -> int:
        asked.append((offset, count))
        return min(count, 1000)

    monkeypatch.setattr(os, "sendfile", at_most_1000)
    blocking_perform(wanted(file, 100, 2500, keeps=False), file.fd)
    assert asked == [(100, 2500), (1100, 1500), (2100, 500)]


def test_where_sendfile_fails_content_is_read(
    file: SharedFile, monkeypatch: pytest.MonkeyPatch, moved: list[tuple[str, int, int]]
):
    def broken(*_: object) -> int:
        raise failing(errno.EINVAL)

    monkeypatch.setattr(os, "sendfile", broken)
    monkeypatch.setattr(copying, "READ_BYTES", 4000)
    assert blocking_perform(wanted(file, 100, 9000, keeps=False), file.fd) is None
    assert moved == [("pread", 100, 4000), ("pread", 4100, 4000), ("pread", 8100, 1000)]


def test_where_there_is_no_sendfile_content_is_read(
    file: SharedFile, monkeypatch: pytest.MonkeyPatch, moved: list[tuple[str, int, int]]
):
    monkeypatch.setattr(sendfile, "IS_AVAILABLE", False)
    assert blocking_perform(wanted(file, 0, 9000, keeps=False), file.fd) is None
    assert moved == [("pread", 0, 9000)]


def test_kernel_is_told_what_comes_next(file: SharedFile, monkeypatch: pytest.MonkeyPatch):
    told = []
    monkeypatch.setattr(os, "posix_fadvise", lambda *advice: told.append(advice))
    blocking_perform(wanted(file, 100, 9000, keeps=False), file.fd)
    assert told == [(file.fd, 100, 9000 + AHEAD_BYTES, os.POSIX_FADV_WILLNEED)]


def test_evicted_content_is_in_memory_afterwards(file: SharedFile):
    if not residency.can_probe(file.fd):
        pytest.skip("this file system cannot be asked what is in memory")
    os.fsync(file.fd)
    os.posix_fadvise(file.fd, 0, 0, os.POSIX_FADV_DONTNEED)
    assert blocking_perform(wanted(file, 0, len(CONTENT), keeps=False), file.fd) is None
    room = bytearray(len(CONTENT))
    assert residency.read_resident(file.fd, room, len(CONTENT), 0) == len(CONTENT)


def test_what_swallows_everything_is_opened_once_and_not_inherited(file: SharedFile):
    blocking_perform(wanted(file, keeps=False), file.fd)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        blocking_perform(wanted(file, keeps=False), file.fd)
    assert len(os.listdir("/proc/self/fd")) == before
    null = read_ahead._null_fd()
    assert not os.get_inheritable(null)
    assert stat.S_ISCHR(os.fstat(null).st_mode)


def test_without_a_descriptor_for_it_content_is_read(
    file: SharedFile, monkeypatch: pytest.MonkeyPatch, moved: list[tuple[str, int, int]]
):
    def exhausted() -> int:
        raise failing(errno.EMFILE)

    monkeypatch.setattr(read_ahead, "_null_fd", exhausted)
    assert blocking_perform(wanted(file, 0, 9000, keeps=False), file.fd) is None
    assert moved == [("pread", 0, 9000)]


OPENINGS = r"""
import contextlib, os, sys, threading
from chute.transfer.read_ahead import Wanted, blocking_perform
from chute.transfer.source import SharedFile

together = threading.Barrier(2)
openings = []
real_open = os.open

def slow_open(path, *arguments):
    if path == os.devnull:
        openings.append(path)
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(0.5)
    return real_open(path, *arguments)

file = SharedFile(os.open(sys.argv[1], os.O_RDONLY))
os.open = slow_open
job = Wanted(file, 0, 100, False), file.fd
threads = [threading.Thread(target=blocking_perform, args=job) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(openings))
"""


def test_what_swallows_everything_is_opened_once_by_threads_that_begin_together(
    file: SharedFile, tmp_path: Path
):
    ended = subprocess.run(
        [sys.executable, "-c", OPENINGS, tmp_path / "content"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ended.stdout == "1\n"
