"""What opening a name finds: a file with its size and validators, or the reason why there is none."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from chute.errors import FileForbidden, FileMissing
from chute.files import open_files
from chute.files.open_files import Absent, OpenFile, OpenFiles
from chute.semantics.validators import FLATTENED_NS, EntityTag
from chute.transfer.source import CLOSED
from chute.transfer.unsized import UNTRUSTED_SIZE_BYTES
from disk import (
    IN_MEMORY_MAX,
    LARGE,
    LONG_AGO_NS,
    SMALL,
    Disk,
    content_of,
    is_open,
    open_file,
    write,
)
from trees import descriptors


def test_small_file_is_read_and_holds_no_descriptor(files: OpenFiles):
    before = descriptors()
    file = open_file(files.look_up(b"small"))
    assert (file.content, file.size, file.fd) == (SMALL, len(SMALL), CLOSED)
    assert descriptors() == before


def test_large_file_stays_open_and_out_of_memory(files: OpenFiles):
    file = open_file(files.look_up(b"large"))
    assert (file.content, file.size) == (None, len(LARGE))
    assert is_open(file)
    assert content_of(file) == LARGE


@pytest.mark.parametrize("name", [b"small", b"large"])
def test_validators_are_of_the_modification_time(files: OpenFiles, name: bytes):
    file = open_file(files.look_up(name))
    assert file.entity_tag is not None
    assert file.entity_tag.opaque == b"%x-%x" % (LONG_AGO_NS, file.size)
    assert file.entity_tag.is_weak is False
    assert file.modified_s == 1_600_000_000
    assert file.last_modified == b"Sun, 13 Sep 2020 12:26:40 GMT"
    assert file.is_stable


def test_empty_file_is_a_file_like_any_other(disk: Disk, files: OpenFiles):
    write(disk.folder / "empty", b"")
    file = open_file(files.look_up(b"empty"))
    assert (file.content, file.size, file.is_stable) == (b"", 0, True)
    assert file.entity_tag is not None
    assert file.last_modified is not None
    assert files.look_up(b"empty").found is file


@pytest.mark.parametrize(
    "modified_ns", [-1_500_000_000, -1, 0, 1, 315_532_800 * 10**9, FLATTENED_NS]
)
def test_t19_date_that_a_build_has_flattened_says_nothing(
    disk: Disk, files: OpenFiles, monkeypatch: pytest.MonkeyPatch, modified_ns: int
):
    write(disk.folder / "old", b"old", modified_ns=modified_ns)
    changed_ns = os.stat(disk.folder / "old").st_ctime_ns
    monkeypatch.setattr(open_files, "wall_ns", lambda: changed_ns + open_files.RACY_NS + 1)
    entry = files.look_up(b"old")
    file = open_file(entry)
    assert (file.modified_s, file.last_modified, file.entity_tag) == (None, None, None)
    assert file.wants_hash
    assert file.is_stable
    assert files.look_up(b"old") is entry, "it is kept nevertheless"


def test_date_after_the_flattened_ones_is_taken_for_one(disk: Disk, files: OpenFiles):
    write(disk.folder / "old", b"old", modified_ns=FLATTENED_NS + 1)
    file = open_file(files.look_up(b"old"))
    assert file.modified_s == FLATTENED_NS // 10**9
    assert file.entity_tag is not None
    assert not file.wants_hash


def test_file_with_a_flattened_date_that_was_written_just_now_is_not_stable(
    disk: Disk, files: OpenFiles
):
    write(disk.folder / "old", b"old", modified_ns=1)
    assert not open_file(files.look_up(b"old")).is_stable


def test_hash_is_adopted_as_a_strong_tag(disk: Disk, files: OpenFiles):
    write(disk.folder / "old", b"old", modified_ns=1)
    file = open_file(files.look_up(b"old"))
    file.adopt_hash(hashlib.sha256(b"old").digest())
    assert file.entity_tag == EntityTag(b"sha256-y6BrVzb69n5UsHtWHq6UOQ")
    assert not file.wants_hash


@pytest.mark.parametrize(
    ("age_ns", "is_weak"), [(open_files.RACY_NS, True), (open_files.RACY_NS + 1, False)]
)
def test_t18_tag_is_weak_while_the_file_may_change_unnoticed(
    disk: Disk, files: OpenFiles, monkeypatch: pytest.MonkeyPatch, age_ns: int, is_weak: bool
):
    monkeypatch.setattr(open_files, "wall_ns", lambda: LONG_AGO_NS + age_ns)
    tag = open_file(files.look_up(b"small")).entity_tag
    assert tag is not None
    assert tag.is_weak is is_weak


def test_t19_date_to_come_is_not_told(
    disk: Disk, files: OpenFiles, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(open_files, "wall_ns", lambda: LONG_AGO_NS - 1)
    assert open_file(files.look_up(b"small")).last_modified is None


@pytest.mark.parametrize(
    ("age_ns", "is_stable"),
    [
        pytest.param(open_files.RACY_NS, False, id="two seconds old"),
        pytest.param(open_files.RACY_NS + 1, True, id="a little older"),
        pytest.param(0, False, id="just now"),
        pytest.param(-(10**15), False, id="in the future"),
    ],
)
def test_t19_file_is_stable_only_when_its_time_stamp_has_moved_on(
    disk: Disk, files: OpenFiles, monkeypatch: pytest.MonkeyPatch, age_ns: int, is_stable: bool
):
    monkeypatch.setattr(open_files, "wall_ns", lambda: LONG_AGO_NS + age_ns)
    file = open_file(files.look_up(b"small"))
    assert file.is_stable is is_stable
    assert file.entity_tag is not None


def test_time_that_no_date_can_name_leaves_the_entity_tag(disk: Disk):
    status = os.stat(disk.folder / "small")
    far = list(status)
    beyond = os.stat_result(far, {"st_mtime_ns": 10**12 * 10**9, "st_ctime_ns": 0})
    file = OpenFile(CLOSED, beyond, SMALL)
    assert file.last_modified is None
    assert file.entity_tag is not None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        pytest.param(b"none", Absent.MISSING, id="nothing there"),
        pytest.param(b"folder", Absent.DIRECTORY, id="folder"),
        pytest.param(b"folder/", Absent.DIRECTORY, id="folder with a slash"),
        pytest.param(b"", Absent.DIRECTORY, id="the root"),
        pytest.param(b"small/", Absent.MISSING, id="file with a slash"),
        pytest.param(b"small/more", Absent.MISSING, id="file used as folder"),
        pytest.param(b"fifo", Absent.MISSING, id="FIFO"),
        pytest.param(b"socket", Absent.MISSING, id="socket"),
        pytest.param(b"loop", Absent.MISSING, id="loop"),
        pytest.param(b"out", Absent.MISSING, id="link that leaves"),
        pytest.param(b"n" * 300, Absent.MISSING, id="300 bytes"),
        pytest.param(b"nul\0", Absent.MISSING, id="NUL"),
    ],
)
def test_t26_what_is_no_file_has_its_reason_and_is_not_kept(
    disk: Disk, files: OpenFiles, name: bytes, why: Absent
):
    (disk.folder / "folder").mkdir()
    os.mkfifo(disk.folder / "fifo")
    os.mknod(disk.folder / "socket", 0o140600)
    (disk.folder / "loop").symlink_to("loop")
    (disk.folder / "out").symlink_to("../..")
    before = descriptors()
    assert [files.look_up(name).found for _ in range(3)] == [why] * 3
    assert len(files) == 0
    assert disk.opened == [name] * 3
    assert descriptors() == before


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (FileMissing("no"), Absent.MISSING),
        (FileForbidden("no"), Absent.FORBIDDEN),
        (OSError(5, "EIO"), Absent.UNREADABLE),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.name,
)
def test_t28_failure_to_open_has_its_reason(
    disk: Disk, files: OpenFiles, error: Exception, why: Absent
):
    disk.fails_with = [error]
    assert files.look_up(b"small").found is why
    assert open_file(files.look_up(b"small")).content == SMALL


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OSError(5, "EIO"), Absent.UNREADABLE),
        (BlockingIOError(11, "EAGAIN"), Absent.UNREADABLE),
        (PermissionError(1, "EPERM"), Absent.FORBIDDEN),
    ],
    ids=["EIO", "EAGAIN", "EPERM"],
)
def test_t28_failure_to_read_has_its_reason_and_closes_the_file(
    disk: Disk, files: OpenFiles, monkeypatch: pytest.MonkeyPatch, error: OSError, why: Absent
):
    def pread(*_: object) -> bytes:
        raise error

    before = descriptors()
    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", pread)
        assert files.look_up(b"small").found is why
    assert descriptors() == before
    assert len(files) == 0


# Files whose size lies (T27).


def lying(real: Callable[[int], os.stat_result], size: int) -> Callable[[int], os.stat_result]:
    """Let every descriptor claim `size` bytes and no block, as procfs and sysfs do."""

    def fstat(fd: int) -> os.stat_result:
        status = real(fd)
        times = {"st_mtime_ns": status.st_mtime_ns, "st_ctime_ns": status.st_ctime_ns}
        return os.stat_result((*status[:6], size, *status[7:]), {**times, "st_blocks": 0})

    return fstat


@pytest.mark.parametrize("size", [0, 4096], ids=["claims nothing", "claims a page"])
def test_t27_lying_file_is_sized_by_what_came_and_has_no_validators(
    disk: Disk, files: OpenFiles, monkeypatch: pytest.MonkeyPatch, size: int
):
    before = descriptors()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", lying(os.fstat, size))
        file = open_file(files.look_up(b"small"))
    assert (file.content, file.size) == (SMALL, len(SMALL))
    assert (file.entity_tag, file.last_modified, file.is_stable) == (None, None, False)
    assert len(files) == 0, "nothing in it could be confirmed"
    assert descriptors() == before


def test_t27_endless_file_is_refused(disk: Disk, files: OpenFiles, monkeypatch: pytest.MonkeyPatch):
    """A part of it would look like all of it."""
    monkeypatch.setattr(open_files, "READ_FIRST_BYTES_MAX", 1000)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", lying(os.fstat, 0))
        patched.setattr(os, "pread", lambda _fd, count, _offset: b"x" * min(count, 300))
        before = descriptors()
        assert files.look_up(b"small").found is Absent.UNREADABLE
        assert descriptors() == before


@pytest.mark.parametrize(
    ("size", "in_memory"),
    [(UNTRUSTED_SIZE_BYTES, True), (UNTRUSTED_SIZE_BYTES + 1, False)],
    ids=["small hole", "large hole"],
)
def test_t27_sparse_file_keeps_its_size_and_its_validators(
    disk: Disk, files: OpenFiles, size: int, in_memory: bool
):
    write(disk.folder / "sparse", b"")
    os.truncate(disk.folder / "sparse", size)
    if os.stat(disk.folder / "sparse").st_blocks:
        pytest.skip("this file system allocates holes")
    file = open_file(files.look_up(b"sparse"))
    assert file.size == size
    assert file.entity_tag is not None
    assert (file.content is not None) is in_memory
    assert is_open(file) is not in_memory


# A file that changes while it is read.


def changing(path: Path, versions: list[bytes]) -> Callable[[int, int, int], bytes]:
    """Read as the kernel does, and rewrite `path` right after each read."""
    real, left = os.pread, iter(versions)

    def pread(fd: int, count: int, offset: int) -> bytes:
        content = real(fd, count, offset)
        version = next(left, None)
        if version is not None:
            path.write_bytes(version)
        return content

    return pread


def test_file_rewritten_while_it_is_read_is_read_again(
    disk: Disk, files: OpenFiles, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "pread", changing(disk.folder / "small", [b"new"]))
    file = open_file(files.look_up(b"small"))
    assert (file.content, file.size) == (b"new", 3)
    assert file.identity == open_files.identity_of(os.stat(disk.folder / "small"))


def test_file_that_outgrows_memory_while_it_is_read_is_sent_from_its_descriptor(
    disk: Disk, files: OpenFiles, monkeypatch: pytest.MonkeyPatch
):
    asked_for: list[int] = []
    pread = changing(disk.folder / "small", [b"x" * 1_000_000])

    def noted(fd: int, count: int, offset: int) -> bytes:
        asked_for.append(count)
        return pread(fd, count, offset)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", noted)
        file = open_file(files.look_up(b"small"))
    assert (file.content, file.size) == (None, 1_000_000)
    assert max(asked_for) <= IN_MEMORY_MAX + 1
    assert content_of(file) == b"x" * 1_000_000


def test_validators_are_never_newer_than_the_bytes(
    disk: Disk, files: OpenFiles, monkeypatch: pytest.MonkeyPatch
):
    """A client that keeps old bytes under a new tag would be told 304 for good."""
    versions = [b"%d" % number * 50 for number in range(1, 4)]
    tags: dict[bytes, bytes] = {}
    path, pread = disk.folder / "small", changing(disk.folder / "small", versions)

    def noted(fd: int, count: int, offset: int) -> bytes:
        tags[path.read_bytes()] = b"%x" % path.stat().st_mtime_ns
        content = pread(fd, count, offset)
        # Time stamps of one tick are equal; here each version must have its own.
        moved_ns = LONG_AGO_NS + len(tags)
        os.utime(path, ns=(moved_ns, moved_ns))
        return content

    monkeypatch.setattr(os, "pread", noted)
    file = open_file(files.look_up(b"small"))
    assert file.content == versions[1]
    assert file.entity_tag is not None
    assert file.entity_tag.opaque.split(b"-")[0] == tags[file.content]


def test_log_that_grows_before_every_read_is_sent_as_it_was(
    disk: Disk, files: OpenFiles, monkeypatch: pytest.MonkeyPatch
):
    """Neither a byte of the next line nor a length that the bytes do not have."""
    write(disk.folder / "log", b"1")
    real, lines = os.pread, iter([b"2", b"3", b"4"])

    def pread(fd: int, count: int, offset: int) -> bytes:
        with (disk.folder / "log").open("ab") as log:
            log.write(next(lines))
        return real(fd, count, offset)

    monkeypatch.setattr(os, "pread", pread)
    file = open_file(files.look_up(b"log"))
    assert (file.content, file.size) == (b"123", 3)
    assert file.entity_tag is not None
