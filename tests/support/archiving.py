"""Archives of real folders: made without an engine, put together, and compared with the folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from chute.files.resolve import Root
from chute.static.archive_contents import Contents, Survey, blocking_survey
from chute.transfer.method import Devices
from chute.transfer.source import FileSpan, Piece

TOP = b"top"

Tree = dict[bytes, bytes | None]
"""Contents by path; of folders None."""


class Archive(NamedTuple):
    """One archive.

    Attributes:
        promised: its length, as told beforehand.
        content: all of it.
        sizes: bytes of each piece; those of spans are negative.
    """

    promised: int
    content: bytes
    sizes: list[int]


def survey_of(root: Root, folder: bytes = b"", **options: object) -> Survey:
    survey = Survey(folder)
    blocking_survey(root, survey, **{"shows_hidden": True} | options)
    return survey


def bytes_of(piece: Piece) -> bytes:
    """Return what a piece comes to; a file is read, and given back, as a taker does."""
    if not isinstance(piece, FileSpan):
        return piece
    try:
        content = os.pread(piece.file.fd, piece.count, piece.offset)
    finally:
        piece.file.release()
    assert len(content) == piece.count
    return content


def take_all(pieces: Iterable[Piece]) -> tuple[bytes, list[int]]:
    contents = []
    sizes = []
    for piece in pieces:
        contents.append(bytes_of(piece))
        sizes.append(len(contents[-1]) * (-1 if isinstance(piece, FileSpan) else 1))
    return b"".join(contents), sizes


def archive_of(kind: ModuleType, root: Root, survey: Survey, top: bytes = TOP) -> Archive:
    """Make an archive with `archive_tar` or `archive_zip`."""
    promised = kind.archive_bytes(survey, top)
    contents = Contents(root, Devices(), survey)
    return Archive(promised, *take_all(kind.blocking_pieces(contents, survey, top)))


def lay_out(pieces: Iterable[Piece], made: Path) -> list[int]:
    """Write an archive down with holes in place of its spans, which are too large to be read; return their sizes."""
    spans = []
    with made.open("wb") as file:
        for piece in pieces:
            if isinstance(piece, FileSpan):
                piece.file.release()
                spans.append(piece.count)
                file.seek(piece.count, os.SEEK_CUR)
            else:
                file.write(piece)
        file.truncate()
    return spans


def write(folder: bytes, tree: Tree) -> None:
    """Write a tree into a folder."""
    for path, content in tree.items():
        place = os.path.join(folder, path)
        os.makedirs(place if content is None else os.path.dirname(place), exist_ok=True)
        if content is not None:
            with open(place, "wb") as file:
                file.write(content)


def read(folder: bytes) -> Tree:
    """Return what is in a folder, and in a folder alone: nothing here follows a link."""
    tree: Tree = {}
    for place, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(place, name)
            is_folder = stat.S_ISDIR(os.lstat(path).st_mode)
            assert is_folder or stat.S_ISREG(os.lstat(path).st_mode)
            content = None
            if not is_folder:
                with open(path, "rb") as file:
                    content = file.read()
            tree[os.path.relpath(path, folder)] = content
    return tree


HOSTILE: Tree = {
    b"new\nline": b"1",
    b"\xff\xfe not UTF-8": b"2",
    b"\xf0\x9f\x98\x80 emoji": b"3",
    b"-leading dash": b"4",
    b"  ": b"5",
    b"..back": b"6",
    b"caf\xc3\xa9": b"composed",
    b"cafe\xcc\x81": b"decomposed",
    b"a" * 250 + b"/" + b"b" * 200 + b"/" + b"c" * 255: b"a long way",
    b"x" * 95: b"one hundred with the top and the slash, less one",
    b"x" * 96: b"one hundred",
    b"x" * 97: b"one more",
    b"\xc3\xa9" * 47: b"two bytes each",
    b"empty": b"",
    b"bare": None,
    b"deep/er/still": None,
    b"deep/er/file": b"down here",
    b"deep.txt": b"sorts between",
}
"""Names that have been trouble, for somebody; all of them are files that a folder may have."""
