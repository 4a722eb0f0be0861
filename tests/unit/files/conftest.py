"""A folder with a cache of open files over it, and the assertion that nothing stays open behind a test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chute.clock import Clock
from chute.files.open_files import OpenFiles
from chute.files.resolve import Root
from disk import LARGE, SMALL, Disk, write
from trees import descriptors


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A folder, and the assertion that nothing opened in a test outlives what the test keeps."""
    before = descriptors()
    with Root(os.fsencode(tmp_path)) as root:
        disk = Disk(tmp_path, root, Clock())
        write(tmp_path / "small", SMALL)
        write(tmp_path / "large", LARGE)
        write(tmp_path / "other", LARGE)
        yield disk
    assert descriptors() == before


@pytest.fixture
def files(disk: Disk) -> Iterator[OpenFiles]:
    files = disk.files()
    yield files
    files.clear()
