"""Precompressed sidecars: `app.js.br` beside `app.js`, made ahead of time and served in its place.

For `chute compress`: `survey` finds the files that a sidecar would help, `blocking_make` makes one sidecar of one file,
`blocking_prune` removes one whose source has gone.

A sidecar has the modification time of its source, to the nanosecond. That is how it is known to be up to date: whatever
is written over the source later, newer or older, has another time. It also lets Last-Modified agree, whichever of the
two is sent.

Deleting needs better evidence than a name. `corpus.jsonl.zst` beside no `corpus.jsonl` is no orphan but somebody's only
copy, and its first bytes are those of any other zstd file. So every sidecar is marked with the name of its source, in
an extended attribute (xattr(7)), and only what has that mark, the name and the first bytes is ever pruned. Copying a
tree may lose the marks, and some file systems store none; then such files are left where they are, and named.

Links are not followed, and no name is trusted for longer than a step: a folder is opened beneath the root, everything
else relative to its descriptor, and a source is what it was in the survey, or nothing is made of it.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple, Self

from chute.clock import wall_ns
from chute.errors import FileError, FileMissing
from chute.files.atomic import blocking_write_whole
from chute.files.resolve import Root
from chute.files.walk import open_beneath
from chute.static.codecs import BR, GZIP, ZSTD, Coding, blocking_compress
from chute.static.survey import FOLDER_FLAGS, Orphan, Source, reason_of

SHRINKS_BY = 0.05
"""A sidecar that saves less than this share of its source is not worth its descriptor."""

READ_BYTES = 256 * 1024

MARK = "user.chute.sidecar-of"
"""The extended attribute that holds the name of the source."""

_TICK_NS = 20_000_000
"""Two changes within one tick of the kernel's coarse clock get the same time; 10 ms is the longest tick there is."""

_ALWAYS = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW

_MAGIC = {GZIP: b"\x1f\x8b\x08", ZSTD: b"\x28\xb5\x2f\xfd", BR: b""}
"""What each coding begins with (RFC 1952, 2.3.1; RFC 8878, 3.1.1; brotli has nothing of the kind)."""


class Result(enum.Enum):
    """What became of one sidecar."""

    MADE = "made"
    UP_TO_DATE = "up to date"
    DUE = "due"
    NOT_SMALLER = "not smaller"
    CHANGED = "changed"
    FAILED = "failed"
    PRUNED = "pruned"
    NOT_OURS = "not ours"


class Outcome(NamedTuple):
    """What became of one sidecar.

    Attributes:
        result: made, or why not.
        sidecar_bytes: its size, where there is one now, or was one to prune.
        has_replaced: whether one that was not up to date is gone, or would go.
        detail: what went wrong, for a person.
    """

    result: Result
    sidecar_bytes: int = 0
    has_replaced: bool = False
    detail: str = ""


def _nothing(count: int) -> None:
    del count


def blocking_make(
    root: Root,
    source: Source,
    coding: Coding,
    level: int,
    *,
    is_forced: bool = False,
    is_trial: bool = False,
    on_read: Callable[[int], None] = _nothing,
) -> Outcome:
    """Make the sidecar of `source` in `coding`, unless it is up to date.

    Args:
        root: the top, borrowed.
        source: from a survey of it.
        coding: must be available.
        level: how hard to try.
        is_forced: make it again even if it is up to date.
        is_trial: only find out whether it is due.
        on_read: called with the count of bytes of each block that was read. What it raises ends the work, leaves
            nothing behind and is passed on.
    """
    try:
        with _Opened(root, source) as opened:
            if not opened.is_as_surveyed():
                return _CHANGED
            present = opened.status_of(source.name + coding.suffix)
            if present is not None and not stat.S_ISREG(present.st_mode):
                return Outcome(Result.FAILED, detail="something that is no file has the name")
            if present is not None and present.st_mtime_ns == source.mtime_ns and not is_forced:
                return Outcome(Result.UP_TO_DATE, present.st_size)
            if is_trial:
                return Outcome(Result.DUE, has_replaced=present is not None)
            return _make(opened, coding, level, present, on_read)
    except _Changed:
        return _CHANGED
    except (FileError, OSError) as error:
        return _outcome_of(error)


def blocking_prune(root: Root, orphan: Orphan, *, is_trial: bool = False) -> Outcome:
    """Remove an orphan, if chute made it.

    Args:
        root: the top, borrowed.
        orphan: from a survey of it.
        is_trial: only find out whether it would go.

    Returns:
        `PRUNED`, `NOT_OURS` (it is left where it is), `CHANGED` (it has got a source meanwhile) or `FAILED`.
    """
    stem = orphan.name.removesuffix(orphan.coding.suffix)
    try:
        with contextlib.ExitStack() as opened:
            folder_fd = root.open(orphan.folder, FOLDER_FLAGS)
            opened.callback(os.close, folder_fd)
            fd = open_beneath(folder_fd, orphan.name, os.O_RDONLY | _ALWAYS)
            opened.callback(os.close, fd)
            if not _has_made(fd, orphan.coding, stem):
                return Outcome(Result.NOT_OURS)
            present = _status_of(folder_fd, orphan.name)
            if present is None or not os.path.samestat(present, os.fstat(fd)):
                return _CHANGED
            if _status_of(folder_fd, stem) is not None:
                return _CHANGED
            if not is_trial:
                os.unlink(orphan.name, dir_fd=folder_fd)
            return Outcome(Result.PRUNED, present.st_size)
    except (FileError, OSError) as error:
        return _outcome_of(error)


class _Changed(Exception):
    """The source is no longer what it was."""


class _NotSmaller(Exception):
    """The sidecar would save too little."""


class _Opened:
    """A source and its folder, open. Owns both descriptors while it is entered."""

    def __init__(self, root: Root, source: Source) -> None:
        self.source = source
        self._descriptors = contextlib.ExitStack()
        with contextlib.ExitStack() as until_complete:
            self.folder_fd = root.open(source.folder, FOLDER_FLAGS)
            until_complete.callback(os.close, self.folder_fd)
            self.fd = open_beneath(self.folder_fd, source.name, os.O_RDONLY | _ALWAYS)
            until_complete.callback(os.close, self.fd)
            self.status = os.fstat(self.fd)
            self._descriptors = until_complete.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._descriptors.close()

    def is_as_surveyed(self) -> bool:
        """Whether it is the file that was surveyed, and old enough that a change from now on shows in its time."""
        status, source = self.status, self.source
        return (
            stat.S_ISREG(status.st_mode)
            and (status.st_ino, status.st_size, status.st_mtime_ns)
            == (source.inode, source.size, source.mtime_ns)
            and not 0 <= wall_ns() - status.st_mtime_ns < _TICK_NS
        )

    def status_of(self, name: bytes) -> os.stat_result | None:
        """Return what has the name `name` beside it."""
        return _status_of(self.folder_fd, name)

    def blocks(self, on_read: Callable[[int], None]) -> Iterator[bytes]:
        """Yield the content."""
        offset = 0
        while block := os.pread(self.fd, READ_BYTES, offset):
            offset += len(block)
            if offset > self.source.size:
                raise _Changed
            on_read(len(block))
            yield block
        if offset < self.source.size:
            raise _Changed

    def check_unchanged(self) -> None:
        """Raise `_Changed` if the content, or the file that has the name, may be another than when it was opened."""
        now, named = os.fstat(self.fd), self.status_of(self.source.name)
        # The time of the change of the status as well: unlike the other one it cannot be set.
        before = (self.status.st_size, self.status.st_mtime_ns, self.status.st_ctime_ns)
        # And the name as well: rename(2) need not touch that time.
        is_same = (now.st_size, now.st_mtime_ns, now.st_ctime_ns) == before
        if not is_same or named is None or not os.path.samestat(named, now):
            raise _Changed


def _make(
    opened: _Opened,
    coding: Coding,
    level: int,
    present: os.stat_result | None,
    on_read: Callable[[int], None],
) -> Outcome:
    source = opened.source
    name = source.name + coding.suffix
    most = int(source.size * (1 - SHRINKS_BY))

    def content() -> Iterator[bytes]:
        written = 0
        for block in blocking_compress(coding, opened.blocks(on_read), level, size=source.size):
            written += len(block)
            if written > most:
                raise _NotSmaller
            yield block
        # Nothing has its name yet, so that this is the last moment to find out.
        opened.check_unchanged()

    try:
        made = blocking_write_whole(
            opened.folder_fd,
            name,
            content(),
            replace=present is not None,
            like=opened.status,
            mtime_ns=source.mtime_ns,
            attributes={MARK: source.name},
        )
    except _NotSmaller:
        if present is not None:
            opened.check_unchanged()
            now = opened.status_of(name)
            if now is not None and os.path.samestat(now, present):
                os.unlink(name, dir_fd=opened.folder_fd)
        return Outcome(Result.NOT_SMALLER, has_replaced=present is not None)
    return Outcome(Result.MADE, made.st_size, has_replaced=present is not None)


def _has_made(fd: int, coding: Coding, stem: bytes) -> bool:
    """Whether chute made the file `fd` from one with the name `stem`; never where there are no marks."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            magic = _MAGIC[coding]
            return os.getxattr(fd, MARK) == stem and os.pread(fd, len(magic), 0) == magic
    return False


def _status_of(folder_fd: int, name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _outcome_of(error: FileError | OSError) -> Outcome:
    """Return what an error comes to: what is missing now was there in the survey, and no link was there."""
    if isinstance(error, FileMissing | FileNotFoundError) or (
        isinstance(error, OSError) and error.errno == errno.ELOOP
    ):
        return _CHANGED
    return Outcome(Result.FAILED, detail=reason_of(error))


_CHANGED = Outcome(Result.CHANGED)
