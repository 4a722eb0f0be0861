"""What everything here that writes files has in common: hidden names, syncing, and our words for errors of the disk."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from typing import Final

from chute.errors import (
    DescriptorsExhausted,
    FileError,
    FileForbidden,
    FileMissing,
    FileTooLarge,
    InsufficientStorage,
    NameTaken,
    NameUnusable,
)

HIDDEN_PREFIX: Final = b".chute-"
"""How the names begin that files have before they get their own, where they need one."""

O_TMPFILE: Final[int] = getattr(os, "O_TMPFILE", 0)

HAS_NO_UNNAMED: Final = frozenset(
    {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS, errno.EPERM}
)
"""How a file system, or an old kernel, says that it does not know O_TMPFILE. EPERM is what ext4 says in a folder that
has been removed; the other way hears the truth about it."""

HAS_NO_HARD_LINKS: Final = frozenset(
    {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
)
"""How link(2) says that it cannot be had here."""

CANNOT_SYNC: Final = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})
"""How fsync(2) says that there is nothing to sync."""

_OURS: Final[dict[int, type[FileError]]] = {
    number: kind
    for kind, numbers in (
        (InsufficientStorage, (errno.ENOSPC, errno.EDQUOT)),
        (FileTooLarge, (errno.EFBIG,)),
        (FileForbidden, (errno.EACCES, errno.EPERM, errno.EROFS)),
        (DescriptorsExhausted, (errno.EMFILE, errno.ENFILE)),
        (FileMissing, (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)),
        (NameUnusable, (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)),
        # The last two: what had the name became a folder, between the look at it and the step that was to replace it.
        (NameTaken, (errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY)),
    )
    for number in numbers
}


def hidden_name() -> bytes:
    """Return a name that nobody else has."""
    return HIDDEN_PREFIX + secrets.token_hex(8).encode()


def blocking_sync(fd: int) -> None:
    """Have what `fd` leads to on the disk (fsync(2)), where its file system can do that.

    Raises:
        OSError: the disk failed.
    """
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise


def translated(error: OSError, name: bytes) -> Exception:
    """Return our word for what the operating system said of `name`, or `error` itself where we have none."""
    kind = _OURS.get(error.errno or 0)
    return error if kind is None else kind(f"{name!r} cannot be written ({error.strerror})")


@contextlib.contextmanager
def translating(name: bytes) -> Iterator[None]:
    """Raise our word for what the operating system says of `name`, or its own where we have none."""
    try:
        yield
    except OSError as error:
        ours = translated(error, name)
        if ours is error:
            raise
        raise ours from error
