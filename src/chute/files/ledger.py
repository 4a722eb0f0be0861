"""What all uploads to one root share: a lock, and an account of the bytes beneath it.

Both lie in an unnamed file, so that they hold for every thread, and for every process that is forked after the ledger
was made. The account is the sum of the sizes of the regular files beneath the root. It is counted once, when it is
first asked for, and kept up from then on by what uploads add and replace. What others add or delete is not noticed
before the next start; what was reserved by a worker that was killed is not given back before then either.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import threading
from collections.abc import Iterator

from chute.errors import FileForbidden, FileMissing, InsufficientStorage
from chute.files.resolve import Root

_ACCOUNT_BYTES = 8
"""The account as it is written down: one unsigned number, least significant byte first; no bytes before the count."""


class Ledger:
    """The lock and the account. Owns a descriptor, until `close`."""

    def __init__(self, *, quota_bytes: int | None = None) -> None:
        """Begin an account that has not been counted.

        Args:
            quota_bytes: what the account may come to; None counts nothing and bounds nothing.
        """
        self._quota_bytes = quota_bytes
        self._threads = threading.Lock()
        if hasattr(os, "memfd_create"):
            self._fd = os.memfd_create("chute-ledger")
        else:
            with tempfile.TemporaryFile() as file:
                self._fd = os.dup(file.fileno())

    @contextlib.contextmanager
    def blocking_lock(self) -> Iterator[None]:
        """Keep every other upload from taking a name, or from reserving, for as long as the block runs."""
        # A lock of fcntl(2) belongs to the process, hence both; it ends with a process that is killed.
        with self._threads:
            fcntl.lockf(self._fd, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def blocking_reserve(self, count: int, root: Root) -> None:
        """Add `count` bytes to the account, which must be given back if they do not stay.

        Raises:
            InsufficientStorage: that is more than the quota allows; nothing was added.
            OSError: the disk failed while the account was taken.
        """
        if self._quota_bytes is None:
            return
        with self.blocking_lock():
            written = os.pread(self._fd, _ACCOUNT_BYTES, 0)
            used = int.from_bytes(written, "little") if written else blocking_count_bytes(root)
            has_room = used + count <= self._quota_bytes
            self._write_down(used + count if has_room else used)
        if not has_room:
            raise InsufficientStorage(f"the quota of {self._quota_bytes} bytes is used up")

    def blocking_give_back(self, count: int) -> None:
        """Take `count` bytes off the account."""
        if self._quota_bytes is None or not count:
            return
        with self.blocking_lock():
            written = os.pread(self._fd, _ACCOUNT_BYTES, 0)
            if written:  # else the count is still to come, and finds what there is by then
                self._write_down(max(0, int.from_bytes(written, "little") - count))

    def close(self) -> None:
        """Give back the descriptor. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write_down(self, used: int) -> None:
        os.pwrite(self._fd, used.to_bytes(_ACCOUNT_BYTES, "little"), 0)


def blocking_count_bytes(root: Root) -> int:
    """Return the sum of the sizes of all regular files beneath `root`.

    Links are not followed, and a folder that cannot be read counts as empty: nothing can be uploaded into it either.

    Raises:
        OSError: the disk failed.
    """
    total = 0
    pending = [b""]
    while pending:
        folder = pending.pop()
        try:
            fd = root.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except (FileMissing, FileForbidden):
            continue
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(folder + os.fsencode(entry.name) + b"/")
                        continue
                    with contextlib.suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        total += status.st_size if stat.S_ISREG(status.st_mode) else 0
        finally:
            os.close(fd)
    return total
