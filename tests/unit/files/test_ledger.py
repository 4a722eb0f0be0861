"""What uploads share: the account of what lies beneath the root, and the lock, in threads and in processes."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chute.errors import FileForbidden, InsufficientStorage
from chute.files.ledger import Ledger, blocking_count_bytes
from chute.files.resolve import Root
from trees import descriptors

Begin = Callable[[int | None], Ledger]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "sub" / "deep" / "file").write_bytes(b"x" * 90)
    (tmp_path / ".hidden").write_bytes(b"x" * 10)
    with Root(os.fsencode(tmp_path)) as root:
        yield root


@pytest.fixture
def begin(root: Root) -> Iterator[Begin]:
    """Begin accounts; all are closed when the test is over, and then no descriptor is left."""
    before = descriptors()
    ledgers: list[Ledger] = []

    def begin(quota_bytes: int | None) -> Ledger:
        ledgers.append(Ledger(quota_bytes=quota_bytes))
        return ledgers[-1]

    yield begin
    for ledger in ledgers:
        ledger.close()
        ledger.close()
    assert descriptors() == before


def in_child(work: Callable[[], object]) -> int:
    """Begin a process that does `work` and ends; return its id."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return child


def test_only_regular_files_count_and_links_lead_nowhere(root: Root, tmp_path: Path):
    (tmp_path / "link").symlink_to(".hidden")
    (tmp_path / "up").symlink_to("..")
    (tmp_path / "around").symlink_to("sub")
    os.mkfifo(tmp_path / "fifo")
    assert blocking_count_bytes(root) == 100


def test_folder_that_cannot_be_read_counts_as_empty(root: Root, monkeypatch: pytest.MonkeyPatch):
    real = Root.open

    def refusing(self: Root, name: bytes, flags: int = os.O_RDONLY) -> int:
        if name == b"sub/":
            raise FileForbidden("no")
        return real(self, name, flags)

    monkeypatch.setattr(Root, "open", refusing)
    assert blocking_count_bytes(root) == 10


def test_file_that_vanishes_while_it_is_counted_is_none(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real = os.scandir

    def slow(fd: int) -> contextlib.AbstractContextManager[list[os.DirEntry[str]]]:
        with real(fd) as entries:
            listed = list(entries)
        (tmp_path / ".hidden").unlink(missing_ok=True)
        return contextlib.nullcontext(listed)

    monkeypatch.setattr(os, "scandir", slow)
    assert blocking_count_bytes(root) == 90


def test_account_begins_with_what_is_there(root: Root, begin: Begin):
    ledger = begin(120)
    with pytest.raises(InsufficientStorage):
        ledger.blocking_reserve(21, root)
    ledger.blocking_reserve(20, root)
    with pytest.raises(InsufficientStorage):
        ledger.blocking_reserve(1, root)


def test_account_of_a_root_that_is_over_its_quota_already_has_no_room(root: Root, begin: Begin):
    with pytest.raises(InsufficientStorage):
        begin(50).blocking_reserve(1, root)


def test_it_is_counted_once(root: Root, begin: Begin, tmp_path: Path):
    ledger = begin(120)
    ledger.blocking_reserve(10, root)
    (tmp_path / "theirs").write_bytes(b"x" * 1000)
    ledger.blocking_reserve(10, root)


def test_what_is_given_back_before_the_count_is_not_the_count(
    root: Root, begin: Begin, tmp_path: Path
):
    """An empty file that replaces another reserves nothing, and gives something back."""
    ledger = begin(120)
    (tmp_path / ".hidden").write_bytes(b"")
    ledger.blocking_give_back(10)
    with pytest.raises(InsufficientStorage):
        ledger.blocking_reserve(31, root)
    ledger.blocking_reserve(30, root)


def test_what_is_given_back_is_there_for_others(root: Root, begin: Begin):
    ledger = begin(120)
    for _ in range(3):
        ledger.blocking_reserve(20, root)
        ledger.blocking_give_back(20)
    ledger.blocking_give_back(0)
    ledger.blocking_give_back(10**9)
    ledger.blocking_reserve(120, root)
    with pytest.raises(InsufficientStorage):
        ledger.blocking_reserve(1, root)


def test_without_a_quota_nothing_is_counted(begin: Begin):
    ledger = begin(None)
    ledger.blocking_reserve(10**18, None)  # type: ignore[arg-type]
    ledger.blocking_give_back(10**18)


def test_it_works_without_memory_files(root: Root, begin: Begin, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(os, "memfd_create")
    ledger = begin(120)
    ledger.blocking_reserve(20, root)
    with pytest.raises(InsufficientStorage):
        ledger.blocking_reserve(1, root)


def test_account_is_shared_with_processes_that_are_forked(root: Root, begin: Begin):
    ledger = begin(200)
    child = in_child(lambda: ledger.blocking_reserve(60, root))
    assert os.waitpid(child, 0)[1] == 0
    with pytest.raises(InsufficientStorage):
        ledger.blocking_reserve(41, root)
    ledger.blocking_reserve(40, root)


def test_lock_keeps_out_threads(begin: Begin):
    ledger = begin(None)
    entered = threading.Event()

    def enter() -> None:
        with ledger.blocking_lock():
            entered.set()

    thread = threading.Thread(target=enter)
    with ledger.blocking_lock():
        thread.start()
        assert not entered.wait(0.05)
    thread.join(10)
    assert entered.is_set()


def test_lock_keeps_out_other_processes_and_ends_with_them(begin: Begin):
    ledger = begin(None)
    read_fd, write_fd = os.pipe()

    def hold() -> None:
        with ledger.blocking_lock():
            os.write(write_fd, b"locked")
            threading.Event().wait(30)

    child = in_child(hold)
    assert os.read(read_fd, 6) == b"locked"
    os.close(read_fd)
    os.close(write_fd)
    entered = threading.Event()

    def enter() -> None:
        with ledger.blocking_lock():
            entered.set()

    thread = threading.Thread(target=enter)
    thread.start()
    assert not entered.wait(0.05)
    os.kill(child, 9)
    os.waitpid(child, 0)
    thread.join(10)
    assert entered.is_set()
