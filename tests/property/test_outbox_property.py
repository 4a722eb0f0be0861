"""Properties of the outbox.

Invariant: whatever the pieces, the budgets and the appetite of the socket, the bytes that leave are the pieces in
their order, each byte once; `sent` is the number of bytes that left; no turn moves more than its budget; and a turn
says DONE exactly when nothing is left, and then holds no file.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from unittest import mock

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from carrying import AGAIN, SOCKET_FD, PlayedSocket, failing
from chute.errors import PeerGone
from chute.transfer import sendfile
from chute.transfer.outbox import Outbox
from chute.transfer.progress import Progress
from chute.transfer.source import CLOSED, FileSpan, Piece, SharedFile, bytes_in

CONTENT = bytes(range(256)) * 3
AMPLE = 1 << 20

# A piece is memory, or (offset, count) of the file; empty ones included.
SPAN = st.tuples(st.integers(0, len(CONTENT)), st.integers(0, 300)).map(
    lambda pair: (pair[0], min(pair[1], len(CONTENT) - pair[0]))
)
PIECES = st.lists(st.binary(max_size=60) | SPAN, max_size=6)
APPETITE = st.lists(st.integers(1, 120) | st.just(AGAIN), max_size=40)
BUDGETS = st.lists(st.integers(1, 200), min_size=1, max_size=10)
COPY_REASON = st.sampled_from([None, b"off"])


@pytest.fixture(scope="module")
def fd() -> Iterator[int]:
    with tempfile.TemporaryFile() as content:
        content.write(CONTENT)
        content.flush()
        yield content.fileno()


def made(fd: int, drawn: list[bytes | tuple[int, int]]) -> tuple[SharedFile, tuple[Piece, ...]]:
    file = SharedFile(os.dup(fd))
    return file, tuple(
        piece if isinstance(piece, bytes) else FileSpan(file, *piece) for piece in drawn
    )


def rendered(drawn: list[bytes | tuple[int, int]]) -> bytes:
    """What the pieces come to, read the slow and obvious way."""
    return b"".join(
        piece if isinstance(piece, bytes) else CONTENT[piece[0] : piece[0] + piece[1]]
        for piece in drawn
    )


def run(outbox: Outbox, played: PlayedSocket, budgets: list[int], started_at: int) -> None:
    """Take turns until DONE, checking each one."""
    turn = 0
    while True:
        budget = budgets[turn % len(budgets)]
        turn += 1
        before = len(played.accepted)
        progress = outbox.flush(budget)
        moved = len(played.accepted) - before
        assert moved <= budget
        assert outbox.sent == started_at + len(played.accepted)
        if progress is Progress.YIELDED:
            assert moved == budget
        elif progress is Progress.BLOCKED:
            _, _, offered, taken = played.calls[-1]
            assert isinstance(taken, OSError) or taken < offered
        else:
            return


@given(PIECES, APPETITE, BUDGETS, COPY_REASON, st.data())
def test_outbox_conserves_bytes(
    fd: int,
    drawn: list[bytes | tuple[int, int]],
    appetite: list[int | OSError],
    budgets: list[int],
    copy_reason: bytes | None,
    data: st.DataObject,
) -> None:
    expected = rendered(drawn)
    already_sent = data.draw(st.integers(0, len(expected)), label="already sent")
    played = PlayedSocket(appetite, otherwise=AMPLE)
    file, pieces = made(fd, drawn)
    assert bytes_in(pieces) == len(expected)
    with mock.patch.object(os, "sendfile", played.sendfile):
        outbox = Outbox(
            SOCKET_FD, played.send, pieces, already_sent=already_sent, copy_reason=copy_reason
        )
        run(outbox, played, budgets, already_sent)
    assert played.accepted == expected[already_sent:]
    assert outbox.held_files() == []
    file.release()
    assert file.fd == CLOSED


@given(PIECES, APPETITE, BUDGETS, COPY_REASON, st.sampled_from([errno.EPIPE, errno.ECONNRESET]))
def test_outbox_that_loses_its_peer_says_how_far_it_came(
    fd: int,
    drawn: list[bytes | tuple[int, int]],
    appetite: list[int | OSError],
    budgets: list[int],
    copy_reason: bytes | None,
    number: int,
) -> None:
    expected = rendered(drawn)
    played = PlayedSocket(appetite, otherwise=failing(number))
    file, pieces = made(fd, drawn)
    with mock.patch.object(os, "sendfile", played.sendfile):
        outbox = Outbox(SOCKET_FD, played.send, pieces, copy_reason=copy_reason)
        error = None
        try:
            run(outbox, played, budgets, 0)
        except PeerGone as caught:
            error = caught
            outbox.abandon()
    event("complete" if error is None else "lost")
    if error is None:
        assert played.accepted == expected
    else:
        assert error.sent == len(played.accepted)
        assert played.calls[-1][3] is error.__cause__
    assert expected.startswith(played.accepted)
    assert outbox.held_files() == []
    file.release()
    assert file.fd == CLOSED


@given(st.binary(min_size=1, max_size=60), SPAN, APPETITE, BUDGETS)
def test_head_and_span_at_once_and_an_outbox_behind_them_conserve_bytes(
    fd: int,
    head: bytes,
    span: tuple[int, int],
    appetite: list[int | OSError],
    budgets: list[int],
) -> None:
    """What `send_with_head` could not do is left to an outbox that is told how much has left."""
    offset, count = span
    played = PlayedSocket(appetite, otherwise=AMPLE)
    file, pieces = made(fd, [head, span])
    with mock.patch.object(os, "sendfile", played.sendfile):
        sent = sendfile.send_with_head(SOCKET_FD, played.send, head, file.fd, offset, count)
        assert sent == len(played.accepted)
        outbox = Outbox(SOCKET_FD, played.send, pieces, already_sent=sent)
        run(outbox, played, budgets, 0)
    assert played.accepted == rendered([head, span])
    file.release()
    assert file.fd == CLOSED
