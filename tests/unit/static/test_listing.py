"""What is in a folder, and what of it is shown in which order."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chute.static import listing
from chute.static.listing import (
    Column,
    Item,
    Kind,
    Order,
    View,
    arrange,
    blocking_read_folder,
    fold,
    view_from_query,
)
from trees import ODD_NAMES, descriptors

DATE_NS = 1_700_000_000_123_456_789


def write(folder: Path, name: bytes, content: bytes = b"") -> None:
    path = os.path.join(os.fsencode(folder), name)
    with open(path, "wb") as file:
        file.write(content)
    os.utime(path, ns=(DATE_NS, DATE_NS))


def nothing_is_told(name: bytes) -> None:
    """Resolve links like a sandbox that every link leaves."""


def read(
    folder: Path, *, shows_hidden: bool = False, resolve: listing.Resolve = nothing_is_told
) -> list[Item]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return blocking_read_folder(fd, shows_hidden=shows_hidden, resolve=resolve)
    finally:
        os.close(fd)


def names(items: list[Item]) -> list[bytes]:
    return [item.name for item in items]


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    before = descriptors()
    yield
    assert descriptors() == before


def test_file_has_its_size_and_its_date(tmp_path: Path):
    write(tmp_path, b"file", b"12345")
    (item,) = read(tmp_path)
    assert (item.name, item.kind, item.size, item.modified_ns) == (b"file", Kind.FILE, 5, DATE_NS)


def test_folder_has_a_date_and_no_size(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    os.utime(tmp_path / "folder", ns=(DATE_NS, DATE_NS))
    (item,) = read(tmp_path)
    assert (item.name, item.kind, item.size) == (b"folder", Kind.FOLDER, None)
    assert item.modified_ns == DATE_NS


def test_empty_folder_has_no_items(tmp_path: Path):
    assert read(tmp_path) == []


def test_hidden_names_are_listed_only_on_demand(tmp_path: Path):
    for name in (b".hidden", b"..dots", b"seen"):
        write(tmp_path, name)
    assert names(read(tmp_path)) == [b"seen"]
    assert set(names(read(tmp_path, shows_hidden=True))) == {b".hidden", b"..dots", b"seen"}


def test_t23_names_of_any_bytes_come_back_as_they_are(tmp_path: Path):
    for name in ODD_NAMES.values():
        write(tmp_path, name)
    assert set(names(read(tmp_path, shows_hidden=True))) == set(ODD_NAMES.values())


def test_descriptor_stays_open_and_can_be_read_again(tmp_path: Path):
    write(tmp_path, b"file")
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(2):
        items = blocking_read_folder(fd, shows_hidden=False, resolve=nothing_is_told)
        assert names(items) == [b"file"]
    os.close(fd)


def test_what_is_no_folder_raises(tmp_path: Path):
    write(tmp_path, b"file")
    with pytest.raises(NotADirectoryError):
        read(tmp_path / "file")


def test_t26_fifo_and_socket_are_never_listed(tmp_path: Path):
    os.mkfifo(tmp_path / "fifo")
    os.mknod(tmp_path / "socket", stat.S_IFSOCK | 0o600)
    assert read(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="no devices")
def test_t26_devices_are_never_listed():
    assert b"null" not in names(read(Path("/dev")))


def test_link_is_what_the_sandbox_says(tmp_path: Path):
    write(tmp_path, b"file", b"12345")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "way").symlink_to("nowhere")
    answers = {b"link": os.stat(tmp_path / "file"), b"way": os.stat(tmp_path / "folder")}
    found = {item.name: item for item in read(tmp_path, resolve=answers.get)}
    assert (found[b"link"].kind, found[b"link"].size) == (Kind.FILE, 5)
    assert found[b"link"].modified_ns == DATE_NS
    assert (found[b"way"].kind, found[b"way"].size) == (Kind.FOLDER, None)


def test_t21_link_that_the_sandbox_refuses_is_not_listed(tmp_path: Path):
    """Neither its size nor its date nor its being there may leave the sandbox."""
    (tmp_path / "secret").write_bytes(b"secret")
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "out").symlink_to("../secret")
    (folder / "absolute").symlink_to(tmp_path / "secret")
    (folder / "dangling").symlink_to("nothing")
    asked: list[bytes] = []

    def refuse(name: bytes) -> None:
        asked.append(name)

    assert read(folder, resolve=refuse) == []
    assert set(asked) == {b"out", b"absolute", b"dangling"}


def test_t26_link_to_something_special_is_not_listed(tmp_path: Path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    fifo = os.stat(tmp_path / "fifo")
    assert read(tmp_path, resolve=lambda name: fifo) == []


def test_sandbox_is_asked_about_links_only(tmp_path: Path):
    write(tmp_path, b"file")
    (tmp_path / "folder").mkdir()

    def never(name: bytes) -> os.stat_result | None:
        raise AssertionError(name)

    assert len(read(tmp_path, resolve=never)) == 2


def test_t28_entry_that_vanishes_or_fails_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in (b"stays", b"vanishes", b"forbidden", b"broken"):
        write(tmp_path, name)
    errors = {
        "vanishes": FileNotFoundError(),
        "forbidden": PermissionError(),
        "broken": OSError(5, "EIO"),
    }

    class Entry:
        def __init__(self, entry: os.DirEntry[str]) -> None:
            self.entry = entry
            self.name = entry.name

        def stat(self, *, follow_symlinks: bool) -> os.stat_result:
            if self.name in errors:
                raise errors[self.name]
            return self.entry.stat(follow_symlinks=follow_symlinks)

    class Entries:
        def __init__(self, fd: int) -> None:
            self.entries = scandir(fd)

        def __enter__(self) -> Iterator[Entry]:
            return map(Entry, self.entries.__enter__())

        def __exit__(self, *_: object) -> None:
            self.entries.close()

    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", Entries)
    assert names(read(tmp_path)) == [b"stays"]


def test_listing_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for number in range(5):
        write(tmp_path, b"%d" % number)
    monkeypatch.setattr(listing, "ENTRIES_MAX", 3)
    assert len(read(tmp_path)) == 3


def file(name: bytes, size: int = 0, modified_ns: int = 0) -> Item:
    return Item(name, Kind.FILE, size, modified_ns)


def folder(name: bytes, modified_ns: int = 0) -> Item:
    return Item(name, Kind.FOLDER, None, modified_ns)


def sorted_names(*given: bytes, order: Order = Order()) -> list[bytes]:  # noqa: B008 - a frozen value
    return names(arrange([file(name) for name in given], order))


@pytest.mark.parametrize(
    "expected",
    [
        pytest.param([b"file2", b"file10", b"file100"], id="numbers count"),
        pytest.param([b"1.9", b"1.10", b"2.0"], id="versions"),
        pytest.param([b"a", b"B", b"c"], id="capitals weigh nothing"),
        pytest.param([b"A", b"a"], id="equal but for case: capitals first"),
        pytest.param(
            [b"007", b"07", b"7"], id="leading zeros: one number, told apart by their code points"
        ),
        pytest.param([b"Apfel", "Äpfel".encode(), b"Birne"], id="accents weigh nothing"),
        pytest.param([b"cafe\xcc\x81", "café".encode()], id="decomposed before composed"),
        pytest.param([b"a", b"z", b"\xff"], id="not UTF-8 last"),
        pytest.param([b"1" * 19, b"2" * 19, b"1" * 20], id="up to 20 digits are a number"),
        pytest.param([b"a" * 255], id="one name"),
        pytest.param([b"2\n3", b"10\n2"], id="line ends within"),
    ],
)
def test_names_are_sorted_as_people_would(expected: list[bytes]):
    assert sorted_names(*expected) == expected
    assert sorted_names(*reversed(expected)) == expected


def test_order_can_be_reversed():
    descending = Order(Column.NAME, is_descending=True)
    assert sorted_names(b"2", b"10", b"1", order=descending) == [b"10", b"2", b"1"]


@pytest.mark.parametrize("column", Column)
@pytest.mark.parametrize("is_descending", [False, True])
def test_folders_come_first_in_every_order(column: Column, is_descending: bool):
    items = [file(b"a", 9, 9), folder(b"b", 1), file(b"c", 1, 1), folder(b"d", 9)]
    arranged = arrange(items, Order(column, is_descending))
    assert [item.kind for item in arranged] == [Kind.FOLDER] * 2 + [Kind.FILE] * 2


def test_sizes_are_sorted_and_equal_ones_by_name():
    items = [file(b"c", 5), file(b"b", 7), file(b"a", 5), folder(b"z"), folder(b"y")]
    assert names(arrange(items, Order(Column.SIZE))) == [b"y", b"z", b"a", b"c", b"b"]
    descending = arrange(items, Order(Column.SIZE, is_descending=True))
    assert names(descending) == [b"y", b"z", b"b", b"a", b"c"]


def test_dates_are_sorted_to_the_nanosecond():
    items = [file(b"c", 0, 5), file(b"b", 0, 7), file(b"a", 0, 5), folder(b"z", 1), folder(b"y", 2)]
    assert names(arrange(items, Order(Column.MODIFIED))) == [b"z", b"y", b"a", b"c", b"b"]
    descending = arrange(items, Order(Column.MODIFIED, is_descending=True))
    assert names(descending) == [b"y", b"z", b"b", b"a", b"c"]


def test_items_that_are_neither_stand_with_the_files():
    items = [Item(b"other", Kind.OTHER, None, 0), file(b"file", 1), folder(b"z")]
    assert names(arrange(items, Order(Column.SIZE))) == [b"z", b"other", b"file"]


@pytest.mark.parametrize(
    ("needle", "expected"),
    [
        ("", [b"Readme.TXT", b"cafe\xcc\x81", b"x\xffy", "ÉTÉ".encode()]),
        ("readme", [b"Readme.TXT"]),
        (".txt", [b"Readme.TXT"]),
        ("é", [b"cafe\xcc\x81", b"Readme.TXT", "ÉTÉ".encode()]),
        ("été", ["ÉTÉ".encode()]),
        ("xy", []),
        ("x\udcffy", [b"x\xffy"]),
        ("/", []),
    ],
)
def test_filter_finds_text_within_names(needle: str, expected: list[bytes]):
    items = [file(b"Readme.TXT"), file(b"cafe\xcc\x81"), file(b"x\xffy"), file("ÉTÉ".encode())]
    assert set(names(arrange(items, Order(), needle))) == set(expected)


def test_nothing_is_arranged_to_nothing():
    assert arrange([], Order()) == []
    assert arrange([], Order(), "needle") == []


def test_folding_never_makes_a_slash():
    """Names are folded joined by slashes; one more of them would shift every name after it."""
    every = (chr(number) for number in range(sys.maxunicode + 1) if number != ord("/"))
    assert not [character for character in every if "/" in fold(character)]


BY_NAME, BY_SIZE, BY_DATE = Order(), Order(Column.SIZE), Order(Column.MODIFIED)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (None, View()),
        (b"", View()),
        (b"sort=size", View(BY_SIZE)),
        (b"sort=modified&order=desc", View(Order(Column.MODIFIED, is_descending=True))),
        (b"order=desc", View(Order(Column.NAME, is_descending=True))),
        (b"sort=name&order=asc", View()),
        (b"C=M;O=D", View(Order(Column.MODIFIED, is_descending=True))),
        (b"C=S&O=A", View(BY_SIZE)),
        (b"C=N;O=D", View(Order(Column.NAME, is_descending=True))),
        (b"C=D;O=A", View()),
        (b"sort=colour&order=sideways", View()),
        (b"sort=size&sort=colour", View(BY_SIZE)),
        (b"sort=size&sort=modified", View(BY_DATE)),
        (b"sort", View()),
        (b"sort=SIZE", View()),
        (b"q=two+words", View(needle="two words")),
        (b"q=%C3%A9%2B%26", View(needle="é+&")),
        (b"q=%ff", View(needle="\udcff")),
        (b"q=%zz%", View(needle="%zz%")),
        (b"q=a=b", View(needle="a=b")),
        (b"q=", View()),
        (b"&&;=;=x&\xff=\xfe", View()),
        (b"q=x&sort=size&order=desc", View(Order(Column.SIZE, is_descending=True), "x")),
    ],
)
def test_query_says_what_is_shown(query: bytes | None, expected: View):
    assert view_from_query(query) == expected


def test_item_can_be_read_in_a_failed_test():
    assert repr(file(b"n", 1, 2)) == "Item(b'n', Kind.FILE, 1, 2)"
