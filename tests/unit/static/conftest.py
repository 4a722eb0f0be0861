"""Uploads to a real folder, with and without unnamed files, and the assertion that nothing stays behind a test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from arrivals import refuse_unnamed
from chute.files.ledger import Ledger
from chute.files.resolve import Root
from chute.static.uploads import Uploads
from trees import descriptors
from uploading import Start


@pytest.fixture
def upload_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "sub").mkdir(parents=True)
    (folder / "old").write_bytes(b"old")
    return folder


@pytest.fixture(params=["unnamed", "hidden"])
def start_uploads(
    upload_folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Start]:
    """Start uploads; when the test is over, no descriptor is left, and no hidden name."""
    if request.param == "hidden":
        refuse_unnamed(monkeypatch)
    before = descriptors()
    ledgers: list[Ledger] = []
    with Root(os.fsencode(upload_folder)) as root:

        def start(
            *, quota_bytes: int | None = None, content_bytes_max: int = 10_000, **options: bool
        ) -> Uploads:
            ledgers.append(Ledger(quota_bytes=quota_bytes))
            return Uploads(root, ledgers[-1], content_bytes_max=content_bytes_max, **options)

        yield start
    for ledger in ledgers:
        ledger.close()
    assert descriptors() == before
    left = [path.name for path in upload_folder.rglob("*") if path.name.startswith(".chute-")]
    assert left == []
