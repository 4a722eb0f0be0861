"""What is in a folder, and which of it is shown in which order: names, sizes and times as values.

`blocking_read_folder` is the only function here that asks the disk, through a descriptor that somebody else resolved
and owns; `arrange` filters and sorts what it found; `listing_page` and `listing_formats` write it down.

A name is bytes, and any bytes but NUL and the slash. That no name holds a slash is used twice for speed: many names
are joined by slashes, decoded, folded or escaped in one call, and split again.

Links are the caller's business. Only what resolves names beneath the root knows whether a link stays there, and even
the size and the date of what it leads to would tell a stranger something about the outside. So a link is listed as
what `resolve` says it is, or not at all.

Deliberately absent: the sizes of folders, which would cost a walk through all that is beneath them.
"""

from __future__ import annotations

import enum
import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import repeat
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from chute.files.writing import HIDDEN_PREFIX

ENTRIES_MAX = 200_000
"""As many entries as one listing holds: some 50 MB of memory and of HTML. What a folder has beyond is left out."""

NUMBER_DIGITS_MAX = 20
"""Runs of up to so many digits are compared as the numbers they are; longer ones are hashes, and compared as text."""

_ON_ITS_WAY = os.fsdecode(HIDDEN_PREFIX)
"""How the names of uploads begin that have not arrived whole."""

_DIGITS = re.compile("([0-9]+)")
_COMBINING_MARKS = re.compile("[\u0300-\u036f]")
_PARAMETERS = re.compile(rb"[&;]")


class Kind(enum.Enum):
    """What a name in a folder is, by nginx's word for it."""

    FOLDER = "directory"
    FILE = "file"
    OTHER = "other"
    """Neither. Nothing of this kind is read from a disk here; nginx's JSON has a word for it, so has this."""


# Hot: Python 3.11 takes 50 ns for `Kind.FILE` and 5 for a name, at four places for every entry of a folder.
FOLDER: Final = Kind.FOLDER
FILE: Final = Kind.FILE


class Item:
    """One name in a folder.

    Attributes:
        name: the bytes of the name, without a slash.
        kind: what it is, or what the link with this name leads to.
        size: bytes of a file; None for anything else.
        modified_ns: time of modification, in nanoseconds since the epoch.
    """

    __slots__ = ("kind", "modified_ns", "name", "size")

    def __init__(self, name: bytes, kind: Kind, size: int | None, modified_ns: int) -> None:
        self.name = name
        self.kind = kind
        self.size = size
        self.modified_ns = modified_ns

    def __repr__(self) -> str:
        return f"Item({self.name!r}, {self.kind}, {self.size}, {self.modified_ns})"


class Column(enum.Enum):
    """What a listing can be sorted by; the values are what a query says."""

    NAME = "name"
    SIZE = "size"
    MODIFIED = "modified"


class Order(NamedTuple):
    """How a listing is sorted. Folders always stand before files."""

    column: Column = Column.NAME
    is_descending: bool = False


class View(NamedTuple):
    """What of a folder is shown.

    Attributes:
        order: how it is sorted.
        needle: only names that contain this are shown, in whatever case; empty for all of them.
    """

    order: Order = Order()
    needle: str = ""


Resolve = Callable[[bytes], os.stat_result | None]
"""Says what the link with this name leads to, or None when nothing of it may be told."""


def blocking_read_folder(fd: int, *, shows_hidden: bool, resolve: Resolve) -> list[Item]:
    """Read what is in a folder. Files and folders are listed; devices, FIFOs and sockets never are.

    An entry that vanishes meanwhile, or that cannot be looked at, is left out: one bad entry is no reason to show none.

    Args:
        fd: a descriptor of the folder, opened for reading (`O_PATH` is not enough). Borrowed, and its position is used:
            no second thread may read the same descriptor at the same time.
        shows_hidden: whether names that begin with a dot are listed.
        resolve: is asked about each link; called in this thread.

    Returns:
        The items in the order of the disk, at most `ENTRIES_MAX`.

    Raises:
        OSError: the folder itself could not be read.
    """
    items: list[Item] = []
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.name[0] == "." and (not shows_hidden or entry.name.startswith(_ON_ITS_WAY)):
                continue
            item = _look_at(entry, resolve)
            if item is not None:
                items.append(item)
                if len(items) == ENTRIES_MAX:
                    break
    return items


def _look_at(entry: os.DirEntry[str], resolve: Resolve) -> Item | None:
    try:
        # What the directory says about types is not asked: the name may have become a link since.
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    name = os.fsencode(entry.name)
    mode = status.st_mode
    if S_ISLNK(mode):
        resolved = resolve(name)
        if resolved is None:
            return None
        status = resolved
        mode = status.st_mode
    if S_ISREG(mode):
        return Item(name, FILE, status.st_size, status.st_mtime_ns)
    if S_ISDIR(mode):
        return Item(name, FOLDER, None, status.st_mtime_ns)
    return None


def view_from_query(query: bytes | None) -> View:
    """Read what a query asks to see: `sort`, `order` and `q`, or Apache's `C` and `O`.

    Never an error: what is unknown is ignored, and of what is repeated the last counts.

    Args:
        query: what follows the question mark, undecoded; None without one.
    """
    column, is_descending, needle = Column.NAME, False, ""
    for parameter in _PARAMETERS.split(query or b""):
        name, _, value = parameter.partition(b"=")
        if name in (b"sort", b"C"):
            column = _COLUMNS.get(value, column)
        elif name in (b"order", b"O"):
            is_descending = _DIRECTIONS.get(value, is_descending)
        elif name == b"q":
            # As a form sends it (WHATWG URL, application/x-www-form-urlencoded).
            needle = text_of(unquote_to_bytes(value.replace(b"+", b" ")))
    return View(Order(column, is_descending), needle)


_COLUMNS = {
    b"name": Column.NAME,
    b"size": Column.SIZE,
    b"modified": Column.MODIFIED,
    # mod_autoindex, and nginx's fancyindex after it. Its D, by description, has no meaning here.
    b"N": Column.NAME,
    b"S": Column.SIZE,
    b"M": Column.MODIFIED,
}
_DIRECTIONS = {b"asc": False, b"desc": True, b"A": False, b"D": True}


def text_of(name: bytes) -> str:
    """Decode a name, or many joined by slashes; bytes that are not UTF-8 become lone surrogates and lose nothing."""
    return name.decode("utf-8", "surrogateescape")


def fold(text: str) -> str:
    """Return `text` without what people do not mean when they search or sort: case, and accents over letters.

    Composed and decomposed letters become equal here, and only here: their names stay two names. No slash ever
    appears that was not there before.
    """
    folded = text.casefold()
    if folded.isascii():
        return folded
    return _COMBINING_MARKS.sub("", unicodedata.normalize("NFD", folded))


def arrange(items: Sequence[Item], order: Order, needle: str = "") -> list[Item]:
    """Return the items whose name contains `needle`, sorted.

    Names are compared as people count: `file10` follows `file2`, capitals and accents weigh nothing. Equal ones keep
    one order always, that of their code points. Where sizes or times are equal, names decide, ascending.
    """
    if needle:
        items = _containing(items, fold(needle))
    # Hot: parted before they are sorted, while they lie in memory in the order they are looked at (1 ms of 10).
    folders = _by_name([item for item in items if item.kind is FOLDER])
    others = _by_name([item for item in items if item.kind is not FOLDER])
    match order.column:
        case Column.NAME:
            if order.is_descending:
                folders.reverse()
                others.reverse()
        case Column.SIZE:
            others.sort(key=lambda item: item.size or 0, reverse=order.is_descending)
        case Column.MODIFIED:
            folders.sort(key=lambda item: item.modified_ns, reverse=order.is_descending)
            others.sort(key=lambda item: item.modified_ns, reverse=order.is_descending)
    return folders + others


def _containing(items: Sequence[Item], folded: str) -> list[Item]:
    if not items:
        return []
    names = fold(_joined(items)).split("/")
    return [item for item, name in zip(items, names, strict=True) if folded in name]


def _by_name(items: list[Item]) -> list[Item]:
    if not items:
        return []
    # Hot: all names at once. Splitting each name into text and numbers took 24 ms for 10 000 names, this takes 5.
    text = _joined(items)
    pieces = _DIGITS.split(fold(text))
    pieces[1::2] = map(str.zfill, pieces[1::2], repeat(NUMBER_DIGITS_MAX))
    keys = "".join(pieces).split("/")
    if len(set(keys)) < len(keys):
        keys = [f"{key}\0{name}" for key, name in zip(keys, text.split("/"), strict=True)]
    return [items[number] for number in sorted(range(len(items)), key=keys.__getitem__)]


def _joined(items: Sequence[Item]) -> str:
    return text_of(b"/".join([item.name for item in items]))
