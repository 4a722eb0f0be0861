"""Unfinished uploads: what has come is kept, by one writer at a time, and becomes a file in one step."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from arrivals import fail_once, in_threads, refuse_links
from chute.errors import (
    FileMissing,
    InsufficientStorage,
    NameTaken,
    NameUnusable,
    TooManyUnfinished,
    UploadBusy,
    UploadExpired,
)
from chute.files import partial
from chute.files.arriving import Destination, only_new, replacing
from chute.files.partial import (
    REMOVALS_MAX,
    Record,
)
from chute.files.resolve import Root
from partials import Place
from trees import descriptors

Make = Callable[[Path], None]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place; when the test is over, no descriptor is left."""
    before = descriptors()
    folder = tmp_path / "site"
    folder.mkdir()
    with Root(os.fsencode(folder)) as root:
        place = Place(folder, root)
        yield place
        for ledger in place.ledgers:
            ledger.close()
    assert descriptors() == before


def test_upload_is_continued_where_it_stopped(place: Place):
    upload_id = place.paused(b"new", 7, b"one", b" ")
    assert place.offset(upload_id) == 4
    assert "new" not in place.names()
    file = place.resume(upload_id)
    assert (file.offset, file.record) == (4, Record(b"new", 7, "note"))
    file.blocking_write(b"two")
    status = file.blocking_commit(only_new)
    assert (place.folder / "new").read_bytes() == b"one two"
    assert status.st_ino == (place.folder / "new").stat().st_ino
    assert place.names() == ["new"]


def test_id_is_128_bits_and_never_the_same(place: Place):
    ids = {place.paused(b"new%d" % number) for number in range(5)}
    assert len({upload_id for upload_id in ids if re.fullmatch(rb"[0-9a-f]{32}", upload_id)}) == 5


@pytest.mark.parametrize("name", [b"a b", "ü".encode(), b'\xff\n"\\', b"x" * 255])
def test_name_of_any_bytes_survives_the_record(place: Place, name: bytes):
    upload_id = place.paused(name, 1)
    file = place.resume(upload_id)
    file.blocking_write(b"x")
    file.blocking_commit(only_new)
    assert os.listdir(os.fsencode(place.folder)) == [name]


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"a\0b", b".chute-x", b"x" * 256])
def test_name_that_no_upload_can_have_is_refused(place: Place, name: bytes):
    with pytest.raises(NameUnusable):
        place.begin(name)
    assert place.names() == []


def test_discarded_upload_leaves_nothing_and_a_committed_one_cannot_be_discarded(place: Place):
    file = place.begin(b"new", 7, b"one")
    file.blocking_discard()
    assert place.names() == []
    file = place.begin(b"new", 3, b"one")
    file.blocking_commit(only_new)
    file.blocking_discard()
    assert place.names() == ["new"]


def test_bytes_written_before_an_error_count(place: Place, monkeypatch: pytest.MonkeyPatch):
    file = place.begin(b"new", 7, b"one")
    real = os.pwrite

    def failing(fd: int, block: bytes, offset: int) -> int:
        if offset > 3:
            raise OSError(errno.ENOSPC, "full")
        return real(fd, block[:2], offset)

    monkeypatch.setattr(os, "pwrite", failing)
    with pytest.raises(InsufficientStorage):
        file.blocking_write(b" two")
    file.blocking_pause()
    assert place.offset(file.id) == 5
    assert place.data(file.id).read_bytes() == b"one t"


def test_what_fsync_could_not_confirm_does_not_count(place: Place, monkeypatch: pytest.MonkeyPatch):
    fail_once(monkeypatch, "fsync", errno.EINVAL)  # the file system cannot do that
    file = place.resume(place.paused(b"new", 7, b"one"))
    file.blocking_write(b" two")
    fail_once(monkeypatch, "fsync", errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        file.blocking_pause()
    assert place.offset(file.id) == 3


def test_content_is_synced_before_the_name_and_the_name_before_the_end(
    place: Place, monkeypatch: pytest.MonkeyPatch
):
    seen: list[tuple[bool, list[str]]] = []
    real = os.fsync

    def watching(fd: int) -> None:
        seen.append((os.path.isdir(f"/proc/self/fd/{fd}"), place.names()))
        real(fd)

    file = place.begin(b"new", 3, b"one")
    hidden = place.names()
    monkeypatch.setattr(os, "fsync", watching)
    file.blocking_commit(only_new)
    assert seen == [(False, hidden), (True, sorted([*hidden, "new"]))]


def test_taken_name_is_refused_when_an_upload_begins(place: Place):
    (place.folder / "new").write_bytes(b"old")
    with pytest.raises(NameTaken):
        place.begin()
    assert place.names() == ["new"]


@pytest.mark.parametrize("make", [os.mkdir, lambda path: os.symlink("elsewhere", path), os.mkfifo])
def test_what_is_no_regular_file_is_never_replaced(place: Place, make: Make):
    make(place.folder / "new")
    with pytest.raises(NameTaken):
        place.files.blocking_begin(b"", Record(b"new", 1, ""), replacing)


def test_upload_stays_when_the_name_is_taken_meanwhile(place: Place):
    file = place.begin(b"new", 3, b"one")
    (place.folder / "new").write_bytes(b"theirs")
    with pytest.raises(NameTaken):
        file.blocking_commit(only_new)
    file.blocking_pause()
    assert place.offset(file.id) == 3
    assert (place.folder / "new").read_bytes() == b"theirs"
    (place.folder / "new").unlink()
    place.resume(file.id).blocking_commit(only_new)
    assert (place.folder / "new").read_bytes() == b"one"
    assert place.names() == ["new"]


def test_name_that_is_taken_in_the_last_moment_is_not_lost(place: Place):
    """By another program, between the look at the name and the step that takes it."""
    file = place.begin(b"new", 3, b"one")
    asked: list[os.stat_result | None] = []

    def late(status: os.stat_result | None) -> bool:
        asked.append(status)
        (place.folder / "new").write_bytes(b"theirs")
        return status is None

    with pytest.raises(NameTaken):
        file.blocking_commit(late)
    assert len(asked) == 2
    file.blocking_discard()
    assert (place.folder / "new").read_bytes() == b"theirs"


def test_name_is_taken_where_there_are_no_hard_links(place: Place, monkeypatch: pytest.MonkeyPatch):
    file = place.begin(b"new", 3, b"one")
    refuse_links(monkeypatch)
    file.blocking_commit(only_new)
    assert (place.folder / "new").read_bytes() == b"one"
    assert place.names() == ["new"]


def test_replacing_takes_over_permissions_and_dates_itself_later(place: Place):
    old = place.folder / "new"
    file = place.begin(b"new", 3, b"one")
    old.write_bytes(b"old")
    old.chmod(0o6640)
    ahead_ns = place.data(file.id).stat().st_mtime_ns + 10**9
    os.utime(old, ns=(ahead_ns, ahead_ns))
    with old.open("rb") as reader:
        status = file.blocking_commit(replacing)
        assert reader.read() == b"old"
    assert old.read_bytes() == b"one"
    assert status.st_mode & 0o7777 == 0o640
    assert status.st_mtime_ns > ahead_ns
    assert place.names() == ["new"]


def test_commit_that_failed_after_the_name_was_taken_can_be_repeated(
    place: Place, monkeypatch: pytest.MonkeyPatch
):
    file = place.begin(b"new", 3, b"one")

    def failing(_: Destination) -> None:
        raise OSError(errno.EIO, "the folder cannot be synced")

    monkeypatch.setattr(Destination, "blocking_sync", failing)
    with pytest.raises(OSError, match="folder"):
        file.blocking_commit(only_new)
    monkeypatch.undo()
    file.blocking_pause()
    place.resume(file.id).blocking_commit(only_new)
    assert place.names() == ["new"]


def test_two_uploads_of_one_name_at_once_leave_one_file_and_one_upload(place: Place):
    files = [place.begin(b"new", 3, content) for content in (b"one", b"two")]
    outcomes = in_threads(*(lambda file=file: file.blocking_commit(only_new) for file in files))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NameTaken", "stat_result"]
    winner = int(isinstance(outcomes[0], NameTaken))
    assert (place.folder / "new").read_bytes() == (b"one", b"two")[winner]
    files[1 - winner].blocking_discard()


def test_second_writer_is_refused_until_the_first_has_ended(place: Place):
    file = place.begin(b"new", 7, b"one")
    with pytest.raises(UploadBusy):
        place.resume(file.id)
    assert place.offset(file.id) == 3
    file.blocking_pause()
    place.resume(file.id).blocking_pause()


def test_lock_holds_across_processes_and_ends_with_the_process(place: Place):
    upload_id = place.paused(b"new", 7, b"one")
    program = (
        "import fcntl, sys; file = open(sys.argv[1], 'r+b'); fcntl.flock(file, fcntl.LOCK_EX);"
        "print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, place.data(upload_id)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        try:
            with pytest.raises(UploadBusy):
                place.resume(upload_id)
        finally:
            other.kill()
            other.wait(10)
    place.resume(upload_id).blocking_pause()


@pytest.mark.parametrize("end", ["commit", "discard", "exchange"])
def test_upload_that_ends_between_opening_and_locking_is_not_written_to(
    place: Place, monkeypatch: pytest.MonkeyPatch, end: str
):
    file = place.begin(b"new", 3, b"one")
    real = partial.fcntl.flock

    def late(fd: int, operation: int) -> None:
        monkeypatch.undo()
        record = place.record(file.id).read_bytes()
        file.blocking_commit(only_new) if end == "commit" else file.blocking_discard()
        if end == "exchange":
            place.data(file.id).touch()
            place.record(file.id).write_bytes(record)
        real(fd, operation)

    monkeypatch.setattr(partial.fcntl, "flock", late)
    with pytest.raises(FileMissing):
        place.resume(file.id)


@pytest.mark.parametrize("upload_id", [b"", b"0" * 31, b"0" * 32, b"0" * 32 + b".json", b"../x"])
def test_unknown_upload_is_missing(place: Place, upload_id: bytes):
    (place.folder / "sub").mkdir()
    for ask in (place.resume, place.offset):
        with pytest.raises(FileMissing):
            ask(upload_id)
    with pytest.raises(FileMissing):
        place.files.blocking_resume(b"sub/", place.paused())


BROKEN_RECORDS = """
[]
\xff
{"name": "../new", "length": 3, "note": ""}
{"name": ".chute-new", "length": 3, "note": ""}
{"name": "\\ud800", "length": 3, "note": ""}
{"name": "new", "length": "3", "note": ""}
{"name": "new", "length": true, "note": ""}
{"name": "new", "length": 3, "note": 1}
{"name": "new", "length": 3}
"""


@pytest.mark.parametrize("content", [*BROKEN_RECORDS.encode("latin-1").split(b"\n"), b"[" * 60_000])
def test_broken_record_is_no_upload(place: Place, content: bytes):
    upload_id = place.paused()
    place.record(upload_id).write_bytes(content)
    for ask in (place.resume, place.offset):
        with pytest.raises(FileMissing):
            ask(upload_id)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("new", path)])
def test_t21_what_is_planted_under_a_hidden_name_is_not_opened(place: Place, make: Make):
    (place.folder / "new").write_bytes(b"old")
    upload_id = place.paused(b"other")
    place.data(upload_id).unlink()
    make(place.data(upload_id))
    for ask in (place.resume, place.offset):
        with pytest.raises(FileMissing):
            ask(upload_id)


def test_abandoned_upload_expires(place: Place):
    upload_id = place.paused(b"new", 7, b"one")
    place.age(upload_id)
    for ask in (place.resume, place.offset):
        with pytest.raises(UploadExpired):
            ask(upload_id)


def test_every_byte_puts_off_the_expiry(place: Place):
    upload_id = place.paused(b"new", 7, b"one")
    place.age(upload_id)
    os.utime(place.data(upload_id))
    place.paused(b"other")
    assert place.offset(upload_id) == 3


@pytest.mark.parametrize("lost", ["nothing", "record", "data"])
def test_abandoned_upload_is_removed_when_another_begins(place: Place, lost: str):
    upload_id = place.paused()
    place.age(upload_id)
    if lost != "nothing":
        getattr(place, lost)(upload_id).unlink()
    place.begin(b"other").blocking_discard()
    assert place.names() == []


def test_young_record_without_an_upload_stays_for_it_is_about_to_begin(place: Place):
    upload_id = place.paused()
    place.data(upload_id).unlink()
    place.paused(b"other")
    assert place.record(upload_id).exists()


def test_abandoned_upload_that_somebody_is_at_stays(place: Place):
    file = place.begin(b"new", 7, b"one")
    place.age(file.id)
    place.paused(b"other")
    file.blocking_write(b" two")
    file.blocking_commit(only_new)
    assert (place.folder / "new").read_bytes() == b"one two"


def test_removals_are_bounded(place: Place):
    place.use(unfinished_max=100)
    for number in range(REMOVALS_MAX + 3):
        place.paused(b"new%d" % number)
    for name in place.names():
        os.utime(place.folder / name, (0, 0))
    place.paused(b"other")
    assert len(place.names()) == 2 * (3 + 1)


def test_unfinished_uploads_of_a_folder_are_bounded(place: Place):
    place.use(unfinished_max=1)
    upload_id = place.paused()
    with pytest.raises(TooManyUnfinished):
        place.begin(b"other")
    place.resume(upload_id).blocking_discard()
    place.paused(b"other")


def test_account_follows_what_is_on_the_disk(place: Place):
    place.use(quota_bytes=1000)
    upload_id = place.paused(b"new", 700, b"x" * 300)
    record_bytes = place.record(upload_id).stat().st_size
    assert place.used() == 300 + record_bytes
    file = place.resume(upload_id)
    file.blocking_expect(400)
    file.blocking_write(b"x" * 100)
    file.blocking_pause()
    place.use(quota_bytes=1000)
    assert place.used() == 400 + record_bytes
    file = place.resume(upload_id)
    file.blocking_write(b"x" * 300)
    file.blocking_commit(only_new)
    assert place.used() == 700


def test_room_for_what_is_to_come_is_nobody_elses(place: Place):
    place.use(quota_bytes=1000)
    with pytest.raises(InsufficientStorage):
        place.begin(b"new", 1001)
    assert (place.names(), place.used()) == ([], 0)
    file = place.begin(b"new", 700)
    file.blocking_expect(700)
    with pytest.raises(InsufficientStorage):
        place.begin(b"other", 300)
    file.blocking_pause()
    place.use(quota_bytes=place.used() + 5)
    file = place.resume(file.id)
    with pytest.raises(InsufficientStorage):
        file.blocking_write(b"x" * 6)
    file.blocking_discard()


@pytest.mark.parametrize("way", ["discard", "expiry", "failure"])
def test_account_gets_back_what_goes(place: Place, way: str, monkeypatch: pytest.MonkeyPatch):
    place.use(quota_bytes=1000)
    assert place.used() == 0
    if way == "failure":
        monkeypatch.setattr(partial, "_MODE", "not a mode")
        with pytest.raises(TypeError):
            place.begin(b"new", 700)
    else:
        upload_id = place.paused(b"new", 700, b"x" * 300)
        if way == "expiry":
            place.age(upload_id)
            upload_id = place.paused(b"other")
        place.resume(upload_id).blocking_discard()
    assert place.names() == []
    assert place.used() == 0


def test_replaced_file_is_taken_off_the_account(place: Place):
    (place.folder / "new").write_bytes(b"o" * 100)
    place.use(quota_bytes=1000)
    file = place.files.blocking_begin(b"", Record(b"new", 300, ""), replacing)
    file.blocking_write(b"x" * 300)
    file.blocking_commit(replacing)
    assert place.used() == 300
