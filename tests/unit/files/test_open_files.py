"""Open files as a cache: true to the disk, closed in time, and never closed under somebody who still reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from chute.errors import DescriptorsExhausted, FileError, FileForbidden, FileMissing
from chute.files import open_files
from chute.files.open_files import Absent, OpenFile, OpenFiles
from chute.transfer.method import Device
from chute.transfer.source import CLOSED
from disk import LARGE, LONG_AGO_NS, SMALL, Disk, content_of, is_open, open_file, write
from trees import descriptors

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
    assert files.look_up(b"large").found is new, "found again, it is kept, in an entry of its own"
    assert files.refresh(entry) is new
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
    found = files.refresh(entry)
    assert found is files.look_up(b"index.html").found
    assert isinstance(found, OpenFile)
    assert found.content == SMALL
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


def test_two_plans_of_one_file_do_not_drop_it_in_turns(disk: Disk, files: OpenFiles):
    """Each knows an entry of its own once the first was dropped; only one of them may stand in the cache."""
    first = files.look_up(b"large")
    files.clear()
    second = files.look_up(b"large")
    opened = len(disk.opened)
    for _ in range(5):
        assert files.refresh(first) is files.refresh(second)
    assert len(disk.opened) == opened


def test_contents_in_memory_survive_the_giving_back_of_descriptors(files: OpenFiles):
    small, large = files.look_up(b"small"), files.look_up(b"large")
    files.give_back_descriptors()
    assert isinstance(small.found, OpenFile)
    assert large.found is Absent.MISSING


def test_file_that_others_may_change_unseen_is_looked_at_each_time(disk: Disk):
    files = disk.files(valid_s=60.0)
    entry = files.look_up(b"large")
    file = open_file(entry)
    file.device = Device()
    file.device.file_system = "nfs4"
    disk.pass_time(60.0)
    files.refresh(entry)
    disk.opened.clear()
    files.look_up(b"large")
    files.look_up(b"large")
    assert disk.opened == [b"large", b"large"]
    assert open_file(entry) is file
    files.clear()
