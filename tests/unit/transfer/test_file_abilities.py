"""How files of a file system can be sent: what `method` decides, tried with a byte and put into words."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from chute.transfer import file_abilities, residency, sendfile
from chute.transfer.abilities import Ability, Answer
from trees import descriptors

needs_sendfile = pytest.mark.skipif(not sendfile.IS_AVAILABLE, reason="no sendfile here")


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    """An open file with content, moved from its beginning."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    fd = os.open(path, os.O_RDONLY)
    os.lseek(fd, 3, os.SEEK_SET)
    yield fd
    os.close(fd)


def tried(fd: int) -> dict[str, Ability]:
    return {ability.name: ability for ability in file_abilities.try_file(fd)}


def pretend(monkeypatch: pytest.MonkeyPatch, copy_reason: bytes | None, kind: str) -> None:
    """Let files lie on a file system of type `kind`, for which `method` gives `copy_reason`."""
    devices = SimpleNamespace(of=lambda *_: SimpleNamespace(copy_reason=copy_reason))
    monkeypatch.setattr(file_abilities, "Devices", lambda _: devices)
    monkeypatch.setattr(file_abilities, "mount_of", lambda _: SimpleNamespace(type=kind))


@needs_sendfile
def test_file_is_carried_and_left_as_it_was(fd: int):
    before = descriptors()
    ability = tried(fd)["sendfile here"]
    assert ability.answer is Answer.YES
    assert "no file with content" not in ability.detail
    assert os.lseek(fd, 0, os.SEEK_CUR) == 3
    assert descriptors() == before


def test_file_system_that_method_distrusts_is_not_tried(monkeypatch: pytest.MonkeyPatch, fd: int):
    pretend(monkeypatch, b"nfs4", "nfs4")
    monkeypatch.setattr(sendfile, "IS_AVAILABLE", True)
    monkeypatch.setattr(sendfile, "send_step", lambda *_: pytest.fail("sent"))
    ability = tried(fd)["sendfile here"]
    assert ability.answer is Answer.NO
    assert "nfs4" in ability.detail
    assert "--sendfile auto copies" in ability.detail


def test_system_without_sendfile_is_told_as_that(monkeypatch: pytest.MonkeyPatch, fd: int):
    pretend(monkeypatch, b"unavailable", "ext4")
    monkeypatch.setattr(sendfile, "IS_AVAILABLE", False)
    assert "no sendfile(2)" in tried(fd)["sendfile here"].detail


@pytest.mark.parametrize(
    ("number", "answer"), [(errno.EINVAL, Answer.NO), (errno.EMFILE, Answer.UNKNOWN)]
)
def test_file_that_sendfile_fails_on_names_the_error(
    monkeypatch: pytest.MonkeyPatch, fd: int, number: int, answer: Answer
):
    def refused(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    pretend(monkeypatch, None, "strangefs")
    monkeypatch.setattr(sendfile, "send_step", refused)
    ability = tried(fd)["sendfile here"]
    assert ability.answer is answer
    assert errno.errorcode[number] in ability.detail


def test_file_that_sends_nothing_is_found_out(monkeypatch: pytest.MonkeyPatch, fd: int):
    pretend(monkeypatch, None, "strangefs")
    monkeypatch.setattr(sendfile, "send_step", lambda *_: 0)
    assert tried(fd)["sendfile here"].answer is Answer.NO


@pytest.mark.parametrize("kind", ["folder", "empty file"])
def test_without_content_there_is_nothing_to_try_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
):
    pretend(monkeypatch, None, "ext4")
    monkeypatch.setattr(residency, "can_probe", lambda _: True)
    monkeypatch.setattr(socket, "socketpair", lambda: pytest.fail("tried"))
    (tmp_path / "empty").touch()
    fd = os.open(tmp_path if kind == "folder" else tmp_path / "empty", os.O_RDONLY)
    found = tried(fd)
    os.close(fd)
    assert found["sendfile here"].answer is Answer.YES
    assert "no file with content" in found["sendfile here"].detail
    expected = Answer.UNKNOWN if kind == "folder" else Answer.YES
    assert found["RWF_NOWAIT"].answer is expected


def test_probe_says_what_residency_says(fd: int):
    can_probe = residency.can_probe(fd)
    ability = tried(fd)["RWF_NOWAIT"]
    if "not needed" not in ability.detail:
        assert ability.answer is (Answer.YES if can_probe else Answer.NO)


@pytest.mark.parametrize("kind", ["overlay", "ext4"])
def test_probe_that_is_refused_names_the_error_and_a_way_out(
    monkeypatch: pytest.MonkeyPatch, fd: int, kind: str
):
    def refused(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    pretend(monkeypatch, None, kind)
    monkeypatch.setattr(residency, "IS_AVAILABLE", True)
    monkeypatch.setattr(residency, "can_probe", lambda _: False)
    monkeypatch.setattr(os, "preadv", refused, raising=False)
    ability = tried(fd)["RWF_NOWAIT"]
    assert ability.answer is Answer.NO
    assert ability.detail.startswith("EOPNOTSUPP")
    assert ("a volume" in ability.detail) is (kind == "overlay"), "ext4 is no way out of ext4"


def test_system_without_the_probe_is_told_as_that(monkeypatch: pytest.MonkeyPatch, fd: int):
    pretend(monkeypatch, None, "apfs")
    monkeypatch.setattr(residency, "IS_AVAILABLE", False)
    assert "no preadv2(2)" in tried(fd)["RWF_NOWAIT"].detail


def test_memory_has_no_disk_to_wait_for(monkeypatch: pytest.MonkeyPatch, fd: int):
    pretend(monkeypatch, None, "tmpfs")
    monkeypatch.setattr(residency, "can_probe", lambda _: False)
    assert tried(fd)["RWF_NOWAIT"].answer is Answer.YES


def test_system_that_does_not_tell_of_mounts_is_tried_all_the_same(
    monkeypatch: pytest.MonkeyPatch, fd: int
):
    monkeypatch.setattr(file_abilities, "mount_of", lambda _: None)
    assert "this file system" in tried(fd)["sendfile here"].detail
