"""The same promise without openat2: walk the path one component at a time.

Each component is opened relative to the descriptor of the directory before it, and never through a link
(`O_NOFOLLOW`), so a directory that is exchanged for a link meanwhile is noticed and not followed. Links are read and
expanded here. The directories walked through form a stack whose bottom is the root; `..` in a link pops it, and
popping the bottom is an attempt to leave.

Where links may lead anywhere there is no bottom, so no stack: `..` is then what the system says it is.
"""

from __future__ import annotations

import errno
import os
import stat

LINKS_MAX = 40
"""As many links as Linux follows in one path (path_resolution(7))."""

PATH_BYTES_MAX = 4095
"""The longest path that Linux takes in one call (PATH_MAX, less the NUL): the walk's bound is the kernel's."""

_O_PATH = getattr(os, "O_PATH", 0)
DIRECTORY_FLAGS = (_O_PATH or os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_beneath(dir_fd: int, path: bytes, flags: int, *, links_max: int = LINKS_MAX) -> int:
    """Open `path` beneath `dir_fd`; the contract is that of `openat2.open_beneath`.

    Args:
        dir_fd: the directory, borrowed.
        path: relative.
        flags: as for open(2).
        links_max: links that are followed; 0 for none.
    """
    if path.startswith(b"/"):
        raise failure(errno.EXDEV)
    if len(path) > PATH_BYTES_MAX:
        raise failure(errno.ENAMETOOLONG)
    stack: list[int] = []
    try:
        return _walk(dir_fd, path, flags, stack, links_max)
    finally:
        for fd in stack:
            os.close(fd)


def _walk(dir_fd: int, path: bytes, flags: int, stack: list[int], links_left: int) -> int:
    """Walk; `stack` collects the descriptors of directories below the root, for the caller to close."""
    pending = components(path)
    while pending:
        name = pending.pop()
        here = stack[-1] if stack else dir_fd
        if name in (b"", b"."):
            continue
        if name == b"..":
            if not stack:
                raise failure(errno.EXDEV)
            os.close(stack.pop())
            continue
        is_link = stat.S_ISLNK(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode)
        if is_link:
            links_left -= 1
            if links_left < 0 or (flags & os.O_NOFOLLOW and not pending):
                raise failure(errno.ELOOP)
            target = os.readlink(name, dir_fd=here)
            if target.startswith(b"/"):
                raise failure(errno.EXDEV)
            pending.extend(components(target))
        elif pending:
            stack.append(os.open(name, DIRECTORY_FLAGS, dir_fd=here))
        else:
            # What was no link a moment ago must not be one now: then this is ELOOP.
            return os.open(name, flags | os.O_NOFOLLOW, dir_fd=here)
    here = stack[-1] if stack else dir_fd
    return os.open(b".", flags, dir_fd=here)


def open_following(dir_fd: int, path: bytes, flags: int) -> int:
    """Open `path` beneath `dir_fd`, following links wherever they lead; the path itself must not lead upwards.

    Where there is O_PATH there may be a /proc, and in it magic links, which jump to what a process holds open and
    show a text that need not be a path at all (proc_pid_fd(5)). Nothing tells them from other links without openat2,
    so every link is expanded here, by its text: it leads to what may be opened by a path, or nowhere. Elsewhere the
    system follows, which needs no right to read the directories on the way.

    Args:
        dir_fd: the directory, borrowed.
        path: relative.
        flags: as for open(2); never to create.

    Returns:
        A new descriptor, the caller's to close.

    Raises:
        OSError: as for open(2); EXDEV for a path that leads upwards.
    """
    check_downward(path)
    if not _O_PATH:
        return os.open(path, flags, dir_fd=dir_fd)
    if len(path) > PATH_BYTES_MAX:
        raise failure(errno.ENAMETOOLONG)
    here = os.open(b".", DIRECTORY_FLAGS, dir_fd=dir_fd)
    links_left = LINKS_MAX
    pending = components(path)
    try:
        while pending:
            name = pending.pop()
            if name in (b"", b"."):
                continue
            if stat.S_ISLNK(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode):
                links_left -= 1
                if links_left < 0 or (flags & os.O_NOFOLLOW and not pending):
                    raise failure(errno.ELOOP)
                target = os.readlink(name, dir_fd=here)
                pending.extend(components(target))
                if not target.startswith(b"/"):
                    continue
                name = b"/"
            elif not pending and name != b"..":
                return os.open(name, flags | os.O_NOFOLLOW, dir_fd=here)
            there = os.open(name, DIRECTORY_FLAGS, dir_fd=here)
            os.close(here)
            here = there
        return os.open(b".", flags, dir_fd=here)
    finally:
        os.close(here)


def check_downward(path: bytes) -> None:
    """Raise EXDEV for a path that names the directory above, or none beneath a directory at all."""
    if path.startswith(b"/") or (b".." in path and b".." in path.split(b"/")):
        raise failure(errno.EXDEV)


def failure(number: int) -> OSError:
    """Return the error that the kernel would raise for the errno `number`."""
    return OSError(number, os.strerror(number))


def components(path: bytes) -> list[bytes]:
    """Return the components of `path`, last first.

    A trailing slash leaves an empty one, so that what stands before it is not the last and must be a directory.
    """
    return path.split(b"/")[::-1]
