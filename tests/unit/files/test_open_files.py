"""Open files: true to the disk, closed in time, and never closed under somebody who still reads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chute.clock import Clock
from chute.errors import DescriptorsExhausted, FileError, FileForbidden, FileMissing
from chute.files import open_files
from chute.files.open_files import Absent, Entry, OpenFile, OpenFiles
from chute.files.resolve import Root
from chute.transfer.source import CLOSED
from trees import descriptors

IN_MEMORY_MAX = 100
SMALL, LARGE = b"s" * IN_MEMORY_MAX, b"l" * (IN_MEMORY_MAX + 1)
LONG_AGO_NS = 1_600_000_000_123_456_789


def write(path: Path, content: bytes, *, modified_ns: int = LONG_AGO_NS) -> None:
    """Write a file that is too old to be taken for racy."""
    path.write_bytes(content)
    os.utime(path, ns=(modified_ns, modified_ns))


@dataclass
class Disk:
    """A cache over a real folder, the clock that it goes by, and the names that it opened."""

    folder: Path
    root: Root
    clock: Clock
    opened: list[bytes] = field(default_factory=list)
    fails_with: list[Exception] = field(default_factory=list)
    """What the next attempts to open a name run into, in their order."""

    def files(self, *, valid_s: float = 1.0, entries_max: int = 100) -> OpenFiles:
        return OpenFiles(
            self,  # type: ignore[arg-type]
            self.clock,
            valid_s=valid_s,
            entries_max=entries_max,
            content_bytes_max=IN_MEMORY_MAX,
        )

    def open(self, name: bytes) -> int:
        self.opened.append(name)
        if self.fails_with:
            raise self.fails_with.pop(0)
        return self.root.open(name)

    def pass_time(self, seconds: float = 1.0) -> None:
        self.clock.now_s += seconds


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A folder, and the assertion that nothing opened in a test outlives what the test keeps."""
    before = descriptors()
    with Root(os.fsencode(tmp_path)) as root:
        disk = Disk(tmp_path, root, Clock())
        write(tmp_path / "small", SMALL)
        write(tmp_path / "large", LARGE)
        write(tmp_path / "other", LARGE)
        yield disk
    assert descriptors() == before


@pytest.fixture
def files(disk: Disk) -> Iterator[OpenFiles]:
    files = disk.files()
    yield files
    files.clear()


def open_file(entry: Entry) -> OpenFile:
    assert isinstance(entry.found, OpenFile), entry.found
    return entry.found


def content_of(file: OpenFile) -> bytes:
    return os.pread(file.fd, 1 << 20, 0) if file.content is None else file.content


def is_open(file: OpenFile) -> bool:
    if file.fd == CLOSED:
        return False
    os.fstat(file.fd)
    return True


# What a file is found to be.


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
    ("modified_ns", "modified_s"),
    [(-1, -1), (-1_000_000_000, -1), (-1_500_000_000, -2), (0, 0), (1, 0)],
)
def test_t19_second_of_a_modification_time_is_rounded_down(
    disk: Disk, files: OpenFiles, modified_ns: int, modified_s: int
):
    write(disk.folder / "old", b"old", modified_ns=modified_ns)
    file = open_file(files.look_up(b"old"))
    assert file.modified_s == modified_s
    assert file.entity_tag is not None
    assert file.is_stable


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


def test_t27_endless_file_is_cut(disk: Disk, files: OpenFiles, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(open_files, "READ_FIRST_BYTES_MAX", 1000)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", lying(os.fstat, 0))
        patched.setattr(os, "pread", lambda _fd, count, _offset: b"x" * min(count, 300))
        file = open_file(files.look_up(b"small"))
    assert file.content == b"x" * 1000


@pytest.mark.parametrize(
    ("size", "in_memory"),
    [(open_files.UNTRUSTED_SIZE_BYTES, True), (open_files.UNTRUSTED_SIZE_BYTES + 1, False)],
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


def test_log_that_grows_at_every_read_is_sent_as_it_was(
    disk: Disk, files: OpenFiles, monkeypatch: pytest.MonkeyPatch
):
    write(disk.folder / "log", b"1")
    monkeypatch.setattr(os, "pread", changing(disk.folder / "log", [b"12", b"123", b"1234"]))
    file = open_file(files.look_up(b"log"))
    assert (file.content, file.size) == (b"123", 3)


# How long it is remembered.


def test_within_its_time_the_disk_is_not_asked(disk: Disk, files: OpenFiles):
    first = files.look_up(b"large")
    write(disk.folder / "large", b"changed")
    disk.pass_time(0.999)
    assert files.look_up(b"large") is first
    assert disk.opened == [b"large"]


def test_after_its_time_an_unchanged_file_keeps_its_descriptor(disk: Disk, files: OpenFiles):
    entry = files.look_up(b"large")
    file, fd = open_file(entry), open_file(entry).fd
    before = descriptors()
    for _ in range(3):
        disk.pass_time()
        assert files.look_up(b"large") is entry
        assert (entry.found, file.fd) == (file, fd)
    assert disk.opened == [b"large"] * 4
    assert descriptors() == before


def test_confirmed_file_is_taken_for_granted_again(disk: Disk, files: OpenFiles):
    files.look_up(b"large")
    disk.pass_time()
    files.look_up(b"large")
    disk.pass_time(0.5)
    files.look_up(b"large")
    assert disk.opened == [b"large"] * 2


def test_without_validity_every_look_asks_the_disk(disk: Disk):
    files = disk.files(valid_s=0)
    for number in range(3):
        content = b"%d" % number * 200
        write(disk.folder / "large", content)
        assert content_of(open_file(files.look_up(b"large"))) == content
    files.clear()


def rewrite(path: Path) -> None:
    write(path, b"x" * len(LARGE), modified_ns=LONG_AGO_NS + 1)


def rewrite_and_set_back(path: Path) -> None:
    """The same size and modification time: only the time of change tells."""
    path.write_bytes(b"x" * len(LARGE))
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))


def replace(path: Path) -> None:
    write(path.with_name("new"), b"x" * len(LARGE))
    path.with_name("new").rename(path)


def append(path: Path) -> None:
    write(path, LARGE + b"x")


def exchange_for_link(path: Path) -> None:
    write(path.with_name("new"), b"x" * len(LARGE))
    path.unlink()
    path.symlink_to("new")


@pytest.mark.parametrize(
    "change",
    [rewrite, rewrite_and_set_back, replace, append, exchange_for_link],
    ids=lambda change: change.__name__.replace("_", " "),
)
def test_t19_change_gives_a_new_file_and_closes_the_old_one(
    disk: Disk, files: OpenFiles, change: Callable[[Path], None]
):
    before = descriptors()
    old = open_file(files.look_up(b"large"))
    change(disk.folder / "large")
    disk.pass_time()
    new = open_file(files.look_up(b"large"))
    assert new is not old
    assert content_of(new) == (disk.folder / "large").read_bytes()
    assert old.fd == CLOSED
    assert len(descriptors() - before) == 1


def test_t19_racy_file_is_replaced_and_never_confirmed(
    disk: Disk, files: OpenFiles, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(open_files, "wall_ns", lambda: LONG_AGO_NS)
    old = open_file(files.look_up(b"large"))
    disk.pass_time()
    new = open_file(files.look_up(b"large"))
    assert new is not old
    assert old.fd == CLOSED
    assert is_open(new)


def test_t28_deleted_file_is_missing_after_its_time(disk: Disk, files: OpenFiles):
    file = open_file(files.look_up(b"large"))
    (disk.folder / "large").unlink()
    disk.pass_time()
    assert files.look_up(b"large").found is Absent.MISSING
    assert file.fd == CLOSED
    assert len(files) == 0


def test_t28_file_that_may_no_longer_be_read_is_forbidden_after_its_time(
    disk: Disk, files: OpenFiles
):
    file = open_file(files.look_up(b"large"))
    disk.pass_time()
    disk.fails_with = [FileForbidden("no"), FileForbidden("no")]
    assert files.look_up(b"large").found is Absent.FORBIDDEN
    assert file.fd == CLOSED


def test_file_that_cannot_be_measured_again_is_not_confirmed(
    disk: Disk, files: OpenFiles, monkeypatch: pytest.MonkeyPatch
):
    """A network file system may lose a file between open and fstat."""
    files.look_up(b"large")
    disk.pass_time()
    before = descriptors()

    def fstat(_fd: int) -> os.stat_result:
        raise OSError(116, "ESTALE")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", fstat)
        found = files.look_up(b"large").found
    assert found is Absent.UNREADABLE
    assert len(before - descriptors()) == 1


def test_file_becomes_a_folder_and_a_file_again(disk: Disk, files: OpenFiles):
    path = disk.folder / "large"
    entry = files.look_up(b"large")
    path.unlink()
    path.mkdir()
    disk.pass_time()
    assert files.look_up(b"large").found is Absent.DIRECTORY
    assert files.refresh(entry) is Absent.DIRECTORY
    path.rmdir()
    write(path, LARGE)
    assert content_of(open_file(files.look_up(b"large"))) == LARGE


# Ownership: who holds a file, and what becomes of an entry that the cache has dropped.


@pytest.mark.parametrize(
    "drop",
    [
        pytest.param(lambda files, disk: files.clear(), id="clear"),
        pytest.param(lambda files, disk: (files.sweep(), files.sweep()), id="two sweeps"),
        pytest.param(
            lambda files, disk: [files.look_up(b"f%d" % number) for number in range(100)],
            id="eviction",
        ),
        pytest.param(
            lambda files, disk: (
                (rewrite(disk.folder / "large"), disk.pass_time()) and files.look_up(b"large")
            ),
            id="change",
        ),
    ],
)
def test_t10_dropped_file_stays_open_for_a_transfer_in_flight(
    disk: Disk, files: OpenFiles, drop: Callable[[OpenFiles, Disk], object]
):
    for number in range(100):
        write(disk.folder / f"f{number}", b"")
    entry = files.look_up(b"large")
    file = open_file(entry)
    file.acquire()
    drop(files, disk)
    assert is_open(file)
    assert content_of(file)
    file.release()
    assert file.fd == CLOSED


def test_dropped_entry_no_longer_leads_to_its_file(disk: Disk, files: OpenFiles):
    """A plan that still knows the entry must not go on using a closed file, nor release it again."""
    entry = files.look_up(b"large")
    old = open_file(entry)
    files.clear()
    assert entry.found is Absent.MISSING
    new = files.refresh(entry)
    assert isinstance(new, OpenFile)
    assert new is not old
    assert content_of(new) == LARGE
    assert files.look_up(b"large") is entry, "found again, it is kept again"
    files.clear()
    files.clear()
    assert new.fd == CLOSED


def test_two_entries_of_one_name_do_not_keep_two_files(disk: Disk, files: OpenFiles):
    """One is known to a plan since before the cache was cleared, the other was looked up since."""
    before = descriptors()
    one = files.look_up(b"large")
    files.clear()
    other = files.look_up(b"large")
    assert other is not one
    for _ in range(3):
        disk.pass_time()
        first, second = files.refresh(one), files.refresh(other)
        assert isinstance(first, OpenFile)
        assert isinstance(second, OpenFile)
    assert len(descriptors() - before) == 1
    assert len(files) == 1


def test_two_entries_of_one_name_in_two_generations_are_both_released(disk: Disk, files: OpenFiles):
    before = descriptors()
    one = files.look_up(b"large")
    files.clear()
    files.look_up(b"large")
    files.sweep()
    files.refresh(one)
    files.sweep()
    files.sweep()
    assert len(files) == 0
    assert descriptors() == before


def test_entry_that_led_nowhere_finds_the_file_that_appears(disk: Disk, files: OpenFiles):
    """An index that is created: the plan of the folder holds the entry, and asks again after its time."""
    entry = files.look_up(b"index.html")
    assert entry.found is Absent.MISSING
    write(disk.folder / "index.html", SMALL)
    assert files.refresh(entry) is Absent.MISSING, "within its time"
    disk.pass_time()
    assert files.refresh(entry) is entry.found
    assert open_file(entry).content == SMALL
    assert files.look_up(b"index.html") is entry
    (disk.folder / "index.html").unlink()
    disk.pass_time()
    assert files.refresh(entry) is Absent.MISSING
    assert len(files) == 0


# Bounds.


@pytest.mark.parametrize("entries_max", [1, 2, 3, 10, 11])
def test_entries_and_descriptors_are_bounded(disk: Disk, entries_max: int):
    for number in range(30):
        write(disk.folder / f"f{number}", LARGE)
    files = disk.files(entries_max=entries_max)
    before = descriptors()
    for number in [*range(30), *range(0, 30, 3), *range(30)]:
        assert content_of(open_file(files.look_up(b"f%d" % number))) == LARGE
        assert len(files) <= max(2, entries_max)
        assert len(descriptors() - before) == len(files)
    files.clear()


def test_file_in_use_outlives_files_seen_once(disk: Disk):
    for number in range(30):
        write(disk.folder / f"f{number}", LARGE)
    files = disk.files(entries_max=6)
    file = open_file(files.look_up(b"large"))
    for number in range(30):
        files.look_up(b"f%d" % number)
        if number % 2:
            assert files.look_up(b"large").found is file
    files.clear()


def test_probing_for_names_evicts_nothing(disk: Disk):
    files = disk.files(entries_max=4)
    file = open_file(files.look_up(b"large"))
    for number in range(100):
        files.look_up(b"none-%d" % number)
    assert files.look_up(b"large").found is file
    assert len(files) == 1
    files.clear()


def test_sweep_keeps_what_a_plan_confirms(disk: Disk, files: OpenFiles):
    """A plan never looks a name up: its confirmations are the use that keeps the file open."""
    entry = files.look_up(b"large")
    file = open_file(entry)
    for _ in range(5):
        files.sweep()
        disk.pass_time()
        assert files.refresh(entry) is file
    assert is_open(file)


def test_sweep_keeps_what_is_looked_up(disk: Disk, files: OpenFiles):
    file = open_file(files.look_up(b"large"))
    for _ in range(5):
        files.sweep()
        assert files.look_up(b"large").found is file


def test_second_sweep_closes_a_deleted_file_that_nobody_asks_for(disk: Disk, files: OpenFiles):
    file = open_file(files.look_up(b"large"))
    (disk.folder / "large").unlink()
    files.sweep()
    assert is_open(file)
    files.sweep()
    assert file.fd == CLOSED
    assert len(files) == 0


# Out of descriptors (T29).


def test_t29_cache_gives_back_its_descriptors_when_none_is_left(disk: Disk, files: OpenFiles):
    held = [open_file(files.look_up(name)) for name in (b"large", b"other")]
    disk.fails_with = [DescriptorsExhausted("no")]
    assert open_file(files.look_up(b"small")).content == SMALL
    assert [file.fd for file in held] == [CLOSED, CLOSED]
    assert len(files) == 1


def test_t29_without_any_descriptor_the_answer_is_to_come_back(disk: Disk, files: OpenFiles):
    disk.fails_with = [DescriptorsExhausted("no"), DescriptorsExhausted("no")]
    assert files.look_up(b"small").found is Absent.EXHAUSTED
    assert len(files) == 0
    assert open_file(files.look_up(b"small")).content == SMALL


@pytest.mark.parametrize(
    ("failures", "found"), [(1, LARGE), (2, LARGE), (3, Absent.EXHAUSTED)], ids=str
)
def test_t29_refreshing_without_a_descriptor_leaves_no_file_half_owned(
    disk: Disk, files: OpenFiles, failures: int, found: bytes | Absent
):
    """The attempt to confirm, the attempt to open, and the one after the cache has been cleared."""
    before = descriptors()
    entry, bystander = files.look_up(b"large"), files.look_up(b"other")
    old = open_file(entry)
    disk.pass_time()
    disk.fails_with = [DescriptorsExhausted("no") for _ in range(failures)]
    now = files.refresh(entry)
    assert old.fd == CLOSED
    assert now is entry.found
    assert (content_of(now) if isinstance(now, OpenFile) else now) == found
    assert isinstance(bystander.found, OpenFile) is (failures == 1)
    disk.pass_time()
    assert content_of(open_file(files.look_up(b"large"))) == LARGE
    files.clear()
    assert descriptors() == before


@pytest.mark.parametrize(
    "error", [FileMissing("no"), FileForbidden("no"), DescriptorsExhausted("no"), OSError(5, "EIO")]
)
def test_t10_failing_and_recovering_a_thousand_times_leaves_nothing_open(
    disk: Disk, error: FileError | OSError
):
    files = disk.files(valid_s=0)
    before = descriptors()
    for number in range(1000):
        disk.fails_with = [error] * (number % 5)
        files.look_up((b"large", b"small")[number % 2])
    disk.fails_with = []
    files.clear()
    assert descriptors() == before
