"""Links that belong to the owner of what they lead to: nginx's `disable_symlinks if_not_owner`.

Such a link may lead out of the root, for whoever made it could as well have put a copy there. (Apache's
SymLinksIfOwnerMatch asks the same question.) The kernel has no such rule, so this is a walk. What is opened is what is
checked: the owner is that of the open descriptor, and a link is read and asked for its owner by one descriptor of it.
"""

from __future__ import annotations

import errno
import os
import stat

from chute.files import walk

_LINK_FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC if hasattr(os, "O_PATH") else None
"""A descriptor of a link itself: its text and its owner then belong together, whatever the name leads to by now."""


def open_by_owner(dir_fd: int, path: bytes, flags: int) -> int:
    """Open `path` beneath the directory `dir_fd`; the path itself must not lead upwards.

    Args:
        dir_fd: the directory, borrowed.
        path: relative.
        flags: as for open(2); never to create.

    Returns:
        A new descriptor, the caller's to close.

    Raises:
        OSError: as for openat2; ELOOP for a link of somebody else, EXDEV for a path that leads upwards.
    """
    walk.check_downward(path)
    if len(path) > walk.PATH_BYTES_MAX:
        raise walk.failure(errno.ENAMETOOLONG)
    steps = _Steps(os.open(b".", walk.DIRECTORY_FLAGS, dir_fd=dir_fd), path)
    try:
        return steps.take_all(flags)
    finally:
        os.close(steps.here)


class _Steps:
    """What is left of one path, and how far it has come.

    Attributes:
        here: a descriptor of the directory that was reached; whoever made the object closes it.
    """

    def __init__(self, here: int, path: bytes) -> None:
        self.here = here
        # Last first: components and, behind those of a link, who has to own what they lead to.
        self._pending: list[bytes | int] = [*walk.components(path)]
        self._links_left = walk.LINKS_MAX

    def take_all(self, flags: int) -> int:
        """Walk to the end, and return a descriptor of what is there."""
        while self._pending:
            name = self._pending.pop()
            if isinstance(name, int):
                _check_owner(self.here, name)
            elif name not in (b"", b"."):
                is_last = all(isinstance(step, int) for step in self._pending)
                fd = self._take(name, flags, is_last=is_last)
                if fd is not None:
                    return fd
        return os.open(b".", flags, dir_fd=self.here)

    def _take(self, name: bytes, flags: int, *, is_last: bool) -> int | None:
        """Take one step; return a descriptor when it was the last one, and led to no directory on the way."""
        link = None if name == b".." else _read_link(self.here, name)
        if link is not None:
            self._links_left -= 1
            if self._links_left < 0 or (flags & os.O_NOFOLLOW and is_last):
                raise walk.failure(errno.ELOOP)
            target, owner = link
            self._pending.append(owner)
            self._pending.extend(walk.components(target))
            if target.startswith(b"/"):
                self._go_to(b"/")
            return None
        if is_last and name != b"..":
            return self._open_last(name, flags)
        self._go_to(name)
        return None

    def _open_last(self, name: bytes, flags: int) -> int:
        # What was no link a moment ago must not be one now: then this is ELOOP.
        fd = os.open(name, flags | os.O_NOFOLLOW, dir_fd=self.here)
        try:
            for owner in self._pending:
                assert isinstance(owner, int), "not the last"
                _check_owner(fd, owner)
        except OSError:
            os.close(fd)
            raise
        return fd

    def _go_to(self, name: bytes) -> None:
        there = os.open(name, walk.DIRECTORY_FLAGS, dir_fd=self.here)
        os.close(self.here)
        self.here = there


def _read_link(here: int, name: bytes) -> tuple[bytes, int] | None:
    """Return where the link `name` leads and who owns it, or None if it is no link."""
    status = os.stat(name, dir_fd=here, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        return None
    if _LINK_FLAGS is None:
        return _read_link_between_looks(here, name, status)
    fd = os.open(name, _LINK_FLAGS, dir_fd=here)
    try:
        status = os.fstat(fd)
        if not stat.S_ISLNK(status.st_mode):
            raise walk.failure(errno.EAGAIN)
        # The empty path is the link that the descriptor holds (readlinkat(2), since Linux 2.6.39).
        return os.readlink(b"", dir_fd=fd), status.st_uid
    finally:
        os.close(fd)


def _read_link_between_looks(here: int, name: bytes, status: os.stat_result) -> tuple[bytes, int]:
    """Read a link where no descriptor can be had of it, as on macOS.

    Two links that are exchanged to and fro within one tick of the clock look the same before and after: this is as
    sound as the clock of the file system is fine.
    """
    target = os.readlink(name, dir_fd=here)
    again = os.stat(name, dir_fd=here, follow_symlinks=False)
    # A link is never rewritten, only replaced.
    if (status.st_ino, status.st_ctime_ns) != (again.st_ino, again.st_ctime_ns):
        raise walk.failure(errno.EAGAIN)
    return target, status.st_uid


def _check_owner(fd: int, owner: int) -> None:
    if os.fstat(fd).st_uid != owner:
        raise walk.failure(errno.ELOOP)
