"""Finished content under a name: whole, or not there at all.

The content is written into a file without a name (`O_TMPFILE`, open(2)) in the folder that it is meant for, which gets
its name in one step when everything about it is right: content, permissions, time. Whoever reads the name finds the old
file or the new one, and never a part of one. What fails, is interrupted or is killed leaves nothing behind. Where a
file system has no unnamed files, the file has a hidden random name until then, and only a kill -9 could leave that.

A name that something has cannot be linked over, so there the file gets a hidden name for the moment between link(2)
and rename(2).

Everything is done relative to the descriptor of a folder, by one plain name, and never through a link. For content that
arrives bit by bit from a stranger, with quotas and locks, see `arriving`; here, an iterator is asked for all of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterable, Mapping

from chute.files.writing import (
    HAS_NO_HARD_LINKS,
    HAS_NO_UNNAMED,
    O_TMPFILE,
    blocking_sync,
    hidden_name,
    translating,
)

_WRITING = os.O_WRONLY | os.O_CLOEXEC
_NEW = _WRITING | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


def blocking_write_whole(
    folder_fd: int,
    name: bytes,
    blocks: Iterable[bytes],
    *,
    replace: bool = False,
    like: os.stat_result | None = None,
    mtime_ns: int | None = None,
    attributes: Mapping[str, bytes] | None = None,
    sync: bool = False,
) -> os.stat_result:
    """Write a file that appears when it is complete.

    Args:
        folder_fd: the folder, borrowed; to sync it must be readable, and not only `O_PATH`.
        name: one segment of a path.
        blocks: the content. What it raises is passed on, and nothing is written then.
        replace: whether a regular file that has the name is replaced. Other things never are.
        like: a file whose permissions the new one takes, and whose group and owner, as far as this process may. Without
            its group it gives nobody more than that file gave to everybody. Access lists are not copied.
        mtime_ns: the time of its last change, instead of now.
        attributes: extended attributes (xattr(7)); left out where the file system has none.
        sync: whether content and name are on the disk when this returns (fsync(2)). Without, a crash of the machine may
            still lose them.

    Returns:
        Its status.

    Raises:
        NameTaken: something has the name, and may not be replaced.
        NameUnusable: no file can have the name here.
        InsufficientStorage: there is no room.
        FileTooLarge: no file may be that large here.
        FileForbidden: the operating system refuses.
        FileMissing: the folder has been removed.
        DescriptorsExhausted: no descriptor is left.
        OSError: the disk failed.
    """
    assert name not in (b"", b".", b".."), "no name of a file"
    assert b"/" not in name, "a name of several segments"
    file = _Unfinished(folder_fd)
    try:
        with translating(name):
            file.open(0o666 if like is None else 0o600)
        # Outside: an error of the iterator's own is not ours to translate.
        for block in blocks:
            with translating(name):
                file.write(block)
        with translating(name):
            file.dress(like, mtime_ns, attributes or {})
            if sync:
                blocking_sync(file.fd)
            file.take(name, replace=replace)
            if sync:
                blocking_sync(folder_fd)
            return os.fstat(file.fd)
    finally:
        file.end()


class _Unfinished:
    """A file on its way to its name. Owns a descriptor, and perhaps a hidden name, until `end`."""

    def __init__(self, folder_fd: int) -> None:
        self.fd = -1
        self._folder_fd = folder_fd
        self._hidden_name: bytes | None = None

    def open(self, mode: int) -> None:
        if O_TMPFILE:
            try:
                self.fd = os.open(b".", O_TMPFILE | _WRITING, mode, dir_fd=self._folder_fd)
            except OSError as error:
                if error.errno not in HAS_NO_UNNAMED:
                    raise
            else:
                # Without procfs it could never be given a name.
                if os.path.exists(self._path_of_unnamed()):
                    return
                os.close(self.fd)
                self.fd = -1
        # The name first: if an exception comes from outside in between, `end` knows what to remove.
        self._hidden_name = hidden_name()
        self.fd = os.open(self._hidden_name, _NEW, mode, dir_fd=self._folder_fd)

    def write(self, block: bytes) -> None:
        remaining = memoryview(block)
        while remaining:
            remaining = remaining[os.write(self.fd, remaining) :]

    def dress(
        self, like: os.stat_result | None, mtime_ns: int | None, attributes: Mapping[str, bytes]
    ) -> None:
        """Give it all but its name. The owner last, for then it may be no longer ours to change."""
        # Network file systems tell only at close(2) that there was no room, and closing any duplicate makes them.
        os.close(os.dup(self.fd))
        if like is not None:
            self._take_group_and_mode(like)
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                for key, value in attributes.items():
                    os.setxattr(self.fd, key, value)
        if mtime_ns is not None:
            os.utime(self.fd, ns=(mtime_ns, mtime_ns))
        if like is not None and os.fstat(self.fd).st_uid != like.st_uid:
            with contextlib.suppress(OSError):
                os.fchown(self.fd, like.st_uid, -1)

    def take(self, name: bytes, *, replace: bool) -> None:
        """Take the name; FileExistsError if something has it that stays."""
        try:
            self._take_new(name)
        except FileExistsError:
            if not replace or not self._may_replace(name):
                raise
            self._take_over(name)

    def end(self) -> None:
        """Give back the descriptor, and leave nothing behind but a file that has its name. Idempotent."""
        hidden_name, self._hidden_name = self._hidden_name, None
        fd, self.fd = self.fd, -1
        if hidden_name is not None:
            with contextlib.suppress(OSError):
                os.unlink(hidden_name, dir_fd=self._folder_fd)
        if fd >= 0:
            os.close(fd)

    def _take_group_and_mode(self, like: os.stat_result) -> None:
        mode = stat.S_IMODE(like.st_mode) & 0o777
        if os.fstat(self.fd).st_gid != like.st_gid:
            try:
                os.fchown(self.fd, -1, like.st_gid)
            except OSError:
                # Our group was among the others: it gets what they have.
                mode = (mode & 0o707) | (mode & 0o007) << 3
        # Where a file system stores no permissions, it refuses (vfat).
        with contextlib.suppress(PermissionError):
            os.fchmod(self.fd, mode)

    def _take_new(self, name: bytes) -> None:
        here = self._folder_fd
        if self._hidden_name is None:
            self._link_unnamed(name)
            return
        try:
            os.link(
                self._hidden_name, name, src_dir_fd=here, dst_dir_fd=here, follow_symlinks=False
            )
        except OSError as error:
            if error.errno not in HAS_NO_HARD_LINKS:
                raise
            # Between this look and the renaming, another program may still take the name, and lose it. Holding it with
            # an empty file meanwhile would show everybody a part of a file, which is worse.
            if self._has(name):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
            self._take_over(name)

    def _take_over(self, name: bytes) -> None:
        if self._hidden_name is None:
            self._hidden_name = hidden_name()
            self._link_unnamed(self._hidden_name)
        here = self._folder_fd
        os.rename(self._hidden_name, name, src_dir_fd=here, dst_dir_fd=here)
        self._hidden_name = None

    def _link_unnamed(self, name: bytes) -> None:
        # open(2), O_TMPFILE: this way needs no privilege, unlike AT_EMPTY_PATH.
        source = self._path_of_unnamed()
        os.link(source, name, dst_dir_fd=self._folder_fd, follow_symlinks=True)

    def _path_of_unnamed(self) -> bytes:
        return b"/proc/self/fd/%d" % self.fd

    def _has(self, name: bytes) -> bool:
        with contextlib.suppress(FileNotFoundError):
            os.stat(name, dir_fd=self._folder_fd, follow_symlinks=False)
            return True
        return False

    def _may_replace(self, name: bytes) -> bool:
        """Whether a regular file has the name, or nothing any more."""
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(name, dir_fd=self._folder_fd, follow_symlinks=False)
            return stat.S_ISREG(status.st_mode)
        return True
