"""One step of the portable path."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from carrying import AGAIN, PlayedSocket, failing, opened
from chute.transfer import copying
from chute.transfer.progress import WOULD_BLOCK
from chute.transfer.sending import MSG_MORE
from chute.transfer.source import SharedFile


@pytest.fixture
def file(tmp_path: Path) -> SharedFile:
    return opened(tmp_path / "content", b"0123456789")


def test_step_copies_the_named_bytes_with_the_given_flags(file: SharedFile):
    played = PlayedSocket()
    assert copying.send_step(played.send, file.fd, 3, 4, MSG_MORE) == 4
    assert played.accepted == b"3456"
    assert played.calls == [("send", MSG_MORE, 4, 4)]


def test_step_neither_uses_nor_moves_the_file_position(file: SharedFile):
    os.lseek(file.fd, 7, os.SEEK_SET)
    played = PlayedSocket()
    copying.send_step(played.send, file.fd, 0, 3, 0)
    assert played.accepted == b"012"
    assert os.lseek(file.fd, 0, os.SEEK_CUR) == 7


def test_step_stops_at_the_end_of_the_file(file: SharedFile):
    assert copying.send_step(PlayedSocket().send, file.fd, 8, 100, 0) == 2


def test_step_past_the_end_does_not_touch_the_socket(file: SharedFile):
    played = PlayedSocket()
    assert copying.send_step(played.send, file.fd, 10, 5, 0) == 0
    assert played.calls == []


def test_step_reads_a_bounded_piece(file: SharedFile, monkeypatch: pytest.MonkeyPatch):
    asked = []
    monkeypatch.setattr(os, "pread", lambda *arguments: asked.append(arguments) or b"x")
    copying.send_step(PlayedSocket().send, file.fd, 1 << 33, 1 << 40, 0)
    assert asked == [(file.fd, copying.READ_BYTES, 1 << 33)]


def test_step_reports_what_the_socket_took(file: SharedFile):
    assert copying.send_step(PlayedSocket([3]).send, file.fd, 0, 10, 0) == 3


def test_step_turns_eagain_into_a_value(file: SharedFile):
    assert copying.send_step(PlayedSocket([AGAIN]).send, file.fd, 0, 10, 0) == WOULD_BLOCK


def test_step_raises_errors_of_the_socket(file: SharedFile):
    with pytest.raises(BrokenPipeError):
        copying.send_step(PlayedSocket([failing(errno.EPIPE)]).send, file.fd, 0, 10, 0)


def test_step_raises_errors_of_the_file(file: SharedFile, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: int) -> bytes:
        raise failing(errno.EIO)

    monkeypatch.setattr(os, "pread", broken)
    played = PlayedSocket()
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        copying.send_step(played.send, file.fd, 0, 10, 0)
    assert played.calls == []
