"""Progress as a value."""

from __future__ import annotations

from chute.transfer.progress import WOULD_BLOCK, Progress


def test_would_block_is_no_count_of_bytes():
    assert WOULD_BLOCK < 0


def test_progress_says_what_to_wait_for():
    assert {progress.name for progress in Progress} == {"DONE", "BLOCKED", "YIELDED", "COLD"}
