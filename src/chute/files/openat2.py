"""openat2(2), which Python does not wrap: open a name so that it cannot leave a directory.

One system call resolves the whole path inside the kernel, links included, and fails when any step of it would leave
the directory: nothing can be exchanged between a check and a use, because there is no check. Linux 5.6 and later.
"""

from __future__ import annotations

import errno
import os
import platform
import struct
from collections.abc import Callable

_SYSCALL_NUMBER = 437
"""The same on every architecture that Linux has given it to, but alpha."""

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08

BENEATH = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS
"""Links are followed while they stay beneath the directory."""

WITHOUT_LINKS = BENEATH | RESOLVE_NO_SYMLINKS
"""No link is followed."""

FOLLOWING = RESOLVE_NO_MAGICLINKS
"""Every link is followed; the name itself must not lead upwards, which the caller has to see to."""

_OPEN_HOW = struct.Struct("=QQQ")
"""struct open_how (openat2(2)): flags, mode, resolve; in the machine's byte order, without padding."""

_pack_how = _OPEN_HOW.pack

SystemCall = Callable[[int, bytes, bytes], int]
"""openat2 as the kernel sees it: directory, path and open_how in; a descriptor or a negative errno out."""


def _bind() -> SystemCall | None:
    """Return the system call, or None where this system or this build of Python has no way to it."""
    if platform.system() != "Linux" or platform.machine() == "alpha":
        return None
    try:
        # Here and not above: a Python that was built without libffi has no ctypes, and one that is linked
        # statically has no dynamic symbols. Both can still walk.
        import ctypes  # noqa: PLC0415

        function = ctypes.CDLL(None, use_errno=True).syscall
    except (ImportError, OSError, AttributeError):
        return None
    function.restype = ctypes.c_long
    # Hot: open and close of a two-component name, 0.7 us of 3.9 us. Without argtypes ctypes passes an int as a C
    # int and bytes as a pointer, which is what the kernel declares for the middle three; the two that are wider
    # are made once. Each call packs an open_how of its own (0.2 us): a shared one would be rewritten by another
    # thread while the kernel reads it, for the lock is released during the call.
    number = ctypes.c_long(_SYSCALL_NUMBER)
    how_bytes = ctypes.c_size_t(_OPEN_HOW.size)
    get_errno = ctypes.get_errno

    def system_call(dir_fd: int, path: bytes, how: bytes) -> int:
        fd: int = function(number, dir_fd, path, how, how_bytes)
        return fd if fd >= 0 else -get_errno()

    return system_call


_system_call = _bind()


def open_beneath(dir_fd: int, path: bytes, flags: int, resolve: int = BENEATH) -> int:
    """Open `path` beneath the directory `dir_fd`, following links only while they stay beneath it.

    Args:
        dir_fd: the directory, borrowed.
        path: relative, not empty, without NUL: C would end it there.
        flags: as for open(2); nothing is ever created. The kernel checks them more strictly than open(2) does.
        resolve: one of the constants above.

    Returns:
        A new descriptor, the caller's to close.

    Raises:
        OSError: what the kernel said; EXDEV when the path leads out of the directory, EAGAIN when something was
            renamed meanwhile and the kernel cannot tell.
    """
    assert _system_call is not None
    how = _pack_how(flags, 0, resolve)
    while True:
        fd = _system_call(dir_fd, path, how)
        if fd >= 0:
            return fd
        # Python runs the signal's handler before the next turn, as it does for its own calls (PEP 475).
        if fd != -errno.EINTR:
            raise OSError(-fd, os.strerror(-fd))


def is_available() -> bool:
    """Whether the running kernel has openat2, and lets us call it (a seccomp filter may not)."""
    if _system_call is None:
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
