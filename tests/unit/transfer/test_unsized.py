"""Files whose size lies, and the reading of them."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from pathlib import Path

import pytest

import chute
from carrying import failing
from chute.transfer import unsized
from chute.transfer.unsized import (
    READ_FIRST_BYTES_MAX,
    UNTRUSTED_SIZE_BYTES,
    blocking_read_all,
    size_may_lie,
)

needs_proc = pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs /proc")


class Status:
    """As much of a status as is looked at."""

    def __init__(self, size: int, blocks: int) -> None:
        self.st_size, self.st_blocks = size, blocks


@pytest.mark.parametrize(
    ("size", "blocks", "expected"),
    [
        (0, 0, True),
        (4096, 0, True),
        (UNTRUSTED_SIZE_BYTES, 0, True),
        (UNTRUSTED_SIZE_BYTES + 1, 0, False),
        (1 << 30, 0, False),
        (0, 8, False),
        (100, 8, False),
    ],
)
def test_t27_small_file_without_a_block_is_not_believed(size: int, blocks: int, expected: bool):
    assert size_may_lie(Status(size, blocks)) is expected


@needs_proc
@pytest.mark.parametrize("name", ["/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled"])
def test_t27_what_a_kernel_makes_up_is_read_whole(name: str):
    if not Path(name).exists():
        pytest.skip("not on this system")
    with Path(name).open("rb") as file:
        assert size_may_lie(os.fstat(file.fileno()))
        assert blocking_read_all(file.fileno()) == Path(name).read_bytes()


def test_t27_sparse_giant_is_believed(tmp_path: Path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 30)
        assert not size_may_lie(os.fstat(file.fileno()))


def test_reading_neither_uses_nor_moves_the_file_position(tmp_path: Path):
    (tmp_path / "content").write_bytes(b"0123456789")
    with (tmp_path / "content").open("rb", buffering=0) as file:
        file.seek(7)
        assert blocking_read_all(file.fileno()) == b"0123456789"
        assert file.tell() == 7


@pytest.mark.parametrize("bytes_max", [10, 11, 1 << 40])
def test_what_is_no_longer_than_the_bound_is_read(tmp_path: Path, bytes_max: int):
    (tmp_path / "content").write_bytes(b"0123456789")
    with (tmp_path / "content").open("rb") as file:
        assert blocking_read_all(file.fileno(), bytes_max) == b"0123456789"


@pytest.mark.parametrize("bytes_max", [0, 1, 9])
def test_what_is_longer_is_refused_and_not_cut(tmp_path: Path, bytes_max: int):
    (tmp_path / "content").write_bytes(b"0123456789")
    with (
        (tmp_path / "content").open("rb") as file,
        pytest.raises(OSError, match=f"longer than {bytes_max} bytes") as caught,
    ):
        blocking_read_all(file.fileno(), bytes_max)
    assert caught.value.errno == errno.EFBIG


def test_reading_ends_though_the_file_never_does(monkeypatch: pytest.MonkeyPatch):
    asked = []
    monkeypatch.setattr(os, "pread", lambda fd, count, offset: asked.append(offset) or bytes(count))
    with pytest.raises(OSError, match="longer than"):
        blocking_read_all(5)
    assert asked[-1] <= READ_FIRST_BYTES_MAX


def test_reading_goes_on_behind_short_reads_until_nothing_comes(monkeypatch: pytest.MonkeyPatch):
    """A file of procfs hands out a page or a record at a time."""
    content = os.urandom(1000)
    asked = []

    def pread(fd: int, count: int, offset: int) -> bytes:
        asked.append((count, offset))
        return content[offset : offset + min(count, 300)]

    monkeypatch.setattr(os, "pread", pread)
    monkeypatch.setattr(unsized, "_PIECE_BYTES", 400)
    assert blocking_read_all(5) == content
    assert [offset for _, offset in asked] == [0, 300, 600, 900, 1000]
    assert {count for count, _ in asked} == {400}


def test_error_in_the_middle_is_raised(monkeypatch: pytest.MonkeyPatch):
    def pread(fd: int, count: int, offset: int) -> bytes:
        if offset:
            raise failing(errno.EIO)
        return b"x"

    monkeypatch.setattr(os, "pread", pread)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        blocking_read_all(5)


@needs_proc
def test_unsized_file_that_is_given_open_is_not_read_in_the_thread_of_the_loop(
    monkeypatch: pytest.MonkeyPatch,
):
    real_pread = os.pread
    readers = []

    def pread(fd: int, count: int, offset: int) -> bytes:
        readers.append(threading.current_thread())
        return real_pread(fd, count, offset)

    monkeypatch.setattr(os, "pread", pread)
    ours, theirs = socket.socketpair()
    with ours, theirs, Path("/proc/version").open("rb") as file:
        ours.setblocking(False)
        asyncio.run(chute.sock_sendfile(ours, file))
    assert readers
    assert threading.main_thread() not in readers
