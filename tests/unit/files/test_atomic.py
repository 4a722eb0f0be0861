"""Finished content under a name: whole or not at all, whatever fails, and with or without files that have no name."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chute.errors import (
    FileForbidden,
    FileMissing,
    FileTooLarge,
    InsufficientStorage,
    NameTaken,
    NameUnusable,
)
from chute.files import atomic
from chute.files.atomic import blocking_write_whole
from chute.files.writing import HIDDEN_PREFIX
from disks import failing
from trees import descriptors

LONG_AGO_NS = 1_600_000_000_123_456_789
BLOCKS = [b"first ", b"", b"second"]
CONTENT = b"first second"


@pytest.fixture(params=["unnamed", "hidden name"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of keeping a file out of sight."""
    if request.param == "hidden name":
        monkeypatch.setattr(atomic, "O_TMPFILE", 0)
    elif not atomic.O_TMPFILE:
        pytest.skip("this system has no unnamed files")
    return str(request.param)


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    """A folder, and the assertion that nothing opened in a test outlives it."""
    before = descriptors()
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)
    assert descriptors() == before


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@pytest.mark.usefixtures("way")
def test_content_appears_under_its_name(tmp_path: Path, fd: int):
    status = blocking_write_whole(fd, b"page", BLOCKS)
    assert (tmp_path / "page").read_bytes() == CONTENT
    assert names(tmp_path) == ["page"]
    assert status.st_ino == (tmp_path / "page").stat().st_ino
    assert status.st_size == len(CONTENT)


@pytest.mark.usefixtures("way")
def test_nothing_has_the_name_while_the_content_comes(tmp_path: Path, fd: int):
    seen = []

    def blocks() -> Iterator[bytes]:
        for block in BLOCKS:
            yield block
            seen.extend(names(tmp_path))

    blocking_write_whole(fd, b"page", blocks())
    assert all(name.startswith(HIDDEN_PREFIX.decode()) for name in seen)


@pytest.mark.usefixtures("way")
def test_reader_of_a_replaced_file_keeps_the_old_one(tmp_path: Path, fd: int):
    (tmp_path / "page").write_bytes(b"old")
    with open(tmp_path / "page", "rb") as reader:
        blocking_write_whole(fd, b"page", BLOCKS, replace=True)
        assert reader.read() == b"old"
    assert (tmp_path / "page").read_bytes() == CONTENT
    assert names(tmp_path) == ["page"]


@pytest.mark.usefixtures("way")
def test_replacing_what_is_not_there_is_writing(tmp_path: Path, fd: int):
    blocking_write_whole(fd, b"page", BLOCKS, replace=True)
    assert (tmp_path / "page").read_bytes() == CONTENT


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling link", "fifo"])
@pytest.mark.parametrize("replace", [False, True])
def test_taken_name_is_left_to_what_has_it(tmp_path: Path, fd: int, kind: str, replace: bool):
    if kind == "file" and replace:
        pytest.skip("that is what replacing is about")
    other, page = tmp_path / "other", tmp_path / "page"
    other.write_bytes(b"other")
    makes: dict[str, Callable[[], object]] = {
        "file": lambda: page.write_bytes(b"old"),
        "folder": page.mkdir,
        "link": lambda: page.symlink_to("other"),
        "dangling link": lambda: page.symlink_to("nowhere"),
        "fifo": lambda: os.mkfifo(page),
    }
    makes[kind]()
    before = page.lstat()
    with pytest.raises(NameTaken):
        blocking_write_whole(fd, b"page", BLOCKS, replace=replace)
    assert os.path.samestat(page.lstat(), before)
    assert names(tmp_path) == ["other", "page"]
    assert other.read_bytes() == b"other"


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize(
    "error", [RuntimeError("mine"), KeyboardInterrupt(), OSError(errno.ENOSPC, "mine")]
)
def test_error_of_the_content_is_passed_on_and_leaves_nothing(
    tmp_path: Path, fd: int, error: BaseException, replace: bool
):
    """Also one that looks like ours: it is about what is read, and not about what is written."""
    if replace:
        (tmp_path / "page").write_bytes(b"old")

    def blocks() -> Iterator[bytes]:
        yield b"something"
        raise error

    with pytest.raises(type(error)) as caught:
        blocking_write_whole(fd, b"page", blocks(), replace=replace)
    assert caught.value is error
    assert names(tmp_path) == (["page"] if replace else [])
    assert not replace or (tmp_path / "page").read_bytes() == b"old"


STEPS = ("open", "write", "dup", "fchmod", "utime", "fsync", "link", "rename", "fstat", "stat")
"""The system calls that writing is made of."""


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, InsufficientStorage),
        (errno.EDQUOT, InsufficientStorage),
        (errno.EFBIG, FileTooLarge),
        (errno.EROFS, FileForbidden),
        (errno.EIO, OSError),
    ],
)
def test_failure_of_any_step_is_named_and_leaves_the_old_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fd: int, number: int, kind: type[Exception]
):
    """The n-th system call fails, for every n, until the file gets through."""
    (tmp_path / "page").write_bytes(b"old")
    before = descriptors()
    failing_at = 0
    while True:
        failing_at += 1
        calls = 0

        def step(real: Callable[..., object], at: int) -> Callable[..., object]:
            def call(*arguments: object, **options: object) -> object:
                nonlocal calls
                calls += 1
                if calls == at:
                    raise failing(number)
                return real(*arguments, **options)

            return call

        with monkeypatch.context() as patched:
            for name in STEPS:
                patched.setattr(os, name, step(getattr(os, name), failing_at))
            try:
                blocking_write_whole(
                    fd, b"page", BLOCKS, replace=True, mtime_ns=LONG_AGO_NS, sync=True
                )
            except kind:
                has_failed = True
            else:
                has_failed = False
        assert descriptors() == before
        assert names(tmp_path) == ["page"]
        if calls < failing_at:
            break
        # After the name was taken only the sync of the folder and the last look can fail.
        content = (tmp_path / "page").read_bytes()
        assert content == (b"old" if has_failed and content == b"old" else CONTENT)
    assert failing_at > len(BLOCKS) + 4
    assert (tmp_path / "page").read_bytes() == CONTENT


@pytest.mark.usefixtures("way")
def test_short_writes_are_continued(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fd: int):
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, block: real(fd, block[:3]))
    blocking_write_whole(fd, b"page", BLOCKS)
    assert (tmp_path / "page").read_bytes() == CONTENT


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("mode", [0o644, 0o600, 0o4755, 0o444])
def test_permissions_and_time_are_taken_over(tmp_path: Path, fd: int, mode: int):
    source = tmp_path / "source"
    source.write_bytes(b"source")
    source.chmod(mode)
    status = blocking_write_whole(fd, b"page", BLOCKS, like=source.stat(), mtime_ns=LONG_AGO_NS)
    assert stat.S_IMODE(status.st_mode) == mode & 0o777
    assert status.st_mtime_ns == LONG_AGO_NS
    assert (tmp_path / "page").stat().st_mtime_ns == LONG_AGO_NS


@pytest.mark.usefixtures("way")
def test_without_a_model_permissions_are_those_of_any_new_file(tmp_path: Path, fd: int):
    before = os.umask(0o027)
    try:
        status = blocking_write_whole(fd, b"page", BLOCKS)
    finally:
        os.umask(before)
    assert stat.S_IMODE(status.st_mode) == 0o640


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("mode", "without_group"), [(0o640, 0o600), (0o664, 0o644), (0o604, 0o644)]
)
def test_group_that_cannot_be_taken_over_gets_what_all_get(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fd: int, mode: int, without_group: int
):
    source = tmp_path / "source"
    source.touch()
    source.chmod(mode)
    model = list(source.stat())
    model[5] += 1  # st_gid

    def refuse(*_: object) -> None:
        raise failing(errno.EPERM)

    monkeypatch.setattr(os, "fchown", refuse)
    status = blocking_write_whole(fd, b"page", BLOCKS, like=os.stat_result(model))
    assert stat.S_IMODE(status.st_mode) == without_group


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.usefixtures("way")
def test_owner_and_group_are_taken_over_by_root(tmp_path: Path, fd: int):
    source = tmp_path / "source"
    source.touch()
    os.chown(source, 12, 34)
    status = blocking_write_whole(fd, b"page", BLOCKS, like=source.stat())
    assert (status.st_uid, status.st_gid) == (12, 34)


@pytest.mark.usefixtures("way")
def test_attributes_that_cannot_be_stored_are_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fd: int
):
    def refuse(*_: object) -> None:
        raise failing(errno.ENOTSUP)

    monkeypatch.setattr(os, "setxattr", refuse, raising=False)
    blocking_write_whole(fd, b"page", BLOCKS, attributes={"user.some": b"value"})
    assert (tmp_path / "page").read_bytes() == CONTENT


def test_file_system_without_unnamed_files_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fd: int
):
    real = os.open

    def refuse(path: bytes, flags: int, *arguments: int, **options: int) -> int:
        if flags & atomic.O_TMPFILE == atomic.O_TMPFILE:
            raise failing(errno.EOPNOTSUPP)
        return real(path, flags, *arguments, **options)

    if atomic.O_TMPFILE:
        monkeypatch.setattr(os, "open", refuse)
    blocking_write_whole(fd, b"page", BLOCKS)
    assert names(tmp_path) == ["page"]


def test_system_without_procfs_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fd: int):
    monkeypatch.setattr(os.path, "exists", lambda _: False)
    blocking_write_whole(fd, b"page", BLOCKS)
    assert names(tmp_path) == ["page"]


@pytest.mark.parametrize("is_taken", [False, True])
def test_file_system_without_hard_links_is_served_by_renaming(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fd: int, is_taken: bool
):
    def refuse(*_: object, **__: object) -> None:
        raise failing(errno.EPERM)

    monkeypatch.setattr(atomic, "O_TMPFILE", 0)
    monkeypatch.setattr(os, "link", refuse)
    if is_taken:
        (tmp_path / "page").write_bytes(b"old")
        with pytest.raises(NameTaken):
            blocking_write_whole(fd, b"page", BLOCKS)
        assert (tmp_path / "page").read_bytes() == b"old"
    blocking_write_whole(fd, b"page", BLOCKS, replace=is_taken)
    assert (tmp_path / "page").read_bytes() == CONTENT
    assert names(tmp_path) == ["page"]


def test_name_too_long_is_told(tmp_path: Path, fd: int):
    with pytest.raises(NameUnusable):
        blocking_write_whole(fd, b"n" * 256, BLOCKS)
    assert names(tmp_path) == []


def test_folder_that_was_removed_is_told(tmp_path: Path):
    folder = tmp_path / "folder"
    folder.mkdir()
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        folder.rmdir()
        with pytest.raises(FileMissing):
            blocking_write_whole(fd, b"page", BLOCKS)
    finally:
        os.close(fd)


def test_t21_folder_exchanged_for_a_link_is_not_written_to(tmp_path: Path, fd: int):
    """The descriptor stays the folder that it was, wherever its name leads."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    inside_fd = os.open(inside, os.O_RDONLY | os.O_DIRECTORY)
    try:
        inside.rename(tmp_path / "moved")
        inside.symlink_to("outside")
        blocking_write_whole(inside_fd, b"page", BLOCKS)
    finally:
        os.close(inside_fd)
    assert names(outside) == []
    assert names(tmp_path / "moved") == ["page"]
