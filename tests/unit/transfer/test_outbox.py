"""The queue in front of a socket: order, turns, flags, references."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carrying import AGAIN, SOCKET_FD, PlayedSocket, carry, failing, opened
from chute.errors import FileShrank, PeerGone, TransferError
from chute.transfer.outbox import Outbox
from chute.transfer.progress import Progress
from chute.transfer.sending import MSG_MORE, PEER_ERRORS
from chute.transfer.source import CLOSED, FileSpan, SharedFile

CONTENT = bytes(range(256)) * 4
AMPLE = 1 << 20

Plug = Callable[..., PlayedSocket]
"""The `plug` fixture: a script in, the socket that plays it out."""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SharedFile]:
    """A file held by the test alone; every test ends with nobody else holding it."""
    shared = opened(tmp_path / "content", CONTENT)
    yield shared
    assert shared.fd != CLOSED
    shared.release()
    assert shared.fd == CLOSED, "somebody still holds the file"


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Plug:
    def plug_in(*script: int | OSError, otherwise: int | OSError = AMPLE) -> PlayedSocket:
        played = PlayedSocket(script, otherwise)
        monkeypatch.setattr(os, "sendfile", played.sendfile)
        return played

    return plug_in


def outbox_for(played: PlayedSocket, *pieces: bytes | FileSpan, **settings: object) -> Outbox:
    return Outbox(SOCKET_FD, played.send, pieces, **settings)


def test_nothing_to_send_is_done(plug: Plug):
    played = plug()
    assert outbox_for(played).flush(AMPLE) is Progress.DONE
    assert played.calls == []


def test_pieces_leave_in_order(plug: Plug, file: SharedFile):
    played = plug()
    outbox = outbox_for(
        played, b"head", FileSpan(file, 10, 20), b"middle", FileSpan(file, 0, 5), b"end"
    )
    assert outbox.flush(AMPLE) is Progress.DONE
    assert played.accepted == b"head" + CONTENT[10:30] + b"middle" + CONTENT[:5] + b"end"
    assert outbox.sent == len(played.accepted)


def test_memory_says_more_only_while_something_follows(plug: Plug, file: SharedFile):
    played = plug()
    outbox_for(played, b"head", FileSpan(file, 0, 5), b"end").flush(AMPLE)
    assert [flags for _, flags, _, _ in played.named("send")] == [MSG_MORE, 0]


def test_copied_span_says_more_only_while_something_follows(plug: Plug, file: SharedFile):
    played = plug()
    outbox_for(played, FileSpan(file, 0, 5), FileSpan(file, 5, 5), copy_reason=b"off").flush(AMPLE)
    assert played.calls == [("send", MSG_MORE, 5, 5), ("send", 0, 5, 5)]


def test_blocked_memory_goes_on_where_it_stopped(plug: Plug):
    played = plug(AGAIN, 3, AGAIN)
    outbox = outbox_for(played, b"abcdefgh")
    assert outbox.flush(AMPLE) is Progress.BLOCKED
    assert outbox.flush(AMPLE) is Progress.BLOCKED
    assert outbox.sent == 3
    assert outbox.flush(AMPLE) is Progress.BLOCKED
    assert outbox.flush(AMPLE) is Progress.DONE
    assert played.accepted == b"abcdefgh"


def test_short_send_is_a_full_buffer_without_asking_again(plug: Plug):
    played = plug(3)
    assert outbox_for(played, b"abcdefgh").flush(AMPLE) is Progress.BLOCKED
    assert len(played.calls) == 1


def test_short_sendfile_is_not_a_full_buffer(plug: Plug, file: SharedFile):
    """Pages that were not in memory can end a call early; only EAGAIN promises an event."""
    played = plug(3, 4, AGAIN)
    outbox = outbox_for(played, FileSpan(file, 0, 10))
    assert outbox.flush(AMPLE) is Progress.BLOCKED
    assert outbox.sent == 7
    assert len(played.calls) == 3
    assert outbox.flush(AMPLE) is Progress.DONE
    assert played.accepted == CONTENT[:10]


def test_short_send_of_the_head_keeps_the_file_back(plug: Plug, file: SharedFile):
    played = plug(2)
    outbox = outbox_for(played, b"head", FileSpan(file, 0, 10))
    assert outbox.flush(AMPLE) is Progress.BLOCKED
    assert played.named("sendfile") == []
    carry(outbox)
    assert played.accepted == b"head" + CONTENT[:10]


@pytest.mark.parametrize("copy_reason", [None, b"off"], ids=["sendfile", "copying"])
def test_turn_ends_with_its_budget(plug: Plug, file: SharedFile, copy_reason: bytes | None):
    played = plug()
    outbox = outbox_for(played, b"0123456", FileSpan(file, 0, 10), copy_reason=copy_reason)
    sent = []
    while outbox.flush(4) is Progress.YIELDED:
        sent.append(outbox.sent)
    assert sent == [4, 8, 12, 16]
    assert played.accepted == b"0123456" + CONTENT[:10]


def test_turn_that_used_its_budget_exactly_at_the_end_is_done(plug: Plug):
    outbox = outbox_for(plug(), b"01234567")
    assert outbox.flush(8) is Progress.DONE


def test_turn_without_a_budget_moves_nothing(plug: Plug):
    played = plug()
    assert outbox_for(played, b"x").flush(0) is Progress.YIELDED
    assert played.calls == []


def test_empty_pieces_are_passed_over(plug: Plug, file: SharedFile):
    played = plug()
    outbox = outbox_for(played, b"a", FileSpan(file, 5, 0), b"", b"b", FileSpan(file, 5, 0))
    assert outbox.flush(AMPLE) is Progress.DONE
    assert played.accepted == b"ab"
    assert played.named("sendfile") == []


@pytest.mark.parametrize("empty", ["memory", "span"])
def test_empty_last_piece_does_not_hold_back_the_one_before_it(
    plug: Plug, file: SharedFile, empty: str
):
    """Nothing would come to lift its MSG_MORE, and the kernel waits 200 ms for it."""
    played = plug()
    last = b"" if empty == "memory" else FileSpan(file, 5, 0)
    outbox_for(played, b"all there is", last).flush(AMPLE)
    assert played.calls == [("send", 0, 12, 12)]


def test_file_of_an_empty_span_is_not_held(plug: Plug, file: SharedFile):
    assert outbox_for(plug(), b"a", FileSpan(file, 5, 0)).held_files() == []


ALREADY = {
    "nothing": 0,
    "part of the head": 2,
    "the head": 4,
    "part of the file": 9,
    "head and file": 14,
    "part of the end": 15,
    "everything": 17,
}


@pytest.mark.parametrize("already_sent", ALREADY.values(), ids=ALREADY.keys())
def test_what_has_left_before_does_not_leave_again(plug: Plug, file: SharedFile, already_sent: int):
    played = plug()
    outbox = outbox_for(played, b"head", FileSpan(file, 3, 10), b"end", already_sent=already_sent)
    assert outbox.sent == already_sent
    assert outbox.flush(AMPLE) is Progress.DONE
    assert played.accepted == (b"head" + CONTENT[3:13] + b"end")[already_sent:]
    assert outbox.sent == 17


def test_file_of_a_piece_that_has_left_before_is_given_back_at_once(plug: Plug, file: SharedFile):
    outbox = outbox_for(plug(), FileSpan(file, 0, 4), b"rest", already_sent=4)
    assert outbox.held_files() == []


def test_files_are_given_back_piece_by_piece(plug: Plug, file: SharedFile):
    played = plug(AMPLE, AGAIN)
    outbox = outbox_for(played, FileSpan(file, 0, 4), FileSpan(file, 4, 4))
    assert outbox.held_files() == [file, file]
    outbox.flush(AMPLE)
    assert outbox.held_files() == [file]
    outbox.flush(AMPLE)
    assert outbox.held_files() == []


def test_file_stays_open_for_the_transfer_when_its_owner_lets_go(plug: Plug, tmp_path: Path):
    shared = opened(tmp_path / "other", b"content")
    outbox = outbox_for(plug(), FileSpan(shared, 0, 7))
    shared.release()
    assert shared.fd != CLOSED
    assert outbox.flush(AMPLE) is Progress.DONE
    assert shared.fd == CLOSED


def test_abandon_gives_back_every_file_once(plug: Plug, file: SharedFile):
    outbox = outbox_for(plug(), b"head", FileSpan(file, 0, 4), FileSpan(file, 4, 4))
    outbox.abandon()
    outbox.abandon()
    assert outbox.held_files() == []


def test_memory_alone_is_carried_by_buffer(plug: Plug):
    outbox = outbox_for(plug(), b"abc")
    outbox.flush(AMPLE)
    assert outbox.carried == b"buffer"


def test_span_is_carried_by_sendfile(plug: Plug, file: SharedFile):
    played = plug()
    outbox = outbox_for(played, b"head", FileSpan(file, 0, 9))
    outbox.flush(AMPLE)
    assert outbox.carried == b"sendfile"
    assert len(played.named("sendfile")) == 1


def test_copying_names_its_reason_and_never_tries_sendfile(plug: Plug, file: SharedFile):
    played = plug()
    outbox = outbox_for(played, FileSpan(file, 0, 9), copy_reason=b"off")
    outbox.flush(AMPLE)
    assert outbox.carried == b"copy:off"
    assert played.named("sendfile") == []


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EIO])
def test_t33_file_system_without_sendfile_is_copied_and_not_asked_again(
    plug: Plug, file: SharedFile, number: int
):
    played = plug(AMPLE, failing(number))
    outbox = outbox_for(played, b"head", FileSpan(file, 3, 9), FileSpan(file, 12, 9))
    assert outbox.flush(AMPLE) is Progress.DONE
    assert played.accepted == b"head" + CONTENT[3:21]
    assert outbox.carried == b"copy:" + errno.errorcode[number].encode()
    assert len(played.named("sendfile")) == 1


@pytest.mark.parametrize(
    "error", [OSError("no number"), failing(123456)], ids=["no number", "unknown number"]
)
def test_error_without_a_name_is_copied_around_too(plug: Plug, file: SharedFile, error: OSError):
    outbox = outbox_for(plug(error), FileSpan(file, 0, 9))
    assert outbox.flush(AMPLE) is Progress.DONE
    assert outbox.carried == b"copy:error"


def test_error_after_the_first_byte_of_a_span_ends_the_transfer(plug: Plug, file: SharedFile):
    played = plug(4, failing(errno.EINVAL))
    outbox = outbox_for(played, FileSpan(file, 0, 10))
    with pytest.raises(TransferError, match="EINVAL") as caught:
        outbox.flush(AMPLE)
    assert caught.value.sent == 4
    assert played.named("send") == []
    outbox.abandon()


def test_error_of_the_file_while_copying_ends_the_transfer(
    plug: Plug, file: SharedFile, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: int) -> bytes:
        raise failing(errno.EIO)

    played = plug()
    monkeypatch.setattr(os, "pread", broken)
    outbox = outbox_for(played, b"head", FileSpan(file, 0, 10), copy_reason=b"off")
    with pytest.raises(TransferError, match="EIO") as caught:
        outbox.flush(AMPLE)
    assert (caught.value.sent, type(caught.value)) == (4, TransferError)
    outbox.abandon()


@pytest.mark.parametrize("number", sorted(PEER_ERRORS), ids=errno.errorcode.get)
def test_peer_that_is_gone_is_no_reason_to_copy(plug: Plug, file: SharedFile, number: int):
    played = plug(AMPLE, failing(number))
    outbox = outbox_for(played, b"head", FileSpan(file, 0, 10))
    with pytest.raises(PeerGone, match=errno.errorcode[number]) as caught:
        outbox.flush(AMPLE)
    assert caught.value.sent == 4
    assert len(played.calls) == 2
    outbox.abandon()


@pytest.mark.parametrize("copy_reason", [None, b"off"], ids=["sendfile", "copying"])
def test_t01_file_that_shrank_says_where_it_ended(
    plug: Plug, file: SharedFile, copy_reason: bytes | None
):
    beyond = len(CONTENT) - 6
    outbox = outbox_for(plug(), b"head", FileSpan(file, beyond, 20), copy_reason=copy_reason)
    with pytest.raises(FileShrank, match="truncated at 10 of 24") as caught:
        outbox.flush(AMPLE)
    assert (caught.value.sent, caught.value.expected) == (10, 24)
    outbox.abandon()


def test_error_is_chained_to_what_the_kernel_said(plug: Plug):
    cause = failing(errno.EPIPE)
    with pytest.raises(PeerGone) as caught:
        outbox_for(plug(cause), b"abc").flush(AMPLE)
    assert caught.value.__cause__ is cause


def test_error_without_a_number_is_named_by_its_text(plug: Plug):
    with pytest.raises(TransferError, match="no number"):
        outbox_for(plug(OSError("no number")), b"abc").flush(AMPLE)


def test_socket_that_takes_nothing_without_an_error_does_not_spin(plug: Plug):
    played = plug(otherwise=0)
    assert outbox_for(played, b"abc").flush(AMPLE) is Progress.BLOCKED
    assert len(played.calls) == 1
