"""One step of sendfile(2), and head and span in two calls."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from carrying import AGAIN, SOCKET_FD, PlayedSocket, failing, opened
from chute.transfer import sendfile
from chute.transfer.progress import WOULD_BLOCK
from chute.transfer.sending import MSG_MORE
from chute.transfer.source import SharedFile

CONTENT = b"0123456789"
HEAD = b"head:"

Plug = Callable[..., PlayedSocket]
"""The `plug` fixture: a script in, the socket that plays it out."""


@pytest.fixture
def file(tmp_path: Path) -> SharedFile:
    return opened(tmp_path / "content", CONTENT)


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Plug:
    def plug_in(*script: int | OSError) -> PlayedSocket:
        played = PlayedSocket(script)
        monkeypatch.setattr(os, "sendfile", played.sendfile)
        return played

    return plug_in


def test_step_moves_the_named_bytes(plug: Plug, file: SharedFile):
    played = plug()
    assert sendfile.send_step(SOCKET_FD, file.fd, 3, 4) == 4
    assert played.accepted == b"3456"


def test_step_reports_a_short_count(plug: Plug, file: SharedFile):
    plug(2)
    assert sendfile.send_step(SOCKET_FD, file.fd, 0, 10) == 2


def test_step_past_the_end_moves_nothing(plug: Plug, file: SharedFile):
    plug()
    assert sendfile.send_step(SOCKET_FD, file.fd, 10, 5) == 0


def test_step_turns_eagain_into_a_value(plug: Plug, file: SharedFile):
    plug(AGAIN)
    assert sendfile.send_step(SOCKET_FD, file.fd, 0, 10) == WOULD_BLOCK


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EIO, errno.EPIPE])
def test_step_raises_every_other_error(plug: Plug, file: SharedFile, number: int):
    plug(failing(number))
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        sendfile.send_step(SOCKET_FD, file.fd, 0, 10)
    assert caught.value.errno == number


def test_step_asks_for_no_more_than_one_call_can_move(monkeypatch: pytest.MonkeyPatch):
    asked = []
    monkeypatch.setattr(os, "sendfile", lambda *arguments: asked.append(arguments) or 1)
    sendfile.send_step(SOCKET_FD, 5, 1 << 33, 1 << 40)
    assert asked == [(SOCKET_FD, 5, 1 << 33, 0x7FFFF000)]


def test_head_and_span_leave_in_two_calls(plug: Plug, file: SharedFile):
    played = plug()
    sent = sendfile.send_with_head(SOCKET_FD, played.send, HEAD, file.fd, 2, 6)
    assert sent == len(HEAD) + 6
    assert played.accepted == HEAD + b"234567"
    assert played.calls == [("send", MSG_MORE, 5, 5), ("sendfile", None, 6, 6)]


def test_span_waits_until_the_whole_head_is_accepted(plug: Plug, file: SharedFile):
    played = plug(3)
    assert sendfile.send_with_head(SOCKET_FD, played.send, HEAD, file.fd, 0, 10) == 3
    assert played.named("sendfile") == []


HALF_WAY = {
    "nothing taken": ([AGAIN], 0),
    "peer gone before the head": ([failing(errno.ECONNRESET)], 0),
    "no room after the head": ([5, AGAIN], 5),
    "file system that cannot": ([5, failing(errno.EINVAL)], 5),
    "peer gone after the head": ([5, failing(errno.EPIPE)], 5),
    "short span": ([5, 4], 9),
    "file that ended": ([5, 0], 5),
}


@pytest.mark.parametrize(("script", "sent"), HALF_WAY.values(), ids=HALF_WAY.keys())
def test_head_and_span_count_what_was_accepted_and_decide_nothing(
    plug: Plug, file: SharedFile, script: list[int | OSError], sent: int
):
    played = plug(*script)
    assert sendfile.send_with_head(SOCKET_FD, played.send, HEAD, file.fd, 0, 10) == sent
    assert (HEAD + CONTENT)[:sent] == played.accepted
