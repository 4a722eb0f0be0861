"""`chute.sendfile` and `chute.sock_sendfile`, over real sockets: every test runs for both, and under both loops."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import socket
import struct
import threading
import time
from functools import partial
from pathlib import Path

import pytest

import chute
from downloads import GIB, KIB, MIB, make_sparse, numbered
from sending import WAYS, Reader, Send, connected, descriptors_stay, send_by

_real_sendfile = os.sendfile


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def send(way: str) -> Send:
    return partial(send_by, way)


@pytest.fixture(params=["tcp", "unix"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "content.bin"
    path.write_bytes(numbered(3 * MIB))
    return path


def test_whole_file_arrives(send: Send, kind: str, place: Path):
    ours, theirs = connected(kind)
    with ours, theirs:
        reader = Reader(theirs)
        assert send(ours, place) == (3 * MIB, "sendfile")
        ours.close()
        assert reader.result() == numbered(3 * MIB)


@pytest.mark.parametrize("name_it", [str, os.fsencode, Path], ids=["str", "bytes", "Path"])
def test_file_can_be_named_by_its_path(send: Send, place: Path, name_it: type):
    ours, theirs = connected("unix")
    with ours, theirs, descriptors_stay():
        assert send(ours, name_it(place), 8, 16) == (16, "sendfile")
        assert theirs.recv(100) == numbered(24)[8:]


@pytest.mark.parametrize("mode", ["rb", "r", "r+b", "unbuffered", "descriptor"])
def test_t04_position_of_the_file_is_neither_used_nor_moved(send: Send, place: Path, mode: str):
    buffering = 0 if mode == "unbuffered" else -1
    with place.open(mode if mode.startswith("r") else "rb", buffering=buffering) as file:
        file.read(11)
        position, kernel_position = file.tell(), os.lseek(file.fileno(), 0, os.SEEK_CUR)
        ours, theirs = connected("unix")
        with ours, theirs:
            named = file.fileno() if mode == "descriptor" else file
            assert send(ours, named, 0, 24).sent == 24
            assert send(ours, named, 2 * MIB, 8).sent == 8
            assert theirs.recv(100) == numbered(24) + numbered(3 * MIB)[2 * MIB :][:8]
        assert (file.tell(), os.lseek(file.fileno(), 0, os.SEEK_CUR)) == (position, kernel_position)


def test_t10_count_of_zero_sends_nothing_and_leaves_nothing_open(send: Send, place: Path):
    ours, theirs = connected("unix")
    with ours, theirs, descriptors_stay():
        assert send(ours, place, 5, 0).sent == 0
        assert send(ours, place, 3 * MIB).sent == 0
        assert send(ours, place, 9 * MIB).sent == 0
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


def test_t01_file_that_shrinks_is_an_error_that_says_how_much_left(
    send: Send, kind: str, tmp_path: Path
):
    place = tmp_path / "shrinking"
    make_sparse(place, 64 * MIB)
    ours, theirs = connected(kind)
    with ours, theirs, descriptors_stay():
        cutter = threading.Timer(0.1, os.truncate, [place, 8 * KIB])
        cutter.start()
        reader = Reader(theirs, first_pause_s=0.3)
        with pytest.raises(chute.FileShrank) as caught:
            send(ours, place)
        ours.close()
        assert len(reader.result()) == caught.value.sent < caught.value.expected == 64 * MIB


def test_t01_more_than_the_file_has_is_refused_before_the_first_byte(send: Send, place: Path):
    ours, theirs = connected("unix")
    with ours, theirs, descriptors_stay():
        with pytest.raises(chute.FileShrank) as caught:
            send(ours, place, 1, 3 * MIB)
        assert (caught.value.sent, caught.value.expected) == (0, 3 * MIB)
        ours.close()
        assert theirs.recv(1) == b""


def test_t02_file_that_grows_is_sent_as_long_as_it_was(send: Send, tmp_path: Path):
    place = tmp_path / "growing"
    place.write_bytes(numbered(MIB))
    over = threading.Event()

    def grow() -> None:
        with place.open("ab") as file:
            while not over.is_set():
                file.write(b"later" * 1000)
                file.flush()

    growing = threading.Thread(target=grow)
    ours, theirs = connected("tcp", send_buffer=16 * KIB)
    with ours, theirs:
        with place.open("rb") as file:
            reader = Reader(theirs)
            growing.start()
            carried = send(ours, file, 0, MIB)
        over.set()
        growing.join()
        ours.close()
        assert carried.sent == MIB
        assert reader.result() == numbered(MIB)


def test_t03_path_that_is_replaced_is_sent_wholly_old_or_wholly_new(send: Send, tmp_path: Path):
    place, other = tmp_path / "content", tmp_path / "other"
    versions = [b"a" * 5000, b"b" * 300_000]
    place.write_bytes(versions[0])
    is_over = threading.Event()

    def replace() -> None:
        turn = 0
        while not is_over.is_set():
            turn += 1
            other.write_bytes(versions[turn % 2])
            other.replace(place)

    replacing = threading.Thread(target=replace)
    replacing.start()
    try:
        for _ in range(20):
            ours, theirs = connected("unix")
            with ours, theirs:
                reader = Reader(theirs)
                send(ours, place)
                ours.close()
                assert reader.result() in versions
    finally:
        is_over.set()
        replacing.join()


def test_t38_truncating_what_is_sent_never_ends_the_process(send: Send, tmp_path: Path):
    """A mapped file would raise SIGBUS here; what is read by offset ends, or is an error."""
    place = tmp_path / "content"
    for size in (0, 1, 4095, 4097, 100_000):
        place.write_bytes(numbered(2 * MIB))
        ours, theirs = connected("tcp", send_buffer=16 * KIB)
        with ours, theirs, place.open("rb") as file:
            cutter = threading.Timer(0.02, os.truncate, [place, size])
            cutter.start()
            reader = Reader(theirs, first_pause_s=0.05)
            with contextlib.suppress(chute.FileShrank):
                send(ours, file)
            ours.close()
            cutter.join()
            assert len(reader.result()) <= 2 * MIB


def test_t05_reader_that_stalls_gets_every_byte_once(send: Send, kind: str, tmp_path: Path):
    content = os.urandom(8 * MIB)
    place = tmp_path / "random"
    place.write_bytes(content)
    ours, theirs = connected(kind, send_buffer=64 * KIB)
    with ours, theirs:
        reader = Reader(theirs, first_pause_s=0.3)
        assert send(ours, place, 1234567).sent == len(content) - 1234567
        ours.close()
        reader.result()
        assert reader.digest == hashlib.sha256(content[1234567:]).digest()


def test_t06_tiny_buffers_and_a_slow_reader_get_the_whole_file(send: Send, place: Path):
    ours, theirs = connected("tcp", send_buffer=2 * KIB, receive_buffer=2 * KIB)
    with ours, theirs:
        reader = Reader(theirs, pause_s=0.0005, at_once=16 * KIB)
        assert send(ours, place, 0, MIB).sent == MIB
        ours.close()
        assert reader.result() == numbered(MIB)


def test_t07_offsets_beyond_four_gib(send: Send, tmp_path: Path):
    place = tmp_path / "sparse"
    border = 4 * GIB
    make_sparse(place, 5 * GIB)
    with place.open("r+b") as file:
        file.seek(border - 3)
        file.write(b"border")
        file.seek(5 * GIB - 3)
        file.write(b"end")
    ours, theirs = connected("unix")
    with ours, theirs:
        assert send(ours, place, border - 3, 6).sent == 6
        assert send(ours, place, 5 * GIB - 3).sent == 3
        assert theirs.recv(100) == b"borderend"


def test_t07_one_call_sends_more_than_the_kernel_moves_at_once(tmp_path: Path):
    place = tmp_path / "sparse"
    size = 2 * GIB + 10 * MIB
    make_sparse(place, size)
    ours, theirs = connected("tcp")
    with ours, theirs:
        reader = Reader(theirs, keeps=False, at_once=1 << 20)
        assert send_by("asyncio", ours, place).sent == size
        ours.close()
        reader.result()
        assert reader.count == size


def test_t08_waiting_for_a_slow_reader_costs_no_processor_time(send: Send, place: Path):
    ours, theirs = connected("tcp", send_buffer=16 * KIB)
    with ours, theirs:
        reader = Reader(theirs, first_pause_s=1.0)
        before = time.process_time()
        send(ours, place)
        used = time.process_time() - before
        ours.close()
        reader.result()
    assert used < 0.5, "a wait that spins uses the whole second"


@pytest.mark.parametrize("by_reset", [False, True])
def test_t09_peer_that_leaves_is_an_error_that_says_how_much_left(
    send: Send, kind: str, place: Path, by_reset: bool
):
    make_sparse(place, 64 * MIB)
    with descriptors_stay():
        for _ in range(10):
            ours, theirs = connected(kind)

            def leave(theirs: socket.socket = theirs) -> None:
                theirs.recv(1000)
                if by_reset and kind == "tcp":
                    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                theirs.close()

            leaving = threading.Timer(0.01, leave)
            leaving.start()
            with ours, theirs:
                with pytest.raises(chute.PeerGone) as caught:
                    send(ours, place)
                assert caught.value.sent < 64 * MIB
                leaving.join()


def test_timeout_runs_between_two_moments_of_progress(send: Send, kind: str, place: Path):
    """The reader needs much longer for the file than the time-out says, but takes some of it all the time."""
    ours, theirs = connected(kind, send_buffer=32 * KIB)
    with ours, theirs:
        reader = Reader(theirs, pause_s=0.004, at_once=8 * KIB)
        started_s = time.monotonic()
        assert send(ours, place, 0, 2 * MIB, timeout=0.3).sent == 2 * MIB
        assert time.monotonic() - started_s > 0.6, (
            "the reader was not slow enough to prove anything"
        )
        ours.close()
        assert reader.result() == numbered(2 * MIB)


def test_peer_that_takes_nothing_is_given_up(send: Send, kind: str, place: Path):
    ours, theirs = connected(kind)
    make_sparse(place, 64 * MIB)
    with ours, theirs, descriptors_stay():
        with pytest.raises(chute.SendTimeout, match=r"took nothing for 0\.2 s") as caught:
            send(ours, place, timeout=0.2)
        assert 0 < caught.value.sent < 64 * MIB
        sent = caught.value.sent
        ours.close()
        assert len(Reader(theirs).result()) == sent


def test_sockets_own_timeout_counts_when_none_is_given(place: Path):
    ours, theirs = connected("unix")
    make_sparse(place, 64 * MIB)
    with ours, theirs:
        ours.settimeout(0.2)
        with pytest.raises(chute.SendTimeout):
            chute.sendfile(ours, place)
        assert ours.gettimeout() == 0.2


def test_socket_is_left_as_it_was(send: Send, place: Path):
    ours, theirs = connected("tcp")
    with ours, theirs:
        option = (socket.SOL_SOCKET, socket.SO_SNDTIMEO, 16)
        ours.settimeout(None)
        ours.setsockopt(*option[:2], struct.pack("@ll", 7, 0))
        reader = Reader(theirs)
        send(ours, place, timeout=3)
        assert ours.getsockopt(*option) == struct.pack("@ll", 7, 0)
        ours.close()
        reader.result()


def test_t14_bytes_before_and_after_keep_their_places(send: Send, kind: str, place: Path):
    before, after = os.urandom(MIB), os.urandom(MIB)
    ours, theirs = connected(kind, send_buffer=32 * KIB)
    with ours, theirs:
        reader = Reader(theirs, first_pause_s=0.05, pause_s=0.0002)
        ours.sendall(before)
        send(ours, place, 100, MIB)
        ours.settimeout(10)
        ours.sendall(after)
        ours.close()
        assert reader.result() == before + numbered(3 * MIB)[100 : 100 + MIB] + after


@pytest.mark.parametrize("name", ["/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled"])
def test_t27_files_whose_size_lies_are_sent_as_long_as_they_are(send: Send, name: str):
    if not os.path.exists(name):
        pytest.skip(f"there is no {name} here")
    expected = Path(name).read_bytes()
    ours, theirs = connected("unix")
    with ours, theirs, descriptors_stay():
        assert send(ours, name) == (len(expected), "buffer")
        assert send(ours, name, 3, 4).sent == 4
        ours.close()
        assert Reader(theirs).result() == expected + expected[3:7]


def test_t28_what_cannot_be_opened_is_said_as_python_says_it(send: Send, tmp_path: Path):
    ours, theirs = connected("unix")
    with ours, theirs, descriptors_stay():
        with pytest.raises(FileNotFoundError):
            send(ours, tmp_path / "nothing")
        (tmp_path / "file").write_bytes(b"x")
        with pytest.raises(NotADirectoryError):
            send(ours, tmp_path / "file" / "beneath")


def test_t28_disk_that_fails_in_the_middle_ends_the_transfer(
    send: Send, place: Path, monkeypatch: pytest.MonkeyPatch
):
    def failing(out_fd: int, in_fd: int, offset: int, count: int) -> int:
        if offset >= 100_000:
            raise OSError(errno.EIO, "input/output error")
        return _real_sendfile(out_fd, in_fd, offset, min(count, 100_000 - offset))

    monkeypatch.setattr(os, "sendfile", failing)
    ours, theirs = connected("tcp")
    with ours, theirs, descriptors_stay():
        with pytest.raises(chute.TransferError, match="EIO") as caught:
            send(ours, place)
        assert caught.value.sent == 100_000
        ours.close()
        assert Reader(theirs).result() == numbered(100_000)


def test_t33_file_system_without_sendfile_is_copied(
    send: Send, kind: str, place: Path, monkeypatch: pytest.MonkeyPatch
):
    def refusing(*_: int) -> int:
        raise OSError(errno.ENOSYS, "not here")

    monkeypatch.setattr("chute.transfer.blocking._devices", chute.transfer.method.Devices())
    monkeypatch.setattr("chute.transfer.aio._devices", chute.transfer.method.Devices())
    monkeypatch.setattr(os, "sendfile", refusing)
    ours, theirs = connected(kind)
    with ours, theirs, descriptors_stay():
        reader = Reader(theirs)
        assert send(ours, place, 7) == (3 * MIB - 7, "copy:ENOSYS")
        ours.close()
        assert reader.result() == numbered(3 * MIB)[7:]


def test_evicted_file_arrives_whole(send: Send, place: Path):
    with place.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        ours, theirs = connected("tcp")
        with ours, theirs, descriptors_stay():
            reader = Reader(theirs)
            assert send(ours, file).sent == 3 * MIB
            ours.close()
            assert reader.result() == numbered(3 * MIB)


NOT_SENDABLE = {
    "memory": lambda _: io.BytesIO(b"bytes"),
    "folder": lambda tmp_path: tmp_path,
    "device": lambda _: "/dev/zero",
    "socket": lambda _: socket.socket(),
}


@pytest.mark.parametrize("name", NOT_SENDABLE)
def test_what_is_no_file_is_refused_before_the_first_byte(send: Send, tmp_path: Path, name: str):
    ours, theirs = connected("unix")
    with ours, theirs, contextlib.ExitStack() as stack:
        thing = NOT_SENDABLE[name](tmp_path)
        if hasattr(thing, "close"):
            stack.callback(thing.close)
        with descriptors_stay(), pytest.raises(chute.NotSendable) as caught:
            send(ours, thing)
        assert caught.value.sent == 0


def test_t26_fifo_is_refused_without_waiting_for_its_other_end(send: Send, tmp_path: Path):
    os.mkfifo(tmp_path / "fifo")
    ours, theirs = connected("unix")
    with ours, theirs, descriptors_stay(), pytest.raises(chute.NotSendable, match="regular"):
        send(ours, tmp_path / "fifo")


def test_socket_that_is_none_is_refused(send: Send, place: Path):
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with datagrams, pytest.raises(chute.NotSendable, match="stream"):
        send(datagrams, place)
    with pytest.raises(chute.NotSendable, match="closed"):
        chute.sendfile(datagrams, place)


@pytest.mark.parametrize("wrong", [{"offset": -1}, {"count": -1}, {"timeout": 0}, {"timeout": -1}])
def test_numbers_out_of_range_are_misuse(send: Send, place: Path, wrong: dict[str, int]):
    ours, theirs = connected("unix")
    with ours, theirs, descriptors_stay(), pytest.raises(chute.MisuseError):
        send(ours, place, **wrong)


def test_socket_that_the_program_closes_meanwhile_is_closed_afterwards(
    send: Send, kind: str, place: Path
):
    """Else its number could be another's in the middle of the transfer: the fault of the original."""
    ours, theirs = connected(kind, send_buffer=32 * KIB)
    with theirs, descriptors_stay():
        closing = threading.Timer(0.1, ours.close)
        closing.start()
        reader = Reader(theirs, first_pause_s=0.2)
        number = ours.fileno()
        assert send(ours, place).sent == 3 * MIB
        closing.join()
        assert reader.result() == numbered(3 * MIB)
        assert ours.fileno() == -1
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)


def test_socket_that_the_program_shuts_down_meanwhile_is_gone(send: Send, kind: str, place: Path):
    make_sparse(place, 64 * MIB)
    ours, theirs = connected(kind)
    strangers: list[socket.socket] = []

    def shut_down_and_reuse_its_number() -> None:
        ours.shutdown(socket.SHUT_RDWR)
        ours.close()
        strangers.extend(socket.socketpair())

    with theirs:
        closing = threading.Timer(0.1, shut_down_and_reuse_its_number)
        closing.start()
        with pytest.raises(chute.PeerGone):
            send(ours, place)
        closing.join()
        for stranger in strangers:
            stranger.setblocking(False)
            with pytest.raises(BlockingIOError):
                stranger.recv(1)
    for stranger in strangers:
        stranger.close()
