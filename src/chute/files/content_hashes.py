"""SHA-256 hashes of files, computed once and off the loop.

They are the validators of files whose dates say nothing, and what Repr-Digest tells (RFC 9530). A hash is kept for as
long as the file's identity is that of the bytes that were read: device, inode, size and both times.
"""

from __future__ import annotations

import hashlib
import os

from chute.files.open_files import Identity, OpenFile, identity_of
from chute.transfer.source import CLOSED

HASHES_MAX = 8192
"""Hashes kept, some 250 bytes each."""

READ_BYTES = 1024 * 1024


class ContentHashes:
    """A bounded memory of hashes; asked in the loop's thread, filled by others."""

    def __init__(self) -> None:
        self._known: dict[Identity, bytes] = {}

    def find(self, file: OpenFile) -> bytes | None:
        """Return the hash of `file`, if it has been computed."""
        return self._known.get(file.identity)

    def remember(self, file: OpenFile, sha_256: bytes) -> None:
        """Keep what `blocking_hash` has returned; in the loop's thread."""
        while len(self._known) >= HASHES_MAX:
            del self._known[next(iter(self._known))]
        self._known[file.identity] = sha_256


def blocking_hash(file: OpenFile) -> bytes | None:
    """Return the SHA-256 hash of `file`, which the caller holds; in a thread.

    Returns:
        None when the file changed meanwhile, so that the hash would be that of nothing that ever was.

    Raises:
        OSError: the file cannot be read.
    """
    if file.content is not None:
        return hashlib.sha256(file.content).digest()
    digest = hashlib.sha256()
    fd = file.fd
    if fd == CLOSED:
        return None
    offset = 0
    while block := os.pread(fd, READ_BYTES, offset):
        digest.update(block)
        offset += len(block)
    return digest.digest() if identity_of(os.fstat(fd)) == file.identity else None
