"""Files that are being received: whole under their name, or nothing at all, with and without unnamed files."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from arrivals import WAYS, fail_once, in_threads, refuse_links, refuse_unnamed
from chute.errors import (
    DescriptorsExhausted,
    FileError,
    FileForbidden,
    FileMissing,
    FileTooLarge,
    InsufficientStorage,
    NameTaken,
    NameUnusable,
)
from chute.files import arriving
from chute.files.arriving import (
    ArrivingFile,
    Destination,
    only_new,
    replacing,
)
from chute.files.ledger import Ledger
from chute.files.resolve import Root
from trees import descriptors


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every way in which a file can arrive, one after the other."""
    if request.param == "without procfs":
        monkeypatch.setattr(os.path, "exists", lambda _: False)
    elif request.param != "unnamed":
        refuse_unnamed(monkeypatch)
    if request.param == "without hard links":
        refuse_links(monkeypatch)
    return str(request.param)


class Place:
    """A folder to put files into, and what the test makes there."""

    def __init__(self, folder: Path, root: Root) -> None:
        self.folder = folder
        self.root = root
        self.ledger = Ledger()
        self.destination = Destination(root, b"")

    def arriving(self, name: bytes = b"new", *blocks: bytes, count: int = 0) -> ArrivingFile:
        file = ArrivingFile(self.destination, name, self.ledger, count=count)
        for block in blocks:
            file.blocking_write(block)
        return file

    def names(self) -> list[str]:
        return sorted(os.listdir(self.folder))

    def set_quota(self, quota_bytes: int) -> None:
        self.ledger.close()
        self.ledger = Ledger(quota_bytes=quota_bytes)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place; when the test is over, no descriptor is left, and no hidden name."""
    before = descriptors()
    folder = tmp_path / "site"
    folder.mkdir()
    with Root(os.fsencode(folder)) as root:
        place = Place(folder, root)
        yield place
        place.destination.close()
        place.ledger.close()
    assert descriptors() == before
    assert not [name for name in os.listdir(folder) if name.startswith(".chute-")]


def test_file_appears_whole_and_only_when_it_is_committed(place: Place, way: str):
    file = place.arriving(b"new", b"one ", b"two")
    assert "new" not in place.names()
    assert bool(place.names()) is (way != "unnamed")
    status = file.blocking_commit(only_new)
    assert place.names() == ["new"]
    assert (place.folder / "new").read_bytes() == b"one two"
    assert (status.st_size, file.replaced) == (7, None)
    assert status.st_mtime_ns == (place.folder / "new").stat().st_mtime_ns


def test_file_without_content_is_a_file(place: Place, way: str):
    place.arriving().blocking_commit(only_new)
    assert (place.folder / "new").read_bytes() == b""


def test_discarded_file_leaves_nothing(place: Place, way: str):
    file = place.arriving(b"new", b"content")
    for _ in range(2):
        file.blocking_discard()
        assert place.names() == []


def test_discarding_after_the_commit_changes_nothing(place: Place, way: str):
    file = place.arriving(b"new", b"content")
    file.blocking_commit(only_new)
    file.blocking_discard()
    assert place.names() == ["new"]


def test_file_that_is_there_is_not_replaced_unasked(place: Place, way: str):
    (place.folder / "new").write_bytes(b"old")
    file = place.arriving(b"new", b"content")
    with pytest.raises(NameTaken):
        file.blocking_commit(only_new)
    file.blocking_discard()
    assert (place.folder / "new").read_bytes() == b"old"


def test_replacing_is_one_step_for_whoever_has_the_old_file_open(place: Place, way: str):
    (place.folder / "new").write_bytes(b"old")
    with (place.folder / "new").open("rb") as reader:
        file = place.arriving(b"new", b"content")
        file.blocking_commit(replacing)
        assert reader.read() == b"old"
    assert (place.folder / "new").read_bytes() == b"content"
    assert place.names() == ["new"]
    assert file.replaced is not None
    assert file.replaced.st_size == 3


def test_replacing_takes_over_the_permissions_but_not_the_privileges(place: Place, way: str):
    (place.folder / "new").write_bytes(b"old")
    (place.folder / "new").chmod(0o6751)
    place.arriving().blocking_commit(replacing)
    assert (place.folder / "new").stat().st_mode & 0o7777 == 0o751


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0, 0o666)])
def test_mode_of_a_new_file_is_that_of_the_umask(place: Place, way: str, umask: int, mode: int):
    previous = os.umask(umask)
    try:
        place.arriving().blocking_commit(only_new)
    finally:
        os.umask(previous)
    assert (place.folder / "new").stat().st_mode & 0o7777 == mode


def test_files_that_follow_each_other_within_a_tick_have_different_dates(place: Place, way: str):
    """Else those of one size had one entity tag, and the second to come could replace what it has not seen."""

    def next_date() -> int:
        return place.arriving(b"new", b"same size").blocking_commit(replacing).st_mtime_ns

    dates = [next_date() for _ in range(5)]
    assert sorted(set(dates)) == dates
    os.utime(place.folder / "new", ns=(0, 2**62))
    assert next_date() < 2**62


def plant_link(path: Path) -> None:
    (path.parent / "target").write_bytes(b"target")
    path.symlink_to("target")


def plant_dangling_link(path: Path) -> None:
    path.symlink_to("../outside")


OTHERS = {
    "a link": plant_link,
    "a link that leads nowhere": plant_dangling_link,
    "a folder": Path.mkdir,
    "a FIFO": os.mkfifo,
}


@pytest.mark.parametrize("plant", OTHERS.values(), ids=OTHERS.keys())
def test_what_is_no_regular_file_is_neither_replaced_nor_written_through(
    place: Place, way: str, plant: Callable[[Path], None]
):
    plant(place.folder / "new")
    before = (place.names(), (place.folder / "new").lstat().st_ino)
    file = place.arriving(b"new", b"content")
    for may_take in (only_new, replacing):
        with pytest.raises(NameTaken):
            file.blocking_commit(may_take)
    file.blocking_discard()
    assert (place.names(), (place.folder / "new").lstat().st_ino) == before
    assert not (place.folder.parent / "outside").exists()
    if (place.folder / "target").exists():
        assert (place.folder / "target").read_bytes() == b"target"


def test_destination_is_resolved_beneath_the_root(place: Place, tmp_path: Path):
    (tmp_path / "outside").mkdir()
    (place.folder / "out").symlink_to("../outside")
    (place.folder / "sub").mkdir()
    (place.folder / "in").symlink_to("sub")
    (place.folder / "file").write_bytes(b"")
    for name in (b"out", b"../outside", b"none", b"file", b"sub/../../outside"):
        with pytest.raises(FileMissing):
            Destination(place.root, name)
    destination = Destination(place.root, b"in")
    ArrivingFile(destination, b"new", place.ledger).blocking_commit(only_new)
    destination.close()
    assert (place.folder / "sub" / "new").exists()


def test_file_ends_in_the_folder_that_was_opened_whatever_its_name_leads_to_by_then(
    place: Place, way: str, tmp_path: Path
):
    (tmp_path / "outside").mkdir()
    (place.folder / "sub").mkdir()
    destination = Destination(place.root, b"sub")
    file = ArrivingFile(destination, b"new", place.ledger)
    (place.folder / "sub").rename(place.folder / "moved")
    (place.folder / "sub").symlink_to(tmp_path / "outside")
    file.blocking_commit(only_new)
    destination.close()
    assert os.listdir(tmp_path / "outside") == []
    assert (place.folder / "moved" / "new").exists()


def test_folder_that_was_removed_meanwhile_is_missing(place: Place, way: str):
    (place.folder / "sub").mkdir()
    destination = Destination(place.root, b"sub")
    file = ArrivingFile(destination, b"new", place.ledger)
    for name in os.listdir(place.folder / "sub"):
        (place.folder / "sub" / name).unlink()
    (place.folder / "sub").rmdir()
    with pytest.raises(FileMissing):
        file.blocking_commit(only_new)
    file.blocking_discard()
    destination.close()


@pytest.mark.parametrize("name", [b"n" * 256, b"n" * 5000])
def test_name_that_is_too_long_is_unusable(place: Place, way: str, name: bytes):
    with pytest.raises(NameUnusable):
        place.destination.status_of(name)
    file = place.arriving(name)
    with pytest.raises(NameUnusable):
        file.blocking_commit(only_new)
    file.blocking_discard()


def test_name_may_be_any_bytes(place: Place, way: str):
    for name in (b"\xff\xfe", b"new\nline", b"n" * 255, b"...", b" "):
        place.arriving(name).blocking_commit(only_new)
        assert name in os.listdir(os.fsencode(place.folder))


FAULTS = {
    "full": (errno.ENOSPC, InsufficientStorage),
    "over quota": (errno.EDQUOT, InsufficientStorage),
    "too large": (errno.EFBIG, FileTooLarge),
    "read-only": (errno.EROFS, FileForbidden),
    "forbidden": (errno.EACCES, FileForbidden),
    "no descriptors": (errno.EMFILE, DescriptorsExhausted),
    "broken": (errno.EIO, OSError),
}


@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename", "link", "fchmod"])
@pytest.mark.parametrize(("number", "error"), FAULTS.values(), ids=FAULTS.keys())
def test_failure_of_any_call_leaves_nothing_behind_and_the_old_file_as_it_was(
    place: Place, way: str, monkeypatch: pytest.MonkeyPatch, call: str, number: int, error: type
):
    (place.folder / "new").write_bytes(b"old")
    has_struck = fail_once(monkeypatch, call, number)
    file = None
    try:
        file = place.arriving(b"new")
        file.blocking_write(b"content")
        file.blocking_commit(replacing)
    except (FileError, OSError) as raised:
        assert isinstance(raised, error)  # noqa: PT017 - some ways make no such call
        if file is not None:
            file.blocking_discard()
        assert (place.folder / "new").read_bytes() == b"old"
    else:
        assert not has_struck()
        assert call == "link"
    assert place.names() == ["new"]


def test_folder_that_fails_to_sync_takes_a_new_file_back(
    place: Place, way: str, monkeypatch: pytest.MonkeyPatch
):
    place.set_quota(1000)
    real = os.fsync

    def failing(fd: int) -> None:
        if fd == place.destination.fd:
            raise OSError(errno.EIO, "the disk failed")
        real(fd)

    monkeypatch.setattr(os, "fsync", failing)
    file = place.arriving(b"new", b"content")
    with pytest.raises(OSError, match="the disk failed"):
        file.blocking_commit(only_new)
    file.blocking_discard()
    assert place.names() == []
    place.ledger.blocking_reserve(1000, place.root)


def test_folder_that_cannot_be_synced_is_no_failure(place: Place, monkeypatch: pytest.MonkeyPatch):
    def unable(_: int) -> None:
        raise OSError(errno.EINVAL, "not supported")

    monkeypatch.setattr(os, "fsync", unable)
    place.arriving().blocking_commit(only_new)


def test_withdrawn_file_is_gone_unless_somebody_else_has_the_name(place: Place, way: str):
    file = place.arriving(b"new", b"content")
    file.blocking_commit(only_new)
    file.blocking_withdraw()
    assert place.names() == []
    file = place.arriving(b"new", b"content")
    file.blocking_commit(only_new)
    (place.folder / "other").write_bytes(b"other")
    (place.folder / "other").rename(place.folder / "new")
    file.blocking_withdraw()
    assert (place.folder / "new").read_bytes() == b"other"


def test_name_that_was_only_held_is_given_up_when_the_last_step_fails(
    place: Place, monkeypatch: pytest.MonkeyPatch
):
    """Without hard links, an empty file holds the name for the moment."""
    refuse_unnamed(monkeypatch)
    refuse_links(monkeypatch)
    fail_once(monkeypatch, "rename", errno.ENOSPC)
    file = place.arriving(b"new", b"content")
    with pytest.raises(InsufficientStorage):
        file.blocking_commit(only_new)
    file.blocking_discard()
    assert place.names() == []


def test_file_that_replaced_another_is_not_withdrawn(place: Place, way: str):
    (place.folder / "new").write_bytes(b"old")
    file = place.arriving(b"new", b"content")
    file.blocking_commit(replacing)
    file.blocking_withdraw()
    assert (place.folder / "new").read_bytes() == b"content"


def test_name_that_another_program_takes_in_the_last_moment_is_judged_again(place: Place, way: str):
    """The one who decides sees what is there by then; it is not overwritten unseen."""
    file = place.arriving(b"new", b"content")
    seen: list[bool] = []

    def deciding(status: os.stat_result | None) -> bool:
        seen.append(status is not None)
        if status is None:
            (place.folder / "new").write_bytes(b"theirs")
        return status is None

    with pytest.raises(NameTaken):
        file.blocking_commit(deciding)
    file.blocking_discard()
    assert seen == [False, True]
    assert (place.folder / "new").read_bytes() == b"theirs"


def test_name_that_comes_and_goes_is_given_up_on(place: Place):
    file = place.arriving(b"new", b"content")
    asked: list[None] = []

    def deciding(status: os.stat_result | None) -> bool:
        asked.append(None)
        assert status is None
        (place.folder / "new").write_bytes(b"theirs")
        return True

    real = place.destination.status_of

    def forgetful(name: bytes) -> os.stat_result | None:
        (place.folder / "new").unlink(missing_ok=True)
        return real(name)

    place.destination.status_of = forgetful  # type: ignore[method-assign]
    with pytest.raises(NameTaken):
        file.blocking_commit(deciding)
    file.blocking_discard()
    assert len(asked) == arriving.TAKE_ATTEMPTS


def test_of_several_files_for_a_new_name_exactly_one_gets_it(place: Place, way: str):
    files = [place.arriving(b"new", b"%d" % number * 1000) for number in range(8)]
    outcomes = in_threads(*[lambda file=file: file.blocking_commit(only_new) for file in files])
    winners = [n for n, outcome in enumerate(outcomes) if not isinstance(outcome, NameTaken)]
    for file in files:
        file.blocking_discard()
    assert len(winners) == 1, outcomes
    assert isinstance(outcomes[winners[0]], os.stat_result)
    assert (place.folder / "new").read_bytes() == b"%d" % winners[0] * 1000
    assert place.names() == ["new"]


def test_of_several_files_that_replace_each_is_whole(place: Place, way: str):
    files = [place.arriving(b"new", b"%d" % number * 1000) for number in range(8)]
    outcomes = in_threads(*[lambda file=file: file.blocking_commit(replacing) for file in files])
    assert all(isinstance(outcome, os.stat_result) for outcome in outcomes), outcomes
    assert (place.folder / "new").read_bytes() in [b"%d" % number * 1000 for number in range(8)]


def test_decision_and_step_are_one_for_other_uploads(place: Place, way: str):
    """Each replaces only the state that it has seen, so of eight that saw the same one replaces it."""
    (place.folder / "new").write_bytes(b"old")
    seen = (place.folder / "new").stat().st_ino
    files = [place.arriving(b"new", b"%d" % number) for number in range(8)]

    def unchanged(status: os.stat_result | None) -> bool:
        return status is not None and status.st_ino == seen

    outcomes = in_threads(*[lambda file=file: file.blocking_commit(unchanged) for file in files])
    for file in files:
        file.blocking_discard()
    assert sum(isinstance(outcome, os.stat_result) for outcome in outcomes) == 1, outcomes


def test_quota_is_given_back_by_what_does_not_stay(place: Place, way: str):
    place.set_quota(10)
    for _ in range(3):
        file = place.arriving(b"new", b"x" * 10)
        with pytest.raises(InsufficientStorage):
            file.blocking_write(b"x")
        file.blocking_discard()
    file = place.arriving(b"new", count=10)
    file.blocking_write(b"x" * 4)
    file.blocking_commit(only_new)
    place.arriving(b"other", b"x" * 6).blocking_commit(only_new)
    assert place.names() == ["new", "other"]


def test_replaced_bytes_are_given_back_once(place: Place, way: str):
    place.set_quota(20)
    place.arriving(b"new", b"x" * 10).blocking_commit(only_new)
    for _ in range(3):
        file = place.arriving(b"new", b"y" * 10)
        file.blocking_commit(replacing)
        file.blocking_discard()
    place.arriving(b"other", b"x" * 10).blocking_commit(only_new)
    with pytest.raises(InsufficientStorage):
        place.arriving(count=1)


def test_several_at_once_do_not_exceed_the_quota_together(place: Place):
    place.set_quota(3000)
    (place.folder / "old").write_bytes(b"x" * 500)

    def upload(number: int) -> None:
        file = place.arriving(b"%d" % number)
        try:
            for _ in range(10):
                file.blocking_write(b"x" * 100)
            file.blocking_commit(only_new)
        finally:
            file.blocking_discard()

    in_threads(*[lambda number=number: upload(number) for number in range(6)])
    used = sum(path.stat().st_size for path in place.folder.iterdir())
    assert used <= 3000
    # What was refused gave its share back: the rest is free, to the byte.
    place.ledger.blocking_reserve(3000 - used, place.root)
    with pytest.raises(InsufficientStorage):
        place.ledger.blocking_reserve(1, place.root)


def test_full_disk_is_told_and_nothing_stays(tmp_path: Path):
    """A real one, where the tests may mount: what the kernel says, and when, is not played."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mounting, capture_output=True, check=False).returncode != 0:
        pytest.skip("may not mount")
    try:
        with Root(os.fsencode(disk)) as root:
            place = Place(disk, root)
            file = place.arriving(b"new")
            with pytest.raises(InsufficientStorage):
                file.blocking_write(b"x" * 100_000)
            file.blocking_discard()
            assert place.names() == []
            place.arriving(b"small", b"x" * 4096).blocking_commit(only_new)
            assert place.names() == ["small"]
            place.destination.close()
            place.ledger.close()
    finally:
        # Lazily: a test that fails may have left a file open there.
        subprocess.run(["umount", "-l", str(disk)], check=True)
