"""Which files beneath a folder a precompressed sidecar would help, and which names only look like sidecars.

A name is a sidecar if it ends in the suffix of a coding and stands beside what the rest of the name names. Without
that, it is a file of its own: an orphan, if it could be the sidecar of a type that shrinks, else what its type says.

Nothing is opened but folders, each beneath the root, and links are not followed: what they lead to has its sidecars
where it is.
"""

from __future__ import annotations

import enum
import os
import stat
from collections.abc import Container, Iterator
from typing import NamedTuple

from chute.errors import FileError
from chute.files.resolve import Root
from chute.files.writing import HIDDEN_PREFIX
from chute.semantics.media_types import media_type_for_name
from chute.static.codecs import CODINGS, Coding
from chute.static.compressible import is_compressible

BYTES_MIN = 256
"""Smaller files get no sidecar. Of text files from 256 to 383 bytes every one shrinks, by 112 to 155 bytes on average;
from 128 to 191 bytes one in ten does not, and 30 to 57 bytes are less than the fields that announce them. (Measured
with the scripts, styles, pages and data beneath /usr/share and /usr/lib.)"""

WELL_KNOWN = b".well-known"
"""The one hidden name that is always served (RFC 8615)."""

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
"""For a folder that is to be what it was, and not what a link leads to by now."""


class Reason(enum.Enum):
    """Why a name gets no sidecar."""

    HIDDEN = "hidden"
    LINK = "links"
    SPECIAL = "neither files nor folders"
    TYPE = "of a type that does not shrink"
    SMALL = "too small"


class Source(NamedTuple):
    """A file that a sidecar would help, as it was in the survey.

    Attributes:
        folder: the path of its folder beneath the root; empty for the root itself.
        name: its name there.
        size: in bytes.
        mtime_ns: of its last change.
        inode: which file it was.
    """

    folder: bytes
    name: bytes
    size: int
    mtime_ns: int
    inode: int

    @property
    def path(self) -> bytes:
        """Return where it is beneath the root."""
        return _joined(self.folder, self.name)


class Orphan(NamedTuple):
    """A file that has the name of a sidecar of `coding`, beside nothing that it could be one of."""

    folder: bytes
    name: bytes
    coding: Coding

    @property
    def path(self) -> bytes:
        """Return where it is beneath the root."""
        return _joined(self.folder, self.name)


class Skipped(NamedTuple):
    """A name that gets no sidecar."""

    path: bytes
    reason: Reason


class Unreadable(NamedTuple):
    """A name that could not be looked at; `detail` says why."""

    path: bytes
    detail: str


Finding = Source | Orphan | Skipped | Unreadable


def blocking_survey(
    root: Root, *, bytes_min: int = BYTES_MIN, shows_hidden: bool = False
) -> Iterator[Finding]:
    """Look at everything beneath `root`, folder by folder and in the order of the names.

    Args:
        root: the top, borrowed.
        bytes_min: smaller files are skipped.
        shows_hidden: whether names that begin with a dot are looked at.
    """
    pending = [b""]
    while pending:
        folder = pending.pop()
        try:
            entries = _read_folder(root, folder)
        except (FileError, OSError) as error:
            yield Unreadable(folder or b".", reason_of(error))
            continue
        below: list[bytes] = []
        for name in sorted(entries):
            path = _joined(folder, name)
            status = entries[name]
            if name.startswith(HIDDEN_PREFIX):
                continue  # one that we, or an upload, are writing at this moment
            if name.startswith(b".") and not shows_hidden and name != WELL_KNOWN:
                yield Skipped(path, Reason.HIDDEN)
            elif isinstance(status, OSError):
                yield Unreadable(path, reason_of(status))
            elif stat.S_ISDIR(status.st_mode):
                below.append(path)
            elif not stat.S_ISREG(status.st_mode):
                is_link = stat.S_ISLNK(status.st_mode)
                yield Skipped(path, Reason.LINK if is_link else Reason.SPECIAL)
            else:
                yield from _judge(folder, name, status, entries, bytes_min)
        pending.extend(reversed(below))


def _judge(
    folder: bytes,
    name: bytes,
    status: os.stat_result,
    entries: Container[bytes],
    bytes_min: int,
) -> Iterator[Finding]:
    """Yield what a regular file is; nothing for a sidecar."""
    coding, stem = _coding_of(name)
    if coding is not None and stem in entries:
        return
    if coding is not None and is_compressible(media_type_for_name(stem)):
        yield Orphan(folder, name, coding)
    elif not is_compressible(media_type_for_name(name)):
        yield Skipped(_joined(folder, name), Reason.TYPE)
    elif status.st_size < bytes_min:
        yield Skipped(_joined(folder, name), Reason.SMALL)
    else:
        yield Source(folder, name, status.st_size, status.st_mtime_ns, status.st_ino)


def _coding_of(name: bytes) -> tuple[Coding | None, bytes]:
    """Return the coding that a name ends in, and what is left of the name."""
    for coding in CODINGS:
        if name.endswith(coding.suffix) and len(name) > len(coding.suffix):
            return coding, name.removesuffix(coding.suffix)
    return None, name


def _read_folder(root: Root, folder: bytes) -> dict[bytes, os.stat_result | OSError]:
    found: dict[bytes, os.stat_result | OSError] = {}
    fd = root.open(folder, FOLDER_FLAGS)
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                try:
                    found[name] = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    found[name] = error
    finally:
        os.close(fd)
    return found


def _joined(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder else name


def reason_of(error: Exception) -> str:
    """Return why, in the words of the operating system where it was asked."""
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return str(error)
