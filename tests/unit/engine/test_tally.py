"""Counters of how answers were carried."""

from __future__ import annotations

import pytest

from chute.engine.tally import Tally, readable_bytes


def test_every_method_is_counted_apart():
    tally = Tally()
    for carried, sent in (
        (b"buffer", 100),
        (b"sendfile", 3 << 20),
        (b"copy:nfs", 5),
        (b"copy:nfs", 6),
    ):
        tally.note(carried, sent)
    assert {method: (each.answers, each.bytes) for method, each in tally.by_method.items()} == {
        b"buffer": (1, 100),
        b"sendfile": (1, 3 << 20),
        b"copy:nfs": (2, 11),
    }
    assert tally.answers == 4


def test_methods_that_were_not_used_are_not_named():
    tally = Tally()
    assert str(tally) == "none"
    tally.note(b"sendfile", 3 << 20)
    assert str(tally) == "1 by sendfile (3.0 MiB)"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (5 << 30, "5.0 GiB"),
        (1 << 60, "1048576.0 TiB"),
    ],
)
def test_amounts_are_readable(count: int, text: str):
    assert readable_bytes(count) == text
