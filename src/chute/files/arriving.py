"""Files that are being received: whole under their name, or not there at all.

A file arrives without a name (`O_TMPFILE`, open(2)) in the folder that it is meant for, and gets its name in one step
when all of it is on the disk: link(2), which never takes a name that something has, or rename(2), where that something
is to be replaced. Whoever reads the name finds the old file or the new one, never half of one. When the server is
killed meanwhile, the kernel removes what has no name. Where a file system has no unnamed files, the file has a hidden
random name until then.

The folder is opened through `Root`, so it lies beneath the root whatever the name in the request holds; everything
else is done relative to its descriptor, by a single name, and never through a link.

Uploads of one name are kept apart by a lock that threads and workers share (`ledger`), held from the look at what has
the name to the step that takes it. Other programs do not know of that lock: link(2) still never replaces what they have
made, but a file of theirs that takes the place of a file that was to be replaced, in between, is replaced as well.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable

from chute.errors import (
    NameTaken,
)
from chute.files.ledger import Ledger
from chute.files.resolve import Root
from chute.files.writing import (
    HAS_NO_HARD_LINKS,
    HAS_NO_UNNAMED,
    O_TMPFILE,
    blocking_sync,
    hidden_name,
    translated,
)

TAKE_ATTEMPTS = 3
"""How often the name is looked at again because another program took it in between."""

_WRITING = os.O_WRONLY | os.O_CLOEXEC
_NEW = _WRITING | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_MODE = 0o666
"""Less what the umask takes, as for any file that a program makes."""

_TICK_NS_MAX = 2_000_000_000
"""No clock of a file system is coarser (FAT)."""

MayTake = Callable[[os.stat_result | None], bool]
"""Whether a file may take its name, given the status of the regular file that has it (None: nothing has)."""


def only_new(status: os.stat_result | None) -> bool:
    """Take no name that something has."""
    return status is None


def replacing(status: os.stat_result | None) -> bool:
    """Replace whatever file has the name."""
    del status
    return True


class Destination:
    """A folder beneath a root, to put files into. Owns a descriptor of it, until `close`.

    It stays the folder that it was, wherever its name, or the root's, leads meanwhile.
    """

    def __init__(self, root: Root, folder: bytes) -> None:
        """Open `folder`, relative to `root`; it must be readable, for else it could not be synced.

        Raises:
            FileMissing: there is no such folder.
            FileForbidden: the operating system refuses.
            DescriptorsExhausted: no descriptor is left.
        """
        self.root = root
        self.fd = root.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    def status_of(self, name: bytes) -> os.stat_result | None:
        """Return the status of the regular file `name` in this folder, or None when nothing has the name.

        Raises:
            NameTaken: a folder, a link or a special file has it.
            NameUnusable: no file can have it.
            FileForbidden: the operating system refuses.
        """
        try:
            status = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise translated(error, name) from error
        if stat.S_ISREG(status.st_mode):
            return status
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise NameTaken(f"what has the name {name!r} is {kind}")

    def blocking_sync(self) -> None:
        """Have the names in this folder on the disk (fsync(2)), where its file system can do that."""
        blocking_sync(self.fd)

    def close(self) -> None:
        """Close the folder. Idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class ArrivingFile:
    """One file that is being received. Owns its descriptor, and is ended by a commit or by `blocking_discard`.

    Attributes:
        name: the one it will have in its folder.
        status: what fstat(2) said of it when it had got its name; None before.
        replaced: the status of the file whose name it took; None when there was none, or before.
    """

    def __init__(
        self, destination: Destination, name: bytes, ledger: Ledger, *, count: int = 0
    ) -> None:
        """Make an empty file without a name; it may block.

        Args:
            destination: the folder that it will lie in; stays the caller's, and must stay open.
            name: of one segment; without a slash, and neither empty nor `.` nor `..`.
            ledger: where its bytes are accounted.
            count: bytes that are known to come; they are reserved at once. More may come.

        Raises:
            InsufficientStorage: there is no room.
            FileMissing: the folder has been removed.
            FileForbidden: the operating system refuses.
            DescriptorsExhausted: no descriptor is left.
            OSError: the disk failed.
        """
        assert name not in (b"", b".", b".."), "no name of a file"
        assert b"/" not in name, "a name of several segments"
        self.name = name
        self.status: os.stat_result | None = None
        self.replaced: os.stat_result | None = None
        self._destination = destination
        self._ledger = ledger
        self._written = self._reserved = 0
        self._fd = -1
        self._hidden_name: bytes | None = None
        self._reserve(count)
        try:
            self._open()
        except OSError as error:
            self.blocking_discard()
            raise translated(error, name) from error

    def blocking_write(self, block: bytes) -> None:
        """Append `block`.

        Raises:
            InsufficientStorage: there is no room for it.
            FileTooLarge: no file may be that large here.
            OSError: the disk failed.
        """
        self._reserve(self._written + len(block))
        remaining = memoryview(block)
        try:
            while remaining:
                written = os.write(self._fd, remaining)
                self._written += written
                remaining = remaining[written:]
        except OSError as error:
            raise translated(error, self.name) from error

    def blocking_commit(self, may_take: MayTake) -> os.stat_result:
        """Give the file its name, with all of its bytes and the name itself on the disk; return its status.

        Args:
            may_take: decides whether it may; asked while no other upload can take the name. A file that replaces
                another gets the permissions that that one had.

        Raises:
            NameTaken: it may not, or what has the name is no regular file.
            NameUnusable: no file can have the name.
            FileForbidden: the operating system refuses.
            InsufficientStorage: there is no room for the name.
            OSError: the disk failed. In all of these cases the file is to be discarded.
        """
        try:
            blocking_sync(self._fd)
            with self._ledger.blocking_lock():
                self._take_name(may_take)
            self.status = os.fstat(self._fd)
        except OSError as error:
            raise translated(error, self.name) from error
        try:
            self._destination.blocking_sync()
        except OSError:
            self.blocking_withdraw()
            raise
        replaced_bytes = 0 if self.replaced is None else self.replaced.st_size
        self._end(kept_bytes=self._written - replaced_bytes)
        return self.status

    def blocking_withdraw(self) -> None:
        """Give the name up again, if the file still has it and replaced none: what was replaced is gone for good."""
        if self.status is None or self.replaced is not None:
            return
        here = self._destination.fd
        with self._ledger.blocking_lock(), contextlib.suppress(OSError):
            now = os.stat(self.name, dir_fd=here, follow_symlinks=False)
            if os.path.samestat(now, self.status):
                os.unlink(self.name, dir_fd=here)
        self.status = None
        self._end(kept_bytes=0)

    def blocking_discard(self) -> None:
        """Leave nothing behind, unless the file has got its name. Idempotent."""
        self._end(kept_bytes=0 if self.status is None else self._reserved)

    def _end(self, *, kept_bytes: int) -> None:
        """Give back whatever is held, and what was reserved beyond `kept_bytes`. Idempotent."""
        self._forget_hidden_name()
        self._close()
        self._ledger.blocking_give_back(self._reserved - kept_bytes)
        self._reserved = kept_bytes

    def _reserve(self, count: int) -> None:
        """Have `count` bytes on the account in all."""
        if count > self._reserved:
            self._ledger.blocking_reserve(count - self._reserved, self._destination.root)
            self._reserved = count

    def _open(self) -> None:
        here = self._destination.fd
        if O_TMPFILE:
            try:
                self._fd = os.open(b".", O_TMPFILE | _WRITING, _MODE, dir_fd=here)
            except OSError as error:
                if error.errno not in HAS_NO_UNNAMED:
                    raise
            else:
                # Without procfs, the file could never be given a name.
                if os.path.exists(self._path_of_unnamed()):
                    return
                self._close()
        name = hidden_name()
        self._fd = os.open(name, _NEW, _MODE, dir_fd=here)
        self._hidden_name = name

    def _take_name(self, may_take: MayTake) -> None:
        for _ in range(TAKE_ATTEMPTS):
            current = self._destination.status_of(self.name)
            if not may_take(current):
                raise NameTaken(f"something has the name {self.name!r}")
            try:
                if current is None:
                    self._take_new()
                else:
                    self._take_over(current)
            except FileExistsError:
                continue  # by another program, in this moment
            self.replaced = current
            return
        raise NameTaken(f"something else takes the name {self.name!r} again and again")

    def _take_new(self) -> None:
        """Take a name that nothing has; FileExistsError if something has it after all."""
        here = self._destination.fd
        if self._hidden_name is None:
            self._link_unnamed(self.name)
            return
        try:
            os.link(
                self._hidden_name,
                self.name,
                src_dir_fd=here,
                dst_dir_fd=here,
                follow_symlinks=False,
            )
        except OSError as error:
            if error.errno not in HAS_NO_HARD_LINKS:
                raise
            self._claim()
        else:
            self._forget_hidden_name()

    def _claim(self) -> None:
        """Take a name where there are no hard links: an empty file holds it for the moment until it is replaced."""
        here = self._destination.fd
        os.close(os.open(self.name, _NEW, _MODE, dir_fd=here))
        try:
            self._rename_hidden()
        except OSError:
            os.unlink(self.name, dir_fd=here)
            raise

    def _take_over(self, current: os.stat_result) -> None:
        """Take the name of the file whose status is `current`, and its permissions, but for set-user-ID and its kin."""
        os.fchmod(self._fd, current.st_mode & 0o777)
        self._date_after(current)
        if self._hidden_name is None:
            name = hidden_name()
            self._link_unnamed(name)
            self._hidden_name = name
        self._rename_hidden()

    def _date_after(self, current: os.stat_result) -> None:
        """Give the file a later date than the one it replaces, where both were written within one tick of the clock.

        Else they had the same entity tag if they have the same size, and If-Match could not tell them apart. One that
        is dated much later than now has been dated by its owner, and sets no example.
        """
        mine = os.fstat(self._fd)
        if 0 <= current.st_mtime_ns - mine.st_mtime_ns < _TICK_NS_MAX:
            os.utime(self._fd, ns=(mine.st_atime_ns, current.st_mtime_ns + 1))

    def _rename_hidden(self) -> None:
        assert self._hidden_name is not None
        here = self._destination.fd
        os.rename(self._hidden_name, self.name, src_dir_fd=here, dst_dir_fd=here)
        self._hidden_name = None

    def _link_unnamed(self, name: bytes) -> None:
        # open(2), O_TMPFILE: this way needs no privilege, unlike AT_EMPTY_PATH.
        source, here = self._path_of_unnamed(), self._destination.fd
        os.link(source, name, dst_dir_fd=here, follow_symlinks=True)

    def _path_of_unnamed(self) -> bytes:
        return b"/proc/self/fd/%d" % self._fd

    def _forget_hidden_name(self) -> None:
        if self._hidden_name is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._hidden_name, dir_fd=self._destination.fd)
            self._hidden_name = None

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
