"""What everything that writes files has in common."""

from __future__ import annotations

import errno
import os

import pytest

from chute.errors import FileError, FileForbidden, InsufficientStorage, NameTaken
from chute.files.writing import (
    CANNOT_SYNC,
    HIDDEN_PREFIX,
    blocking_sync,
    hidden_name,
    translated,
    translating,
)


def test_hidden_names_are_hidden_and_nobody_elses():
    names = {hidden_name() for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith(HIDDEN_PREFIX) and b"/" not in name for name in names)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, InsufficientStorage),
        (errno.EDQUOT, InsufficientStorage),
        (errno.EROFS, FileForbidden),
        (errno.EEXIST, NameTaken),
    ],
)
def test_error_of_the_disk_gets_our_name_and_keeps_its_reason(number: int, kind: type[FileError]):
    with pytest.raises(kind, match=os.strerror(number)), translating(b"name"):
        raise OSError(number, os.strerror(number))


def test_error_without_a_name_of_ours_stays_what_it_is():
    error = OSError(errno.EIO, "the disk")
    assert translated(error, b"name") is error
    with pytest.raises(OSError, match="the disk") as caught, translating(b"name"):
        raise error
    assert caught.value is error


@pytest.mark.parametrize("number", sorted(CANNOT_SYNC))
def test_what_cannot_be_synced_is_as_good_as_synced(monkeypatch: pytest.MonkeyPatch, number: int):
    def refuse(fd: int) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(os, "fsync", refuse)
    blocking_sync(0)


def test_disk_that_fails_to_sync_is_told_of(monkeypatch: pytest.MonkeyPatch):
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "the disk")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="the disk"):
        blocking_sync(0)
