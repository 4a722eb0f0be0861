"""Pieces, and the count of holders of a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from carrying import opened
from chute.transfer.source import CLOSED, FileSpan, SharedFile, bytes_in, size_of


@pytest.fixture
def file(tmp_path: Path) -> SharedFile:
    return opened(tmp_path / "content", b"0123456789")


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def test_last_release_closes_the_descriptor(file: SharedFile):
    fd = file.fd
    file.acquire()
    file.release()
    assert is_open(fd)
    file.release()
    assert not is_open(fd)


def test_closed_file_has_no_descriptor_number(file: SharedFile):
    """The number may belong to somebody else at once, so nobody may read it from here."""
    file.release()
    assert file.fd == CLOSED == -1


def test_closing_twice_closes_once(file: SharedFile, tmp_path: Path):
    number = file.fd
    file.close()
    stranger = os.open(tmp_path / "content", os.O_RDONLY)
    assert stranger == number
    file.close()
    assert is_open(stranger)
    os.close(stranger)


def test_close_leaves_the_holders_their_count(file: SharedFile):
    file.acquire()
    file.close()
    file.release()
    file.release()
    with pytest.raises(AssertionError):
        file.release()


def test_file_cannot_come_back_after_the_last_release(file: SharedFile):
    file.release()
    with pytest.raises(AssertionError, match="after the last release"):
        file.acquire()


def test_more_releases_than_holders_are_a_fault(file: SharedFile):
    file.release()
    with pytest.raises(AssertionError, match="more often than acquired"):
        file.release()


def test_span_is_as_large_as_its_count_and_not_as_its_file(file: SharedFile):
    assert size_of(FileSpan(file, 2, 5)) == 5
    file.release()


def test_memory_is_as_large_as_it_is_long():
    assert size_of(b"abc") == 3


def test_bytes_in_adds_up_all_pieces(file: SharedFile):
    assert bytes_in((b"abc", FileSpan(file, 0, 10), b"", FileSpan(file, 9, 1))) == 14
    file.release()


def test_bytes_in_nothing_is_zero():
    assert bytes_in(()) == 0
