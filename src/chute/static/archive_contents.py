"""What goes into the archive of a folder, and how it is read: what `archive_tar` and `archive_zip` have in common.

An archive is sent with its length in the head, and nothing is written to a disk for it. So a folder is walked first
(`blocking_survey`), and the size that each file has then is a promise. Keeping it is what `Contents` is for:

- A file that has grown is sent as far as was promised: what a log was at the time of the survey.
- A file that has shrunk, vanished, or given way to one of another size breaks the promise. That raises, which ends
  the connection: the client sees that it did not get everything, and never has an archive that only looks whole.
- A file that was replaced by one of the same size, or rewritten in place, is sent as it is by then. There is no
  snapshot of a folder, and none is claimed; each file is of one piece as far as the file system lets it be.

What goes in is what could be fetched one by one: regular files, and the folders on the way, empty ones too. Each file
is opened once during the survey, for only that tells whether it may be read. What may not, or has vanished meanwhile,
is left out without a word, as are devices, FIFOs and sockets. A disk that fails is another matter: then there is no
archive.

Links to files count as the files they lead to, if that is beneath the root. Links to folders are left out: what is in
the folder stands where it really is, and a link to a folder above would have no end.

The survey holds names and numbers and no descriptor, so that an archive that nobody takes leaves nothing to clean up.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator
from typing import NamedTuple

from chute.errors import FileForbidden, FileMissing, TransferError
from chute.files.resolve import Root
from chute.files.writing import HIDDEN_PREFIX
from chute.transfer.method import Devices
from chute.transfer.source import FileSpan, SharedFile
from chute.transfer.unsized import blocking_read_all, size_may_lie

ENTRIES_MAX = 100_000
"""As many files and folders as one archive holds: some 30 MB of memory while it is sent, beside the names."""

NAMES_BYTES_MAX = 16 * 1024 * 1024
"""Their names together. The longest path is 4 KiB, so that counting entries alone would bound little."""

BLOCK_BYTES = 256 * 1024
"""As much of a file as is read at once."""

PIECE_BYTES_MIN = 128 * 1024
"""Small things are gathered to so many bytes before they are sent: each piece goes to a thread and back."""

PERMISSIONS = 0o777
"""What an archive tells of a mode. The other bits would plant setuid programs with whoever unpacks it as root."""

_UNFINISHED = os.fsdecode(HIDDEN_PREFIX)
"""What is still being uploaded; no archive ever has it."""


class Entry(NamedTuple):
    """One file or folder of an archive.

    Attributes:
        name: relative to the folder that is archived; a folder's ends with a slash, that folder's own is empty.
        size: the bytes that are promised; of a folder 0.
        mode: permissions.
        modified_s: whole seconds since the epoch, rounded down.
        device: with the inode, which file it was at the time of the survey.
        inode: see `device`.
        is_folder: whether it is one.
        size_lies: whether `size` was found by reading, for what the file system said is not to be believed (T27).
    """

    name: bytes
    size: int
    mode: int
    modified_s: int
    device: int
    inode: int
    is_folder: bool
    size_lies: bool


class Survey:
    """What is in a folder: parents before what is in them, files before folders, each in the order of their bytes.

    Attributes:
        folder: the folder's name beneath the root, with a slash behind it unless it is the root.
        entries: what is in it; the first one is the folder itself.
        is_complete: whether that is all, and not just as much as fits.
    """

    __slots__ = ("__weakref__", "entries", "folder", "is_complete")

    def __init__(self, folder: bytes) -> None:
        self.folder = folder
        self.entries: list[Entry] = []
        self.is_complete = True


def blocking_survey(
    root: Root, survey: Survey, *, shows_hidden: bool, entries_max: int = ENTRIES_MAX
) -> None:
    """Walk through a folder and note what is in it.

    Args:
        root: resolves the names.
        survey: an empty one, which is filled.
        shows_hidden: whether names that begin with a dot go in.
        entries_max: where to stop, and to say that it is not complete.

    Raises:
        FileError: the folder itself cannot be opened, or no descriptor is left.
        OSError: the disk failed.
    """
    pending = [b""]
    names_bytes = 0
    while pending:
        name = pending.pop()
        try:
            fd = _open_folder(root, survey.folder, name)
        except (FileMissing, FileForbidden):
            if not name:
                raise
            continue
        try:
            survey.entries.append(_entry_of(name, os.fstat(fd)))
            room = entries_max - len(survey.entries) - len(pending)
            leaves = _blocking_read_names(fd, room + 1, shows_hidden=shows_hidden)
        finally:
            os.close(fd)
        names_bytes += len(name) * (len(leaves) + 1) + sum(map(len, leaves))
        if len(leaves) > room or names_bytes > NAMES_BYTES_MAX:
            survey.is_complete = False
            return
        _blocking_note(root, survey, name, leaves, pending)


def _open_folder(root: Root, folder: bytes, name: bytes) -> int:
    if not name:
        # The folder that is asked for may be reached by a link, as it can be listed by one.
        return root.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    # Without the slash, behind which a link would be followed whatever the flags say (path_resolution(7)).
    return root.open(folder + name[:-1], os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _blocking_read_names(fd: int, names_max: int, *, shows_hidden: bool) -> list[bytes]:
    """Return up to `names_max` names in order; those of folders end with a slash, those of links with two."""
    names: list[bytes] = []
    with os.scandir(fd) as found:
        for item in found:
            if item.name[0] == "." and (not shows_hidden or item.name.startswith(_UNFINISHED)):
                continue
            try:
                if item.is_file(follow_symlinks=False):
                    mark = b""
                elif item.is_dir(follow_symlinks=False):
                    mark = b"/"
                elif item.is_symlink():
                    mark = b"//"
                else:
                    continue
            except OSError:
                continue
            names.append(os.fsencode(item.name) + mark)
            if len(names) == names_max:
                break
    names.sort()
    return names


def _blocking_note(
    root: Root, survey: Survey, folder: bytes, leaves: list[bytes], pending: list[bytes]
) -> None:
    """Note the files among `leaves`, and leave its folders to be walked, the first of them next."""
    for leaf in leaves:
        if leaf.endswith(b"//"):
            entry = _blocking_look_at(root, survey.folder, folder + leaf[:-2], 0)
        elif leaf.endswith(b"/"):
            continue
        else:
            entry = _blocking_look_at(root, survey.folder, folder + leaf, os.O_NOFOLLOW)
        if entry is not None:
            survey.entries.append(entry)
    pending.extend(
        folder + leaf
        for leaf in reversed(leaves)
        if leaf.endswith(b"/") and not leaf.endswith(b"//")
    )


def _blocking_look_at(root: Root, folder: bytes, name: bytes, flags: int) -> Entry | None:
    """Return the entry for a file, or None for what cannot be read or is none."""
    try:
        fd = root.open(folder + name, os.O_RDONLY | flags)
    except (FileMissing, FileForbidden):
        return None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return None
        if size_may_lie(status):
            size = len(blocking_read_all(fd))
            if size != status.st_size:
                return _entry_of(name, status)._replace(size=size, size_lies=True)
        return _entry_of(name, status)
    finally:
        os.close(fd)


def _entry_of(name: bytes, status: os.stat_result) -> Entry:
    is_folder = stat.S_ISDIR(status.st_mode)
    return Entry(
        name,
        0 if is_folder else status.st_size,
        status.st_mode & PERMISSIONS,
        status.st_mtime_ns // 1_000_000_000,
        status.st_dev,
        status.st_ino,
        is_folder,
        size_lies=False,
    )


class Contents:
    """The files of a survey, opened again one at a time to be sent, each as long as was promised."""

    __slots__ = ("_devices", "_root", "_survey")

    def __init__(self, root: Root, devices: Devices, survey: Survey) -> None:
        """Read what `survey` has found beneath `root`; both stay the caller's.

        Args:
            root: resolves the names.
            devices: what is known of the devices that files lie on.
            survey: what was promised.
        """
        self._root = root
        self._devices = devices
        self._survey = survey

    def blocking_open_span(self, entry: Entry) -> FileSpan:
        """Return the content of `entry` for the kernel to carry; the one reference to its file is the caller's.

        Raises:
            FileError: it cannot be opened any more.
            TransferError: it is not what was promised.
            OSError: the disk failed.
        """
        fd, status = self._blocking_open(entry)
        try:
            device = self._devices.of(fd, status)
        except BaseException:
            os.close(fd)
            raise
        return FileSpan(SharedFile(fd, device), 0, entry.size)

    def blocking_read(self, entry: Entry) -> Generator[bytes, None, None]:
        """Yield the content of `entry` in blocks, all but the last of `BLOCK_BYTES`; close it if it is left early.

        Raises:
            FileError: it cannot be opened any more.
            TransferError: it is not what was promised.
            OSError: the disk failed.
        """
        fd, _ = self._blocking_open(entry)
        try:
            offset = 0
            while offset < entry.size:
                block = _blocking_read_block(fd, offset, min(BLOCK_BYTES, entry.size - offset))
                if not block:
                    raise TransferError(f"{entry.name!r} ended at {offset} of {entry.size}")
                offset += len(block)
                yield block
        finally:
            os.close(fd)

    def _blocking_open(self, entry: Entry) -> tuple[int, os.stat_result]:
        fd = self._root.open(self._survey.folder + entry.name)
        try:
            status = os.fstat(fd)
            _check_promise(entry, status)
        except BaseException:
            os.close(fd)
            raise
        return fd, status


def _check_promise(entry: Entry, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise TransferError(f"{entry.name!r} is no file any more")
    if status.st_size == entry.size or entry.size_lies:
        return
    if status.st_size < entry.size:
        raise TransferError(f"{entry.name!r} has {status.st_size} bytes instead of {entry.size}")
    # The beginning of a file that has grown is what was promised; the beginning of another file is nothing.
    if (status.st_dev, status.st_ino) != (entry.device, entry.inode):
        raise TransferError(f"{entry.name!r} was replaced by a file of another size")


def _blocking_read_block(fd: int, offset: int, count: int) -> bytes:
    """Read `count` bytes, or what there is of them: a read may come short without being the last (pread(2))."""
    block = os.pread(fd, count, offset)
    while block and len(block) < count:
        more = os.pread(fd, count - len(block), offset + len(block))
        if not more:
            break
        block += more
    return block


class Gathering:
    """Small things on their way to become one piece.

    Attributes:
        is_full: whether there is enough of them.
    """

    __slots__ = ("_count", "_parts", "is_full")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._count = 0
        self.is_full = False

    def add(self, part: bytes) -> None:
        """Add `part` behind the others."""
        self._parts.append(part)
        self._count += len(part)
        self.is_full = self._count >= PIECE_BYTES_MIN

    def take(self) -> bytes:
        """Return all of it, and begin again."""
        piece = b"".join(self._parts)
        self._parts.clear()
        self._count = 0
        self.is_full = False
        return piece
