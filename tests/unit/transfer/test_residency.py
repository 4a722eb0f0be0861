"""Asking what is in memory: the answers of a real page cache, and those of a played one."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carrying import failing
from chute.transfer import residency
from chute.transfer.residency import can_probe, is_resident, read_resident

pytestmark = pytest.mark.skipif(
    not residency.IS_AVAILABLE, reason="nobody can ask what is in memory"
)

CONTENT = bytes(range(256)) * 64
PAGE_BYTES = 4096

Call = tuple[int, int, int]
"""What a played preadv was asked for: bytes, offset, flags."""


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Call]]:
    """Play preadv: each call meets the next of the given answers; returns the list of what was asked."""

    def play(*answers: int | OSError) -> list[Call]:
        calls: list[Call] = []
        left = iter(answers)

        def preadv(fd: int, buffers: list[bytearray], offset: int, flags: int = 0) -> int:
            calls.append((sum(map(len, buffers)), offset, flags))
            answer = next(left)
            if isinstance(answer, OSError):
                raise answer
            return answer

        monkeypatch.setattr(os, "preadv", preadv)
        return calls

    return play


AGAIN = failing(errno.EAGAIN)


def test_question_is_one_byte_at_either_end_and_never_waits(asked: Callable[..., list[Call]]):
    calls = asked(1, 1)
    assert is_resident(5, 1000, 300)
    assert calls == [(1, 1000, os.RWF_NOWAIT), (1, 1299, os.RWF_NOWAIT)]


def test_chunk_whose_first_byte_is_not_there_is_not_asked_for_its_last(
    asked: Callable[..., list[Call]],
):
    calls = asked(AGAIN)
    assert not is_resident(5, 1000, 300)
    assert len(calls) == 1


def test_chunk_whose_last_byte_is_not_there_is_not_resident(asked: Callable[..., list[Call]]):
    asked(1, AGAIN)
    assert not is_resident(5, 1000, 300)


@pytest.mark.parametrize("answers", [(0,), (1, 0)], ids=["first end", "last end"])
def test_nothing_is_no_proof_that_the_file_has_ended(
    asked: Callable[..., list[Call]], answers: tuple[int, ...]
):
    """On Linux 5.9 and 5.10 it is an answer to RWF_NOWAIT in the middle of a file too (preadv2(2), BUGS)."""
    asked(*answers, 0)
    assert not is_resident(5, 1000, 300)


def test_one_byte_is_asked_for_once(asked: Callable[..., list[Call]]):
    calls = asked(1)
    assert is_resident(5, 1000, 1)
    assert len(calls) == 1


@pytest.mark.parametrize("before", [(), (1,)], ids=["first end", "last end"])
def test_file_system_that_fails_is_left_to_whoever_sends(
    asked: Callable[..., list[Call]], before: tuple[int, ...]
):
    asked(*before, failing(errno.EIO))
    assert is_resident(5, 1000, 300)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (1, True),
        (0, True),
        (AGAIN, True),
        (failing(errno.EOPNOTSUPP), False),
        (failing(errno.ENOSYS), False),
        (failing(errno.EINVAL), False),
        (failing(errno.EIO), None),
        (failing(errno.EBADF), None),
    ],
    ids=["byte", "empty file", "EAGAIN", "EOPNOTSUPP", "ENOSYS", "EINVAL", "EIO", "EBADF"],
)
def test_file_system_can_be_asked_if_it_answers_and_only_it_can_refuse(
    asked: Callable[..., list[Call]], answer: int | OSError, expected: bool | None
):
    calls = asked(answer)
    assert can_probe(5) is expected
    assert calls == [(1, 0, os.RWF_NOWAIT)]


def test_system_without_the_call_cannot_be_asked(monkeypatch: pytest.MonkeyPatch, fd: int):
    monkeypatch.setattr(residency, "IS_AVAILABLE", False)
    assert not can_probe(fd)


def test_read_that_may_not_wait_says_so_and_is_bounded(asked: Callable[..., list[Call]]):
    calls = asked(30)
    assert read_resident(5, bytearray(100), 40, 1000) == 30
    assert calls == [(40, 1000, os.RWF_NOWAIT)]


def test_read_of_what_is_not_there_is_none(asked: Callable[..., list[Call]]):
    asked(AGAIN)
    assert read_resident(5, bytearray(100), 40, 1000) is None


def test_read_past_the_end_of_the_file_is_nothing(asked: Callable[..., list[Call]]):
    asked(0)
    assert read_resident(5, bytearray(100), 40, 1000) == 0


def test_read_raises_errors_of_the_file(asked: Callable[..., list[Call]]):
    asked(failing(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        read_resident(5, bytearray(100), 40, 1000)


# ---------------------------------------------------------------------- a real page cache


@pytest.fixture
def probed(fd: int) -> int:
    if not can_probe(fd):
        pytest.skip("this file system cannot be asked what is in memory")
    return fd


def test_what_was_just_read_is_resident(probed: int):
    assert os.pread(probed, len(CONTENT), 0) == CONTENT
    assert is_resident(probed, 0, len(CONTENT))
    room = bytearray(len(CONTENT))
    assert read_resident(probed, room, len(CONTENT), 0) == len(CONTENT)
    assert room == CONTENT


def test_read_stays_within_its_count_and_leaves_the_rest_of_the_room_alone(probed: int):
    os.pread(probed, len(CONTENT), 0)
    room = bytearray(b"." * 10)
    assert read_resident(probed, room, 4, 256) == 4
    assert room == b"\x00\x01\x02\x03......"


def test_what_lies_beyond_the_end_is_not_there(probed: int):
    os.pread(probed, len(CONTENT), 0)
    assert not is_resident(probed, len(CONTENT), 1)
    assert not is_resident(probed, len(CONTENT) - 1, 2)
    assert read_resident(probed, bytearray(5), 5, len(CONTENT)) == 0


def test_empty_file_can_be_asked(tmp_path: Path, probed: int):
    (tmp_path / "empty").touch()
    empty = os.open(tmp_path / "empty", os.O_RDONLY)
    try:
        assert can_probe(empty)
    finally:
        os.close(empty)


def test_evicted_content_is_not_resident_until_it_was_read(probed: int):
    os.fsync(probed)
    os.posix_fadvise(probed, 0, 0, os.POSIX_FADV_DONTNEED)
    if is_resident(probed, 0, PAGE_BYTES):
        pytest.skip("this kernel did not drop the pages")
    assert read_resident(probed, bytearray(10), 10, 0) is None
    assert can_probe(probed)
    os.pread(probed, len(CONTENT), 0)
    assert is_resident(probed, 0, len(CONTENT))
