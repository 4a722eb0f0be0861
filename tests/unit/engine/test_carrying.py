"""An answer on its way: from what the socket took at once to the last byte, or to giving up."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carrying import AGAIN, SOCKET_FD, Act, PlayedSocket, opened
from chute.engine.carrying import Carrying, why_it_ended
from chute.errors import FileShrank, PeerGone, SendTimeout, TransferError
from chute.exchange import Response
from chute.plan.plan import KnownHead, Plan
from chute.transfer import read_ahead
from chute.transfer.method import Device, Residency
from chute.transfer.progress import Progress
from chute.transfer.read_ahead import THREADS_PER_DEVICE_MAX, Wanted
from chute.transfer.source import CLOSED, FileSpan, SharedFile
from disks import BusyThreads, PlayedDisk, PlayedLoop
from readiness import no_threads

CONTENT = os.urandom(20_000)
DATE = b"Thu, 01 Jan 1970 00:00:00 GMT"
HEAD = b"HTTP/1.1 200 OK\r\nDate: " + DATE + b"\r\n\r\n"
EXPECTED = HEAD + CONTENT
AMPLE = 1 << 20


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SharedFile]:
    """A file on a disk that can be asked; held by the test alone, at the end of every test."""
    shared = opened(tmp_path / "content", CONTENT)
    shared.device = Device(None, Residency.PROBED)
    yield shared
    assert shared.fd != CLOSED
    shared.release()
    assert shared.fd == CLOSED, "somebody still holds the file"


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


def known_head(file: SharedFile, *, owned: Response | None = None) -> KnownHead:
    """An answer with all of the file."""
    plan = Plan(
        200,
        (b"HTTP/1.1 200 OK\r\nDate: ", b"\r\n\r\n"),
        b"",
        (FileSpan(file, 0, len(CONTENT)),),
        keeps_alive=True,
        validity=None,
        owned=owned,
    )
    plan.render(0, DATE)
    return KnownHead(None, plan)


class Answer:
    """An answer between a played disk and a played socket."""

    def __init__(self, file: SharedFile, *script: Act, already_sent: int = 0) -> None:
        self.socket = PlayedSocket(script, AMPLE)
        self.disk = PlayedDisk(self.socket)
        self.carrying = Carrying(
            SOCKET_FD,
            self.socket.send,
            known_head(file),
            no_threads(),
            0.0,
            already_sent=already_sent,
        )

    def step(self, budget: int = AMPLE) -> tuple[Progress, bool]:
        with self.disk.plugged():
            return self.carrying.step(budget)

    def have_read(self, loop: PlayedLoop, then: Callable[[], None] = lambda: None) -> None:
        """Have content read by a real thread, and wait for it."""
        heard: list[None] = []
        with self.disk.plugged():
            self.carrying.have_content(loop.reader, lambda: (heard.append(None), then()))
            assert self.carrying.is_waiting
            loop.run_until(lambda: bool(heard))


# ---------------------------------------------------------------------- steps


def test_answer_whose_content_is_in_memory_leaves_in_one_step(file: SharedFile):
    answer = Answer(file)
    answer.disk.resident = set(range(5))
    assert answer.step() == (Progress.DONE, True)
    assert answer.socket.accepted == EXPECTED
    assert answer.carrying.outbox.carried == b"sendfile"


@pytest.mark.parametrize("already_sent", [0, 5, len(HEAD), len(HEAD) + 100, len(EXPECTED) - 1])
def test_what_has_left_before_does_not_leave_again(file: SharedFile, already_sent: int):
    answer = Answer(file, already_sent=already_sent)
    answer.disk.resident = set(range(5))
    assert answer.step() == (Progress.DONE, True)
    assert answer.socket.accepted == EXPECTED[already_sent:]
    assert answer.carrying.outbox.sent == len(EXPECTED)


def test_step_says_whether_the_socket_took_anything(file: SharedFile):
    answer = Answer(file, AGAIN, 7, AMPLE, AGAIN, AGAIN)
    answer.disk.resident = set(range(5))
    assert answer.step(1000) == (Progress.BLOCKED, False)
    assert answer.step(1000) == (Progress.BLOCKED, True)
    assert answer.step(1000) == (Progress.BLOCKED, True)
    assert answer.step(1000) == (Progress.BLOCKED, False)
    assert answer.step(1000) == (Progress.YIELDED, True)
    answer.carrying.give_up()


def test_step_that_only_finds_out_that_the_disk_is_needed_has_moved_nothing(file: SharedFile):
    answer = Answer(file, already_sent=len(HEAD))
    assert answer.step() == (Progress.COLD, False)
    answer.carrying.give_up()


def test_plan_that_is_used_once_is_let_go_of_and_the_file_is_not(tmp_path: Path):
    shared = opened(tmp_path / "other", CONTENT)
    response = Response(200, [], (FileSpan(shared, 0, len(CONTENT)),))
    known = known_head(shared, owned=response)
    shared.release()
    played = PlayedSocket()
    carrying = Carrying(SOCKET_FD, played.send, known, no_threads(), 0.0, already_sent=0)
    assert known.plan.owned is None
    assert shared.fd != CLOSED
    carrying.give_up()
    assert shared.fd == CLOSED


# ---------------------------------------------------------------------- the disk


def test_cold_content_is_read_in_a_thread_and_then_sent(loop: PlayedLoop, file: SharedFile):
    answer = Answer(file)
    told: list[bool] = []
    assert answer.step() == (Progress.COLD, True)
    answer.have_read(loop, lambda: told.append(answer.carrying.is_waiting))
    assert told == [False], "told once, when another step makes sense"
    assert answer.step() == (Progress.DONE, True)
    assert answer.socket.accepted == EXPECTED
    assert answer.disk.stalls == 0


def test_content_that_a_thread_has_kept_is_sent(loop: PlayedLoop, file: SharedFile):
    file.device = Device(b"nfs", Residency.UNKNOWN)
    answer = Answer(file, AMPLE, 700)
    answer.disk.answers_probes = False
    assert answer.step() == (Progress.COLD, True)
    answer.have_read(loop)
    assert answer.step() == (Progress.BLOCKED, True)
    assert answer.step() == (Progress.DONE, True)
    assert answer.socket.accepted == EXPECTED
    assert answer.carrying.outbox.carried == b"copy:nfs"


@pytest.mark.parametrize(
    "device", [Device(None, Residency.PROBED), Device(b"nfs", Residency.UNKNOWN)]
)
def test_t28_disk_that_fails_is_heard_of_by_the_next_step(
    loop: PlayedLoop, file: SharedFile, device: Device
):
    file.device = device
    answer = Answer(file)
    answer.disk.answers_probes = device.residency is Residency.PROBED
    answer.disk.fail(0, 10, errno.EIO)
    assert answer.step() == (Progress.COLD, True)
    answer.have_read(loop)
    with pytest.raises(TransferError, match="EIO") as caught:
        answer.step()
    assert caught.value.sent == len(HEAD)
    assert answer.disk.failed_in_loop == 0
    answer.carrying.give_up()


def test_t01_file_that_shrank_meanwhile_is_found_out_by_the_next_step(
    loop: PlayedLoop, file: SharedFile, tmp_path: Path
):
    answer = Answer(file)
    assert answer.step() == (Progress.COLD, True)
    os.truncate(tmp_path / "content", 5000)
    answer.have_read(loop)
    with pytest.raises(FileShrank) as caught:
        answer.step()
    assert (caught.value.sent, caught.value.expected) == (len(HEAD) + 5000, len(EXPECTED))
    answer.carrying.give_up()


def test_outcome_is_used_once(loop: PlayedLoop, file: SharedFile):
    answer = Answer(file, AMPLE, AGAIN)
    answer.step()
    answer.have_read(loop)
    assert answer.step() == (Progress.BLOCKED, False)
    assert answer.step() == (Progress.DONE, True)


def test_reading_is_asked_for_only_after_it_was_found_to_be_needed(
    loop: PlayedLoop, file: SharedFile
):
    answer = Answer(file)
    with pytest.raises(AssertionError, match="only after COLD"):
        answer.carrying.have_content(loop.reader, lambda: None)
    answer.carrying.give_up()


# ---------------------------------------------------------------------- giving up


def cold(file: SharedFile) -> Answer:
    answer = Answer(file)
    assert answer.step() == (Progress.COLD, True)
    return answer


def saturate(loop: PlayedLoop, busy: BusyThreads, file: SharedFile) -> list[object]:
    """Let others have all of the device's threads, and return where their outcomes will be."""
    outcomes: list[object] = []
    for _ in range(THREADS_PER_DEVICE_MAX):
        loop.reader.submit(Wanted(file, 0, 1, keeps=True), outcomes.append)
    busy.wait_until_started(file.device, THREADS_PER_DEVICE_MAX)
    return outcomes


def test_giving_up_before_anything_was_read_gives_the_file_back(file: SharedFile):
    answer = cold(file)
    answer.carrying.give_up()
    assert answer.carrying.outbox.held_files() == []


def test_giving_up_while_a_thread_reads_is_not_heard_of_again(
    loop: PlayedLoop, busy: BusyThreads, tmp_path: Path
):
    shared = opened(tmp_path / "other", CONTENT)
    shared.device = Device(None, Residency.PROBED)
    answer = cold(shared)
    shared.release()
    told: list[None] = []
    answer.carrying.have_content(loop.reader, lambda: told.append(None))
    busy.wait_until_started(shared.device, 1)
    answer.carrying.give_up()
    os.fstat(shared.fd)  # the thread still reads from it
    busy.let_go_on(shared.device)
    loop.run_until(lambda: shared.fd == CLOSED)
    assert told == []


def test_giving_up_while_it_waits_for_a_thread_takes_it_out_of_the_queue(
    loop: PlayedLoop, busy: BusyThreads, file: SharedFile, tmp_path: Path
):
    """Clients that come and go while a disk hangs must not leave a queue that only grows."""
    outcomes = saturate(loop, busy, file)
    shared = SharedFile(os.dup(file.fd), file.device)
    told: list[None] = []
    for _ in range(100):
        answer = cold(shared)
        answer.carrying.have_content(loop.reader, lambda: told.append(None))
        answer.carrying.give_up()
    shared.release()
    assert shared.fd == CLOSED, "the queue holds it"
    busy.end()
    loop.run_until(lambda: len(outcomes) == THREADS_PER_DEVICE_MAX)
    assert told == []
    assert len(busy.began) == THREADS_PER_DEVICE_MAX


def test_giving_up_leaves_the_others_in_the_queue(
    loop: PlayedLoop, busy: BusyThreads, file: SharedFile
):
    outcomes = saturate(loop, busy, file)
    told: list[int] = []
    answers = [cold(file) for _ in range(5)]
    for number, answer in enumerate(answers):
        answer.carrying.have_content(loop.reader, lambda number=number: told.append(number))
    for number in (0, 2, 4):
        answers[number].carrying.give_up()
    busy.end()
    loop.run_until(lambda: len(told) == 2 and len(outcomes) == THREADS_PER_DEVICE_MAX)
    assert sorted(told) == [1, 3]
    for number in (1, 3):
        answers[number].carrying.give_up()


def test_giving_up_after_content_was_read_gives_the_file_back(loop: PlayedLoop, file: SharedFile):
    answer = cold(file)
    answer.have_read(loop)
    answer.carrying.give_up()
    assert answer.carrying.outbox.held_files() == []


def test_giving_up_twice_is_giving_up_once(loop: PlayedLoop, busy: BusyThreads, file: SharedFile):
    outcomes = saturate(loop, busy, file)
    answer = cold(file)
    answer.carrying.have_content(loop.reader, lambda: None)
    answer.carrying.give_up()
    answer.carrying.give_up()
    busy.end()
    loop.run_until(lambda: len(outcomes) == THREADS_PER_DEVICE_MAX)


# ---------------------------------------------------------------------- why


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PeerGone("the peer is gone (EPIPE)", sent=5), ""),
        (FileShrank(sent=5, expected=10), "the file was truncated at 5 of 10"),
        (TransferError("reading the file failed (EIO)", sent=5), "reading the file failed (EIO)"),
        (SendTimeout("the peer took nothing", sent=5), "the peer took nothing"),
    ],
)
def test_log_hears_of_every_end_but_that_of_a_peer_that_left(error: TransferError, expected: str):
    assert why_it_ended(error) == expected
