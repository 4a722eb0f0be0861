"""A folder with unfinished uploads, and what a test does to them."""

from __future__ import annotations

import os
from pathlib import Path

from chute.files.arriving import only_new
from chute.files.ledger import Ledger
from chute.files.partial import PartialFile, PartialFiles, Record
from chute.files.resolve import Root

IDLE_S_MAX = 1000


class Place:
    """A folder with unfinished uploads, and what the test does to them."""

    def __init__(self, folder: Path, root: Root) -> None:
        self.folder = folder
        self.root = root
        self.ledgers: list[Ledger] = []
        self.use()

    def use(self, *, quota_bytes: int | None = None, unfinished_max: int = 10) -> None:
        """Start again, as the server does."""
        self.ledgers.append(Ledger(quota_bytes=quota_bytes))
        self.files = PartialFiles(
            self.root, self.ledgers[-1], idle_s_max=IDLE_S_MAX, unfinished_max=unfinished_max
        )

    def begin(self, name: bytes = b"new", length: int = 7, *blocks: bytes) -> PartialFile:
        file = self.files.blocking_begin(b"", Record(name, length, "note"), only_new)
        for block in blocks:
            file.blocking_write(block)
        return file

    def paused(self, name: bytes = b"new", length: int = 7, *blocks: bytes) -> bytes:
        file = self.begin(name, length, *blocks)
        file.blocking_pause()
        return file.id

    def resume(self, upload_id: bytes) -> PartialFile:
        return self.files.blocking_resume(b"", upload_id)

    def offset(self, upload_id: bytes) -> int:
        return self.files.blocking_look(b"", upload_id)[1].st_size

    def age(self, upload_id: bytes) -> None:
        for path in self.folder.glob(f".chute-upload-{upload_id.decode()}*"):
            os.utime(path, (0, path.stat().st_mtime - IDLE_S_MAX - 1))

    def used(self) -> int:
        """What is on the account, which must be what is on the disk."""
        self.ledgers[-1].blocking_reserve(0, self.root)
        used = int.from_bytes(os.pread(self.ledgers[-1]._fd, 8, 0), "little")
        on_disk = sum(path.stat().st_size for path in self.folder.iterdir())
        assert used == on_disk, "the account is wrong"
        return used

    def names(self) -> list[str]:
        return sorted(os.listdir(self.folder))

    def data(self, upload_id: bytes) -> Path:
        return self.folder / f".chute-upload-{upload_id.decode()}"

    def record(self, upload_id: bytes) -> Path:
        return self.folder / f".chute-upload-{upload_id.decode()}.json"
