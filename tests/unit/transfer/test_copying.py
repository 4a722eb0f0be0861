"""Reading what is to be copied."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from carrying import failing, opened
from chute.transfer import copying
from chute.transfer.residency import can_probe
from chute.transfer.source import SharedFile

Read = type(copying.blocking_read)


@pytest.fixture
def file(tmp_path: Path) -> SharedFile:
    return opened(tmp_path / "content", b"0123456789")


@pytest.fixture(params=[copying.blocking_read, copying.read_in_memory], ids=["waiting", "not"])
def read(request: pytest.FixtureRequest, file: SharedFile) -> Read:
    if request.param is copying.read_in_memory and not can_probe(file.fd):
        pytest.skip("this file system cannot be asked what is in memory")
    return request.param


def test_read_brings_the_named_bytes(file: SharedFile, read: Read):
    assert read(file.fd, 3, 4) == b"3456"


def test_read_neither_uses_nor_moves_the_file_position(file: SharedFile, read: Read):
    os.lseek(file.fd, 7, os.SEEK_SET)
    assert read(file.fd, 0, 3) == b"012"
    assert os.lseek(file.fd, 0, os.SEEK_CUR) == 7


def test_read_stops_at_the_end_of_the_file(file: SharedFile, read: Read):
    assert read(file.fd, 8, 100) == b"89"
    assert read(file.fd, 10, 5) == b""


def test_read_is_bounded(tmp_path: Path, read: Read):
    large = opened(tmp_path / "large", bytes(copying.READ_BYTES + 1))
    content = read(large.fd, 0, 1 << 40)
    assert content is not None
    assert len(content) == copying.READ_BYTES


def test_read_raises_errors_of_the_file(file: SharedFile, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> bytes:
        raise failing(errno.EIO)

    monkeypatch.setattr(os, "pread", broken)
    monkeypatch.setattr(os, "preadv", broken)
    for read in (copying.blocking_read, copying.read_in_memory):
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            read(file.fd, 0, 10)


def test_what_is_not_in_memory_is_not_waited_for(file: SharedFile, monkeypatch: pytest.MonkeyPatch):
    def evicted(*_: object) -> int:
        raise failing(errno.EAGAIN)

    monkeypatch.setattr(os, "preadv", evicted)
    assert copying.read_in_memory(file.fd, 0, 10) is None
