"""openat2(2), which Python does not wrap: open a name so that it cannot leave a directory.

One system call resolves the whole path inside the kernel, links included, and fails when any step of it would leave
the directory: nothing can be exchanged between a check and a use, because there is no check. Linux 5.6 and later.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys

_SYSCALL_NUMBER = 437
"""The same on every architecture that Linux has given it to, but alpha."""

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_BENEATH = 0x08


class _OpenHow(ctypes.Structure):
    """struct open_how (openat2(2))."""

    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


_HOW_BYTES = ctypes.sizeof(_OpenHow)


def _find_syscall() -> ctypes._NamedFuncPointer | None:
    if sys.platform != "linux" or platform.machine() == "alpha":
        return None
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    function.argtypes = (
        ctypes.c_long,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.POINTER(_OpenHow),
        ctypes.c_size_t,
    )
    return function


_syscall = _find_syscall()


def open_beneath(dir_fd: int, path: bytes, flags: int) -> int:
    """Open `path` beneath the directory `dir_fd`, following links only while they stay beneath it.

    Args:
        dir_fd: the directory, borrowed.
        path: relative, not empty, without NUL: C would end it there.
        flags: as for open(2); nothing is ever created.

    Returns:
        A new descriptor, the caller's to close.

    Raises:
        OSError: what the kernel said; EXDEV when the path leads out of the directory, EAGAIN when something was
            renamed meanwhile and the kernel cannot tell.
    """
    assert _syscall is not None
    how = _OpenHow(flags, 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
    while True:
        fd: int = _syscall(_SYSCALL_NUMBER, dir_fd, path, how, _HOW_BYTES)
        if fd >= 0:
            return fd
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))


def is_available() -> bool:
    """Whether the running kernel has openat2, and lets us call it (a seccomp filter may not)."""
    if _syscall is None:
        return False
    try:
        fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.close(open_beneath(fd, b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
