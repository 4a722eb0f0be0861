"""Hashes of files: the right ones, of what the file was, and not more of them than the bound."""

from __future__ import annotations

import hashlib
import os

import pytest

from chute.files import content_hashes
from chute.files.content_hashes import ContentHashes, blocking_hash
from chute.files.open_files import OpenFiles
from disk import LARGE, SMALL, Disk, open_file, write


@pytest.mark.parametrize(("name", "content"), [(b"small", SMALL), (b"large", LARGE)])
def test_hash_is_of_the_content(files: OpenFiles, name: bytes, content: bytes):
    assert blocking_hash(open_file(files.look_up(name))) == hashlib.sha256(content).digest()


def test_content_is_read_block_by_block(
    disk: Disk, files: OpenFiles, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(content_hashes, "READ_BYTES", 1000)
    file = open_file(files.look_up(b"large"))
    assert blocking_hash(file) == hashlib.sha256(LARGE).digest()


def test_file_that_changes_while_it_is_read_has_no_hash(
    disk: Disk, files: OpenFiles, monkeypatch: pytest.MonkeyPatch
):
    file = open_file(files.look_up(b"large"))
    read = os.pread

    def read_and_change(fd: int, count: int, offset: int) -> bytes:
        with (disk.folder / "large").open("r+b") as writer:
            writer.write(b"changed")
        return read(fd, count, offset)

    monkeypatch.setattr(os, "pread", read_and_change)
    assert blocking_hash(file) is None


def test_hash_is_remembered_for_what_the_file_was(disk: Disk, files: OpenFiles):
    hashes = ContentHashes()
    file = open_file(files.look_up(b"large"))
    assert hashes.find(file) is None
    hashes.remember(file, b"hash")
    assert hashes.find(file) == b"hash"
    write(disk.folder / "large", LARGE[::-1])
    files.clear()
    assert hashes.find(open_file(files.look_up(b"large"))) is None


def test_hashes_are_bounded(disk: Disk, files: OpenFiles, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(content_hashes, "HASHES_MAX", 2)
    hashes = ContentHashes()
    opened = [open_file(files.look_up(name)) for name in (b"small", b"large", b"other")]
    for file in opened:
        hashes.remember(file, b"hash")
    assert [hashes.find(file) for file in opened] == [None, b"hash", b"hash"]
