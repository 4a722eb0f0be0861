"""What goes into an archive, and whether each file is as long as was promised when its turn comes."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from archiving import survey_of
from chute.errors import DescriptorsExhausted, FileForbidden, FileMissing, TransferError
from chute.files.resolve import Root
from chute.static import archive_contents
from chute.static.archive_contents import BLOCK_BYTES, Contents, Entry, Gathering, Survey
from chute.transfer.method import Devices
from trees import descriptors, plant

LARGE = b"0123456789abcdef" * (BLOCK_BYTES // 16) + b"and more"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site"
    path.mkdir()
    return path


@pytest.fixture
def root(site: Path) -> Iterator[Root]:
    """A root; when the test is over, it was the last thing open."""
    before = descriptors()
    with Root(os.fsencode(site)) as root:
        yield root
    assert descriptors() == before


def names(survey: Survey) -> list[bytes]:
    return [entry.name for entry in survey.entries]


def entry_of(survey: Survey, name: bytes) -> Entry:
    (entry,) = [entry for entry in survey.entries if entry.name == name]
    return entry


def test_parents_come_first_and_everything_in_order(site: Path, root: Root):
    (site / "b" / "inner").mkdir(parents=True)
    (site / "a").mkdir()
    for name in ("z", "c", "b/x", "b/inner/y", "a/w", "a.txt"):
        (site / name).write_bytes(b"")
    assert names(survey_of(root)) == [
        b"", b"a.txt", b"c", b"z", b"a/", b"a/w", b"b/", b"b/x", b"b/inner/", b"b/inner/y",
    ]  # fmt: skip


def test_entry_tells_size_mode_and_time_rounded_down(site: Path, root: Root):
    (site / "file").write_bytes(b"12345")
    (site / "file").chmod(0o640)
    os.utime(site / "file", ns=(0, -1_500_000_000))
    entry = entry_of(survey_of(root), b"file")
    assert (entry.size, entry.mode, entry.modified_s) == (5, 0o640, -2)
    assert not entry.is_folder


def test_setuid_setgid_and_sticky_bits_stay_here(site: Path, root: Root):
    (site / "program").write_bytes(b"")
    (site / "program").chmod(0o7755)
    assert entry_of(survey_of(root), b"program").mode == 0o755


def test_folder_beneath_the_root_is_a_beginning_of_its_own(site: Path, root: Root):
    (site / "sub" / "inner").mkdir(parents=True)
    (site / "sub" / "file").write_bytes(b"")
    assert names(survey_of(root, b"sub/")) == [b"", b"file", b"inner/"]


def test_folder_itself_may_be_reached_by_a_link(site: Path, root: Root):
    (site / "real").mkdir()
    (site / "real" / "file").write_bytes(b"")
    (site / "link").symlink_to("real")
    assert names(survey_of(root, b"link/")) == [b"", b"file"]


def test_hidden_names_go_in_only_on_demand(site: Path, root: Root):
    (site / ".git").mkdir()
    for name in (".git/config", ".env", "seen", ".chute-0123456789abcdef"):
        (site / name).write_bytes(b"")
    assert names(survey_of(root, shows_hidden=False)) == [b"", b"seen"]
    assert names(survey_of(root)) == [b"", b".env", b"seen", b".git/", b".git/config"]


def test_t21_links_go_in_as_the_files_beneath_the_root_that_they_lead_to(tmp_path: Path):
    place = os.fsdecode(plant(tmp_path))
    with Root(os.fsencode(place)) as root:
        survey = survey_of(root)
    found = {entry.name: entry for entry in survey.entries}
    assert found[b"relative"].inode == found[b"index.html"].inode
    assert found[b"sub/up"].size == len(b"index.html")
    outside = {b"climbing", b"absolute-outside", b"absolute-inside", b"out-and-in", b"sibling"}
    assert not outside & found.keys()
    to_folders = {b"to-root", b"sub/deep/to-root", b"to-directory", b"parent", b"directory-out"}
    assert not {name for name in found if name.rstrip(b"/") in to_folders}
    assert {name for name in found if name.endswith(b"/")} == {b"sub/", b"sub/deep/"}


def test_t26_devices_fifos_and_sockets_are_left_out_and_never_opened(
    site: Path, root: Root, monkeypatch: pytest.MonkeyPatch
):
    os.mkfifo(site / "fifo")
    os.mknod(site / "socket", stat.S_IFSOCK | 0o600)
    (site / "link").symlink_to("fifo")
    opened: list[bytes] = []
    really_open = root.open
    monkeypatch.setattr(
        Root, "open", lambda _, name, *rest: opened.append(name) or really_open(name, *rest)
    )
    assert names(survey_of(root)) == [b""]
    assert opened == [b"", b"link"]


def test_t21_folder_that_becomes_a_link_meanwhile_is_left_out(
    site: Path, root: Root, monkeypatch: pytest.MonkeyPatch
):
    """Or a link to a folder above could make the walk go round in circles."""
    (site / "sub").mkdir()
    really_open = Root.open

    def open_(root: Root, name: bytes, *rest: int) -> int:
        if name.startswith(b"sub") and not (site / "sub").is_symlink():
            (site / "sub").rmdir()
            (site / "sub").symlink_to(".")
        return really_open(root, name, *rest)

    monkeypatch.setattr(Root, "open", open_)
    assert names(survey_of(root)) == [b""]


def refuse(monkeypatch: pytest.MonkeyPatch, refused: bytes, error: Exception) -> None:
    """Let nothing of this name be opened."""
    really_open = Root.open

    def open_(root: Root, name: bytes, *rest: int) -> int:
        if name == refused.removesuffix(b"/"):
            raise error
        return really_open(root, name, *rest)

    monkeypatch.setattr(Root, "open", open_)


@pytest.mark.parametrize("error", [FileForbidden("no"), FileMissing("gone")], ids=repr)
@pytest.mark.parametrize("name", [b"file", b"sub/"])
def test_t28_what_may_not_be_read_or_has_vanished_is_left_out(
    site: Path, root: Root, monkeypatch: pytest.MonkeyPatch, name: bytes, error: Exception
):
    (site / "sub").mkdir()
    (site / "sub" / "inner").write_bytes(b"")
    (site / "file").write_bytes(b"")
    refuse(monkeypatch, name, error)
    left = [b"", b"file", b"sub/", b"sub/inner"]
    assert names(survey_of(root)) == [other for other in left if not other.startswith(name)]


@pytest.mark.parametrize("error", [DescriptorsExhausted("none"), OSError(5, "EIO")], ids=repr)
@pytest.mark.parametrize("name", [b"", b"file", b"sub/"])
def test_failing_disk_fails_the_survey(
    site: Path, root: Root, monkeypatch: pytest.MonkeyPatch, name: bytes, error: Exception
):
    """Else half a folder would look like a whole one, for a fault that may be gone in a second."""
    (site / "sub").mkdir()
    (site / "file").write_bytes(b"")
    refuse(monkeypatch, name, error)
    with pytest.raises(type(error)):
        survey_of(root)


@pytest.mark.parametrize(("entries_max", "is_complete"), [(5, True), (4, False), (1, False)])
def test_entries_have_a_bound(site: Path, root: Root, entries_max: int, is_complete: bool):
    (site / "sub").mkdir()
    for name in ("a", "b", "sub/c"):
        (site / name).write_bytes(b"")
    survey = survey_of(root, entries_max=entries_max)
    assert survey.is_complete is is_complete
    assert len(survey.entries) <= entries_max


def test_names_have_a_bound(site: Path, root: Root, monkeypatch: pytest.MonkeyPatch):
    (site / "sub").mkdir()
    for number in range(4):
        (site / "sub" / f"{number}").write_bytes(b"")
    # `sub/` in the root, and `sub/` before each of the four names of one byte, and itself.
    monkeypatch.setattr(archive_contents, "NAMES_BYTES_MAX", 4 + 5 * 4 + 4)
    assert survey_of(root).is_complete
    monkeypatch.setattr(archive_contents, "NAMES_BYTES_MAX", 4 + 5 * 4 + 3)
    assert not survey_of(root).is_complete


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="no procfs")
def test_t27_file_whose_size_lies_is_promised_as_long_as_it_reads():
    content = Path("/proc/sys/kernel/ostype").read_bytes()
    with Root(b"/proc/sys/kernel") as root:
        survey = Survey(b"")
        entry = archive_contents._blocking_look_at(root, b"", b"ostype", 0)
        assert entry is not None
        survey.entries.append(entry)
        assert (entry.size, entry.size_lies) == (len(content), True)
        assert b"".join(Contents(root, Devices(), survey).blocking_read(entry)) == content


Promised = Callable[[bytes], tuple[Contents, Entry]]


@pytest.fixture
def promised(site: Path, root: Root) -> Promised:
    """Write a file and survey it."""

    def promise(content: bytes) -> tuple[Contents, Entry]:
        (site / "file").write_bytes(content)
        survey = survey_of(root)
        return Contents(root, Devices(), survey), entry_of(survey, b"file")

    return promise


def read(contents: Contents, entry: Entry) -> bytes:
    return b"".join(contents.blocking_read(entry))


def test_reading_goes_by_blocks(promised: Promised):
    contents, entry = promised(LARGE)
    blocks = list(contents.blocking_read(entry))
    assert b"".join(blocks) == LARGE
    assert [len(block) for block in blocks] == [BLOCK_BYTES, len(b"and more")]


def test_t06_short_reads_are_continued(promised: Promised, monkeypatch: pytest.MonkeyPatch):
    contents, entry = promised(LARGE)
    really_pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, n, at: really_pread(fd, min(n, 100_000), at))
    blocks = list(contents.blocking_read(entry))
    assert b"".join(blocks) == LARGE
    assert len(blocks) == 2


def test_span_is_all_of_the_file_with_one_reference(promised: Promised):
    contents, entry = promised(LARGE)
    span = contents.blocking_open_span(entry)
    assert (span.offset, span.count) == (0, len(LARGE))
    assert os.pread(span.file.fd, len(LARGE), 0) == LARGE
    span.file.release()
    assert span.file.fd == -1


def appended(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"another line")


def replaced(path: Path, content: bytes) -> None:
    new = path.with_name("new")
    new.write_bytes(content)
    new.rename(path)


def test_t02_file_that_has_grown_is_sent_as_far_as_promised(site: Path, promised: Promised):
    contents, entry = promised(LARGE)
    appended(site / "file")
    assert read(contents, entry) == LARGE
    span = contents.blocking_open_span(entry)
    span.file.release()
    assert span.count == len(LARGE)


def test_t03_file_replaced_by_one_of_the_same_size_is_sent_wholly_new(
    site: Path, promised: Promised
):
    contents, entry = promised(b"old")
    replaced(site / "file", b"new")
    assert read(contents, entry) == b"new"


def shrunk(path: Path) -> None:
    os.truncate(path, 2)


def gone(path: Path) -> None:
    path.unlink()


def forbidden_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def other_file(path: Path) -> None:
    replaced(path, b"something else, and longer")


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [shrunk, gone, forbidden_folder, other_file, fifo])
def test_t01_broken_promise_raises_and_leaves_nothing_open(
    site: Path, promised: Promised, change: Callable[[Path], None]
):
    contents, entry = promised(b"content")
    change(site / "file")
    with pytest.raises((TransferError, FileMissing)):
        read(contents, entry)
    with pytest.raises((TransferError, FileMissing)):
        contents.blocking_open_span(entry)


def test_t01_file_that_shrinks_while_it_is_read_raises(site: Path, promised: Promised):
    contents, entry = promised(LARGE)
    blocks = contents.blocking_read(entry)
    next(blocks)
    os.truncate(site / "file", BLOCK_BYTES)
    with pytest.raises(TransferError, match=f"ended at {BLOCK_BYTES} of {len(LARGE)}"):
        next(blocks)


def test_t01_file_that_shrinks_within_a_block_raises(
    promised: Promised, monkeypatch: pytest.MonkeyPatch
):
    contents, entry = promised(LARGE)
    really_pread = os.pread
    ends_at = 100_000
    monkeypatch.setattr(
        os, "pread", lambda fd, n, at: really_pread(fd, min(n, max(0, ends_at - at)), at)
    )
    with pytest.raises(TransferError, match=f"ended at {ends_at} of {len(LARGE)}"):
        read(contents, entry)


def test_failing_read_leaves_nothing_open(promised: Promised, monkeypatch: pytest.MonkeyPatch):
    contents, entry = promised(LARGE)

    def fail(*_: object) -> bytes:
        raise OSError(5, "EIO")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", fail)
        with pytest.raises(OSError, match="EIO"):
            read(contents, entry)
    with monkeypatch.context() as patched:
        patched.setattr(Devices, "of", fail)
        with pytest.raises(OSError, match="EIO"):
            contents.blocking_open_span(entry)


def test_reading_that_is_left_half_way_leaves_nothing_open(promised: Promised):
    contents, entry = promised(LARGE)
    with contextlib.closing(contents.blocking_read(entry)) as blocks:
        next(blocks)


def test_gathering_is_full_with_enough_and_begins_again():
    gathering = Gathering()
    gathering.add(b"a")
    assert not gathering.is_full
    gathering.add(b"b" * (archive_contents.PIECE_BYTES_MIN - 1))
    assert gathering.is_full
    assert gathering.take() == b"a" + b"b" * (archive_contents.PIECE_BYTES_MIN - 1)
    assert not gathering.is_full
    assert gathering.take() == b""
