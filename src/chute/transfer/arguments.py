"""What a program asks to be sent, checked before the first byte: the file's side of the public functions.

A file is named by its path, by a descriptor, or by a file object. Whichever it was, from here on it is a descriptor
of our own: the caller may close theirs while a thread still reads, and its position is neither used nor moved.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import stat
from typing import NamedTuple, Protocol

from chute.errors import FileShrank, MisuseError, NotSendable
from chute.transfer.method import Devices
from chute.transfer.source import FileSpan, Piece, SharedFile
from chute.transfer.unsized import blocking_read_all, size_may_lie

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
"""Opening must not wait for the other end of a FIFO, nor make a terminal ours."""


TIMEOUT_S_MAX = 2_000_000.0
"""Three weeks: what poll(2) can count in milliseconds."""

_DIRECT: int = getattr(os, "O_DIRECT", 0)


class HasDescriptor(Protocol):
    """A file object with a file behind it."""

    def fileno(self) -> int:
        """Return the descriptor."""


Sendable = int | str | bytes | os.PathLike[str] | os.PathLike[bytes] | HasDescriptor
"""A descriptor, a path, or an open file."""


class Carried(NamedTuple):
    """What became of a transfer.

    Attributes:
        sent: bytes that the kernel has accepted: all that were asked for.
        how: `sendfile`; `copy:<reason>`, for example `copy:tls` or `copy:nfs`; or `buffer` for a file that had to be
            read before its size was known, and for nothing at all.
    """

    sent: int
    how: str


class Opened(NamedTuple):
    """A file that is ready to be sent; whoever opened it releases `file`.

    Attributes:
        file: the one reference to a descriptor of our own.
        piece: what is to be sent of it.
    """

    file: SharedFile
    piece: Piece


def checked_timeout(timeout: float | None) -> float | None:
    """Return the seconds to wait at most, or None for ever.

    Raises:
        MisuseError: it is no number above 0.
    """
    if timeout is None or timeout == math.inf:
        return None
    if not timeout > 0:
        raise MisuseError(f"the timeout must be a number above 0, or None, and not {timeout!r}")
    return min(timeout, TIMEOUT_S_MAX)


def blocking_open(file: Sendable, offset: int, count: int | None, devices: Devices) -> Opened:
    """Open what is to be sent; may wait for the disk, as open(2) and fstat(2) do.

    Args:
        file: a path, which is opened; or a descriptor or file object, which is duplicated.
        offset: the first byte to send.
        count: how many bytes; None for all from `offset` to the end that the file has now.
        devices: what is known of the devices that files lie on.

    Raises:
        MisuseError: a number is negative.
        NotSendable: it is no regular file, or has no descriptor.
        FileShrank: the file has fewer bytes than `offset` and `count` ask for.
        OSError: the path cannot be opened, or the descriptor is closed.
    """
    opened = _open(file, offset, count, devices, may_wait=True)
    assert opened is not None, "whoever may wait gets an answer"
    return opened


def open_at_once(
    file: int | HasDescriptor, offset: int, count: int | None, devices: Devices
) -> Opened | None:
    """Like `blocking_open`, for what is open already; None if its content would have to be read to know its size."""
    return _open(file, offset, count, devices, may_wait=False)


def _open(
    file: Sendable, offset: int, count: int | None, devices: Devices, *, may_wait: bool
) -> Opened | None:
    if offset < 0 or (count is not None and count < 0):
        raise MisuseError(f"offset {offset} and count {count} must not be negative")
    shared = SharedFile(_own_descriptor(file))
    opened = None
    try:
        status = os.fstat(shared.fd)
        if may_wait or not size_may_lie(status):
            piece = _piece_of(shared, file, status, offset, count)
            shared.device = devices.of(shared.fd, status)
            opened = Opened(shared, piece)
    finally:
        if opened is None:
            shared.release()
    return opened


def _piece_of(
    shared: SharedFile, file: Sendable, status: os.stat_result, offset: int, count: int | None
) -> Piece:
    if not stat.S_ISREG(status.st_mode):
        raise NotSendable(f"{file!r} is no regular file")
    try:
        content = blocking_read_all(shared.fd) if size_may_lie(status) else None
    except BlockingIOError as error:
        raise NotSendable(
            f"{file!r} has nothing to be read now, and does not say how much"
        ) from error
    size = status.st_size if content is None else len(content)
    available = max(0, size - offset)
    if count is None:
        count = available
    if count > available:
        raise FileShrank(sent=0, expected=count)
    return FileSpan(shared, offset, count) if content is None else content[offset : offset + count]


def _own_descriptor(file: Sendable) -> int:
    if isinstance(file, int):
        return _duplicate(file)
    if isinstance(file, str | bytes | os.PathLike):
        return _open_path(file)
    try:
        fd = file.fileno()
    except (AttributeError, OSError, ValueError) as error:
        raise NotSendable(
            f"{file!r} has no descriptor behind it ({error}); send bytes in memory with socket.sendall"
        ) from error
    return _duplicate(fd)


def _open_path(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> int:
    """Open `path` without waiting for a FIFO, but for a lease on a file, which its holder is made to give up."""
    try:
        return os.open(path, _FLAGS)
    except BlockingIOError:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise
        return os.open(path, _FLAGS & ~os.O_NONBLOCK)


def _duplicate(fd: int) -> int:
    """Return a descriptor of our own of what `fd` is open on.

    One with O_DIRECT reads whole blocks only, whoever asks; there the file is opened anew, without it.
    """
    try:
        own_fd = os.dup(fd)
    except OverflowError as error:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from error
    if not fcntl.fcntl(own_fd, fcntl.F_GETFL) & _DIRECT:
        return own_fd
    try:
        return os.open(f"/proc/self/fd/{own_fd}", _FLAGS)
    finally:
        os.close(own_fd)
