"""What a program may ask to be sent, and what becomes of its file."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import chute
from carrying import failing
from chute.errors import ChuteError, FileShrank, MisuseError, NotSendable
from chute.transfer import arguments, blocking, sendfile
from chute.transfer.arguments import Opened, Sendable, blocking_open, open_at_once
from chute.transfer.method import Device, Devices
from chute.transfer.source import CLOSED, FileSpan, SharedFile
from sending import descriptors_stay

CONTENT = bytes(range(256)) * 40
SIZE = len(CONTENT)
needs_proc = pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs /proc")


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    """Whatever is asked for, and however it ends, no descriptor is left open."""
    with descriptors_stay():
        yield


@pytest.fixture
def path(nothing_leaks: None, tmp_path: Path) -> Path:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    return path


class BytesPath:
    """A path of the kind whose __fspath__ returns bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> bytes:
        return os.fsencode(self._path)


def content_of(opened: Opened) -> bytes:
    piece = opened.piece
    if isinstance(piece, bytes):
        return piece
    assert piece.file is opened.file
    return os.pread(opened.file.fd, piece.count, piece.offset)


def read_and_release(file: Sendable, offset: int = 0, count: int | None = None) -> bytes:
    opened = blocking_open(file, offset, count, Devices())
    try:
        return content_of(opened)
    finally:
        opened.file.release()
        assert opened.file.fd == CLOSED, "it has another holder from the beginning"


# ---------------------------------------------------------------------- how a file is named


@pytest.mark.parametrize("name_it", [str, os.fsencode, Path, BytesPath], ids=lambda by: by.__name__)
def test_path_is_opened(path: Path, name_it: Callable[[Path], Sendable]):
    assert read_and_release(name_it(path)) == CONTENT


def test_path_is_opened_neither_for_children_nor_to_wait(path: Path):
    opened = blocking_open(path, 0, None, Devices())
    assert not os.get_inheritable(opened.file.fd)
    assert fcntl.fcntl(opened.file.fd, fcntl.F_GETFL) & os.O_NONBLOCK
    opened.file.release()


def test_descriptor_is_duplicated_and_left_to_its_owner(path: Path):
    fd = os.open(path, os.O_RDONLY)
    opened = blocking_open(fd, 10, 20, Devices())
    assert opened.file.fd != fd
    assert not os.get_inheritable(opened.file.fd)
    os.close(fd)
    assert content_of(opened) == CONTENT[10:30]
    opened.file.release()


def test_descriptor_stays_open_for_its_owner(path: Path):
    fd = os.open(path, os.O_RDONLY)
    read_and_release(fd)
    assert os.read(fd, 4) == CONTENT[:4]
    os.close(fd)


MODES = {
    "binary": {"mode": "rb"},
    "unbuffered": {"mode": "rb", "buffering": 0},
    "text": {"mode": "r", "encoding": "latin-1"},
    "to be changed": {"mode": "r+b"},
    "to be appended to": {"mode": "a+b"},
}


@pytest.mark.parametrize("how", MODES.values(), ids=MODES.keys())
def test_t04_position_of_a_file_object_is_neither_used_nor_moved(
    path: Path, how: dict[str, object]
):
    with path.open(**how) as file:
        file.seek(0)
        file.read(11)
        positions = file.tell(), os.lseek(file.fileno(), 0, os.SEEK_CUR)
        assert read_and_release(file) == CONTENT
        assert read_and_release(file, 5, 6) == CONTENT[5:11]
        assert positions == (file.tell(), os.lseek(file.fileno(), 0, os.SEEK_CUR))


def test_file_object_may_be_closed_meanwhile(path: Path):
    with path.open("rb") as file:
        opened = blocking_open(file, 0, None, Devices())
    assert content_of(opened) == CONTENT
    opened.file.release()


def test_device_of_the_file_is_looked_up(path: Path, monkeypatch: pytest.MonkeyPatch):
    device, devices = Device(b"nfs"), Devices()
    monkeypatch.setattr(devices, "_examine", lambda _: device)
    opened = blocking_open(path, 0, None, devices)
    assert opened.file.device is device
    opened.file.release()


# ---------------------------------------------------------------------- which bytes

ALL_OF_IT = {
    "all": (0, None, (0, SIZE)),
    "all, counted": (0, SIZE, (0, SIZE)),
    "none": (0, 0, (0, 0)),
    "none of the middle": (10, 0, (10, 0)),
    "rest": (10, None, (10, SIZE - 10)),
    "part": (10, 20, (10, 20)),
    "last byte": (SIZE - 1, 1, (SIZE - 1, 1)),
    "rest from the end": (SIZE, None, (SIZE, 0)),
    "none at the end": (SIZE, 0, (SIZE, 0)),
    "rest from beyond": (SIZE + 1, None, (SIZE + 1, 0)),
    "rest from far beyond": (1 << 70, None, (1 << 70, 0)),
    "none far beyond": (1 << 70, 0, (1 << 70, 0)),
}


@pytest.mark.parametrize(("offset", "count", "expected"), ALL_OF_IT.values(), ids=ALL_OF_IT.keys())
def test_offset_and_count_say_which_bytes(
    path: Path, offset: int, count: int | None, expected: tuple[int, int]
):
    opened = blocking_open(path, offset, count, Devices())
    opened.file.release()
    assert isinstance(opened.piece, FileSpan)
    assert (opened.piece.offset, opened.piece.count) == expected


@pytest.mark.parametrize(
    ("offset", "count"), [(0, SIZE + 1), (1, SIZE), (SIZE, 1), (SIZE + 1, 1), (1 << 70, 1 << 70)]
)
def test_t01_more_than_the_file_has_is_refused(path: Path, offset: int, count: int):
    with pytest.raises(FileShrank) as caught:
        blocking_open(path, offset, count, Devices())
    assert (caught.value.sent, caught.value.expected) == (0, count)


@pytest.mark.parametrize(("offset", "count"), [(-1, None), (0, -1), (-1, -1), (-SIZE, 5)])
def test_negative_numbers_are_misuse_before_anything_is_opened(offset: int, count: int | None):
    with pytest.raises(MisuseError, match="must not be negative"):
        blocking_open("/there/is/nothing", offset, count, Devices())


@pytest.mark.parametrize(("offset", "count"), [(0, None), (0, 0), (5, None)])
def test_empty_file_has_nothing_to_send(tmp_path: Path, offset: int, count: int | None):
    (tmp_path / "empty").touch()
    assert read_and_release(tmp_path / "empty", offset, count) == b""


@needs_proc
@pytest.mark.parametrize("name", ["/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled"])
@pytest.mark.parametrize(
    ("offset", "count"), [(0, None), (3, None), (3, 4), (0, 0), (1 << 40, None)]
)
def test_t27_file_whose_size_lies_is_read_first_and_sized_by_what_came(
    name: str, offset: int, count: int | None
):
    if not Path(name).exists():
        pytest.skip("not on this system")
    expected = Path(name).read_bytes()
    end = None if count is None else offset + count
    with Path(name).open("rb") as file:
        for named in (name, file, file.fileno()):
            assert read_and_release(named, offset, count) == expected[offset:end]


@needs_proc
def test_t27_more_than_such_a_file_has_is_refused():
    size = len(Path("/proc/version").read_bytes())
    with pytest.raises(FileShrank):
        blocking_open("/proc/version", 0, size + 1, Devices())


def test_what_is_open_already_is_taken_at_once(path: Path):
    with path.open("rb") as file:
        opened = open_at_once(file, 10, 20, Devices())
    assert opened is not None
    assert content_of(opened) == CONTENT[10:30]
    opened.file.release()


@needs_proc
def test_t27_what_would_have_to_be_read_for_its_size_is_not_taken_at_once():
    with Path("/proc/version").open("rb") as file:
        assert open_at_once(file, 0, None, Devices()) is None


# ---------------------------------------------------------------------- what is refused


def test_what_has_no_descriptor_is_refused_with_an_advice():
    for file in (io.BytesIO(b"x"), io.StringIO("x"), None, 1.5, object(), memoryview(b"x")):
        with pytest.raises(NotSendable, match=r"socket\.sendall"):
            blocking_open(file, 0, None, Devices())


def test_closed_file_object_is_refused(path: Path):
    with path.open("rb") as file:
        pass
    with pytest.raises(NotSendable, match="closed file"):
        blocking_open(file, 0, None, Devices())


def test_closed_descriptor_is_an_error_of_the_system(path: Path):
    fd = os.open(path, os.O_RDONLY)
    os.close(fd)
    for number in (fd, -1):
        with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
            blocking_open(number, 0, None, Devices())


@pytest.mark.parametrize("name", ["nothing", "content/beneath", "x" * 300, ""])
def test_t28_path_that_cannot_be_opened_is_an_error_of_the_system(path: Path, name: str):
    with pytest.raises(OSError, match=r"\[Errno \d+\]"):
        blocking_open(str(path.parent) + "/" + name if name else name, 0, None, Devices())


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


@pytest.mark.timeout(5)
def test_t26_fifo_is_refused_without_waiting_for_its_other_end(fifo: Path):
    with pytest.raises(NotSendable, match="no regular file"):
        blocking_open(fifo, 0, None, Devices())


@pytest.mark.timeout(5)
def test_t26_open_fifo_and_pipe_are_refused_and_keep_their_content(fifo: Path):
    through_name = os.open(fifo, os.O_RDWR)
    ours, theirs = os.pipe()
    for end in (through_name, theirs):
        os.write(end, b"content")
    for end in (through_name, ours):
        with pytest.raises(NotSendable, match="no regular file"):
            blocking_open(end, 0, None, Devices())
        assert os.read(end, 100) == b"content"
    for end in (through_name, ours, theirs):
        os.close(end)


@pytest.mark.parametrize("name", ["/dev/null", "/dev/zero", "/dev/tty", "/"])
def test_t26_device_and_directory_are_refused(name: str):
    with pytest.raises((NotSendable, OSError)):
        blocking_open(name, 0, None, Devices())


def test_t26_open_directory_and_device_are_refused(tmp_path: Path):
    for name in (tmp_path, "/dev/null"):
        fd = os.open(name, os.O_RDONLY)
        with pytest.raises(NotSendable, match="no regular file"):
            blocking_open(fd, 0, None, Devices())
        os.close(fd)


def test_t26_socket_is_no_file(tmp_path: Path):
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.socket(socket.AF_UNIX) as listening:
        for file in (ours, ours.fileno()):
            with pytest.raises(NotSendable, match="no regular file"):
                blocking_open(file, 0, None, Devices())
        listening.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError, match=os.strerror(errno.ENXIO)):
            blocking_open(tmp_path / "socket", 0, None, Devices())


Fail = Callable[[pytest.MonkeyPatch, Devices, BaseException], None]

FAILURES: dict[str, Fail] = {
    "fstat": lambda patch, _, error: patch.setattr(os, "fstat", raising(error)),
    "examining the device": lambda patch, devices, error: patch.setattr(
        devices, "of", raising(error)
    ),
    "reading first": lambda patch, _, error: patch.setattr(
        arguments, "blocking_read_all", raising(error)
    ),
}


def raising(error: BaseException) -> Callable[..., object]:
    def fail(*_: object) -> object:
        raise error

    return fail


@pytest.mark.parametrize("fail", FAILURES.values(), ids=FAILURES.keys())
@pytest.mark.parametrize("error", [failing(errno.EIO), KeyboardInterrupt()], ids=["EIO", "Ctrl+C"])
def test_whatever_fails_while_a_file_is_opened_leaves_nothing_open(
    path: Path, monkeypatch: pytest.MonkeyPatch, fail: Fail, error: BaseException
):
    devices = Devices()
    if fail is FAILURES["reading first"]:
        monkeypatch.setattr(arguments, "size_may_lie", lambda _: True)
    owned: list[SharedFile] = []
    monkeypatch.setattr(
        arguments, "SharedFile", lambda fd: owned.append(SharedFile(fd)) or owned[0]
    )
    with monkeypatch.context() as patched:
        fail(patched, devices, error)
        with pytest.raises(type(error)):
            blocking_open(path, 0, None, devices)
    (file,) = owned
    fd = file.fd
    file.close()
    assert fd == CLOSED


# ---------------------------------------------------------------------- what goes wrong


@pytest.fixture
def leased(path: Path) -> Iterator[Path]:
    """A file that somebody has a write lease on, and gives it up when asked to (fcntl(2), Leases)."""
    fd = os.open(path, os.O_RDONLY)

    def give_up(*_: object) -> None:
        with contextlib.suppress(OSError):  # given up already
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)

    before = signal.signal(signal.SIGIO, give_up)
    try:
        try:
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except (OSError, AttributeError):
            pytest.skip("no leases here")
        yield path
    finally:
        give_up()
        signal.signal(signal.SIGIO, before)
        os.close(fd)


def test_file_with_a_lease_is_waited_for(leased: Path):
    """File servers (Samba, nfsd) hold leases; opened with O_NONBLOCK, such a file is EAGAIN (open(2))."""
    assert read_and_release(leased) == CONTENT


@needs_proc
def test_unsized_file_that_has_nothing_yet_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "pread", raising(failing(errno.EAGAIN)))
    with pytest.raises(ChuteError):
        blocking_open("/proc/version", 0, None, Devices())


def test_number_that_no_descriptor_can_have_is_an_error_that_is_announced():
    with pytest.raises((OSError, ChuteError)):
        blocking_open(1 << 40, 0, None, Devices())


UNREADABLE = [getattr(os, "O_PATH", os.O_WRONLY), os.O_WRONLY]


@pytest.mark.parametrize("flags", UNREADABLE, ids=["a place only", "to be written only"])
def test_descriptor_that_cannot_be_read_from_is_an_error_and_says_nothing_about_its_device(
    path: Path, monkeypatch: pytest.MonkeyPatch, flags: int
):
    devices = Devices("on")
    monkeypatch.setattr(blocking, "_devices", devices)
    fd = os.open(path, flags)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises((OSError, ChuteError)):
            chute.sendfile(ours, fd)
        os.close(fd)
        assert chute.sendfile(ours, path).how == "sendfile"
        fresh = blocking_open(path, 0, None, Devices("on"))
        known = blocking_open(path, 0, None, devices)
        assert known.file.device.residency is fresh.file.device.residency
        fresh.file.release()
        known.file.release()


@pytest.mark.skipif(not sendfile.IS_AVAILABLE, reason="no sendfile here")
def test_flags_of_one_descriptor_say_nothing_about_its_device(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(blocking, "_devices", Devices("on"))
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECT", 0))
    except OSError:
        pytest.skip("no O_DIRECT here")
    monkeypatch.setattr(os, "sendfile", direct_sendfile)
    ours, theirs = socket.socketpair()
    try:
        with ours, theirs:
            assert chute.sendfile(ours, fd, 1, 10).sent == 10
            assert theirs.recv(100) == CONTENT[1:11]
            assert chute.sendfile(ours, path, 0, 10).how == "sendfile"
    finally:
        os.close(fd)


_real_sendfile = os.sendfile


def direct_sendfile(out_fd: int, in_fd: int, offset: int, count: int) -> int:
    """What sendfile(2) does with O_DIRECT on a disk with blocks of 512 bytes; which disk is there nobody knows."""
    if fcntl.fcntl(in_fd, fcntl.F_GETFL) & os.O_DIRECT and (offset | count) % 512:
        raise failing(errno.EINVAL)
    return _real_sendfile(out_fd, in_fd, offset, count)


@pytest.mark.parametrize("timeout", [float("inf"), 1e30, 1e9, 0.001])
@pytest.mark.parametrize("own", [None, 3.5], ids=["blocking", "with a time-out"])
def test_timeout_may_be_any_number_above_0(path: Path, timeout: float, own: float | None):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(own)
        assert chute.sendfile(ours, path, 0, 10, timeout=timeout).sent == 10
        assert ours.gettimeout() == own


@pytest.mark.parametrize("timeout", [0, -1, float("-inf"), float("nan")])
def test_timeout_of_0_or_less_is_misuse(path: Path, timeout: float):
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(MisuseError, match="a number above 0"):
        chute.sendfile(ours, path, 0, 10, timeout=timeout)
