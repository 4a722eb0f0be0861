"""A cache of open files over a real folder whose failures and whose clock a test decides about."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from chute.clock import Clock
from chute.files.open_files import Entry, OpenFile, OpenFiles
from chute.files.resolve import Root
from chute.transfer.method import Devices
from chute.transfer.source import CLOSED

IN_MEMORY_MAX = 100
SMALL, LARGE = b"s" * IN_MEMORY_MAX, b"l" * (IN_MEMORY_MAX + 1)
LONG_AGO_NS = 1_600_000_000_123_456_789


def write(path: Path, content: bytes, *, modified_ns: int = LONG_AGO_NS) -> None:
    """Write a file that is too old to be taken for racy."""
    path.write_bytes(content)
    os.utime(path, ns=(modified_ns, modified_ns))


@dataclass
class Disk:
    """A cache over a real folder, the clock that it goes by, and the names that it opened."""

    folder: Path
    root: Root
    clock: Clock
    opened: list[bytes] = field(default_factory=list)
    fails_with: list[Exception] = field(default_factory=list)
    """What the next attempts to open a name run into, in their order."""

    def files(self, *, valid_s: float = 1.0, entries_max: int = 100) -> OpenFiles:
        return OpenFiles(
            self,  # type: ignore[arg-type]
            self.clock,
            Devices(),
            valid_s=valid_s,
            entries_max=entries_max,
            content_bytes_max=IN_MEMORY_MAX,
        )

    def open(self, name: bytes) -> int:
        self.opened.append(name)
        if self.fails_with:
            raise self.fails_with.pop(0)
        return self.root.open(name)

    def follow(self) -> bool:
        return self.root.follow()

    def pass_time(self, seconds: float = 1.0) -> None:
        self.clock.now_s += seconds


def open_file(entry: Entry) -> OpenFile:
    assert isinstance(entry.found, OpenFile), entry.found
    return entry.found


def content_of(file: OpenFile) -> bytes:
    return os.pread(file.fd, 1 << 20, 0) if file.content is None else file.content


def is_open(file: OpenFile) -> bool:
    if file.fd == CLOSED:
        return False
    os.fstat(file.fd)
    return True
