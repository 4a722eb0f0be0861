"""The queue of pieces in front of one socket: what is left to send of one answer.

Theory of operation. An outbox is made when an answer could not leave in one call, and is dropped when `flush` says
DONE or raises. It owns a reference to every file in its queue and gives it back piece by piece; `abandon` gives back
the rest. It never owns the socket, never changes its blocking mode, and never keeps a descriptor of its own.

- Memory goes out with `MSG_MORE` while something follows it, so that a head and the start of its file share a
  segment. Without it Nagle's algorithm and delayed acknowledgements hold small files back for 40 ms each.
- `send(2)` on a stream socket that accepts less than it was given has met a full buffer, and the kernel has noted
  that somebody wants to hear of space (epoll(7), question 9): no second call is needed to learn EAGAIN.
- How a span of a file is carried is decided by a `Carrier`, call by call. Where the bytes would have to come from a
  disk first, the turn ends with COLD: whoever drives the outbox has `wanted` read in a thread, hands over the outcome
  by `was_read`, and flushes again.
- This is the one pump: the engine drives it from its poller, `chute.sendfile` by poll(2) in the caller's thread, and
  `chute.sock_sendfile` by the writers of any asyncio loop.
"""

from __future__ import annotations

import sys
from collections import deque

from chute.errors import FileShrank, PeerGone, TransferError
from chute.transfer.carrier import Carrier
from chute.transfer.progress import WOULD_BLOCK, Progress
from chute.transfer.read_ahead import Outcome, Wanted
from chute.transfer.sending import MSG_MORE, PEER_ERRORS, Send, name_of, unacknowledged_bytes
from chute.transfer.source import FileSpan, Piece, SharedFile, bytes_in, size_of


class Outbox:
    """Pieces waiting for one socket.

    Attributes:
        sent: bytes that the kernel has accepted so far.
    """

    __slots__ = (
        "_acknowledged",
        "_carrier",
        "_fd",
        "_holds_unsent",
        "_offset",
        "_pieces",
        "_refused",
        "_send",
        "_total",
        "sent",
    )

    def __init__(
        self,
        fd: int,
        send: Send,
        pieces: tuple[Piece, ...],
        *,
        already_sent: int = 0,
        copy_reason: bytes | None = None,
        holds_unsent: bool = False,
        may_wait: bool = False,
    ) -> None:
        """Queue `pieces` for the socket `fd` whose bound method is `send`; acquires every file among them.

        Args:
            fd: the socket's descriptor, borrowed.
            send: `socket.send` of the same socket, or what encrypts in front of it.
            pieces: what to send, in order.
            already_sent: bytes of the pieces that have left before.
            copy_reason: why this socket cannot be a target of sendfile, or None when it can.
            holds_unsent: whether bytes that were offered once must be offered again unchanged, as TLS demands.
            may_wait: whether this thread may wait for a disk; COLD never happens then.
        """
        self._fd = fd
        self._send = send
        self._acknowledged = -sys.maxsize
        self._holds_unsent = holds_unsent
        self._refused = 0
        self._pieces: deque[Piece] = deque()
        self._offset = 0
        self._total = 0
        self._carrier = Carrier(
            fd, send, copy_reason=copy_reason, holds_unsent=holds_unsent, may_wait=may_wait
        )
        self.sent = already_sent
        self.append(pieces)
        self._skip(already_sent)

    def append(self, pieces: tuple[Piece, ...]) -> None:
        """Queue more; acquires every file among `pieces`."""
        for piece in pieces:
            # An empty last piece would never lift the MSG_MORE of the one before it.
            if size_of(piece) > 0:
                self._pieces.append(piece)
                if isinstance(piece, FileSpan):
                    piece.file.acquire()
        self._total += bytes_in(pieces)

    @property
    def carried(self) -> bytes:
        """How the content went: `buffer`, `sendfile` or `copy:<reason>`; the last file piece decides."""
        return self._carrier.carried

    @property
    def wanted(self) -> Wanted | None:
        """What has to be read before the next turn, after a turn that ended with COLD."""
        return self._carrier.wanted

    def was_read(self, outcome: Outcome) -> None:
        """Take the outcome of what was `wanted`; the next turn makes use of it.

        Raises:
            TransferError: the file cannot be read.
        """
        span = self._pieces[0]
        assert isinstance(span, FileSpan), "only files are wanted"
        try:
            self._carrier.was_read(span, outcome)
        except TransferError as error:
            error.sent = self.sent
            raise

    def flush(self, budget: int) -> Progress:
        """Send until everything left, the socket is full, or `budget` bytes have been moved in this turn.

        Raises:
            PeerGone: the peer closed or reset the connection.
            FileShrank: a file ended before its promised byte.
            TransferError: any other error; the connection cannot be used for another answer.
        """
        sent_before = self.sent
        progress = self._move(budget)
        if progress is Progress.BLOCKED and self.sent > sent_before:
            self.peer_has_taken_more()
        return progress

    def peer_has_taken_more(self) -> bool:
        """Whether the peer has acknowledged bytes since this was asked before, or a turn filled the buffer.

        That, and not room in the send buffer, is progress: the buffer may hold megabytes, and reports room only when
        a third of it is free, which at ten kilobytes a second takes an honest client longer than any time-out.
        """
        acknowledged = self.sent - unacknowledged_bytes(self._fd)
        has_more = acknowledged > self._acknowledged
        self._acknowledged = acknowledged
        return has_more

    def abandon(self) -> None:
        """Give back every file still held; the transfer is over. Idempotent."""
        while self._pieces:
            self._finish_piece()

    def held_files(self) -> list[SharedFile]:
        """Return the files that are still held, for tests and statistics."""
        return [piece.file for piece in self._pieces if isinstance(piece, FileSpan)]

    def _skip(self, count: int) -> None:
        while self._pieces and count >= (size := size_of(self._pieces[0])):
            count -= size
            self._finish_piece()
        self._offset = count

    def _move(self, budget: int) -> Progress:
        pieces = self._pieces
        while pieces:
            if budget <= 0:
                return Progress.YIELDED
            piece = pieces[0]
            try:
                if isinstance(piece, FileSpan):
                    moved = self._step_file(piece, budget)
                    is_full = self._carrier.is_full
                else:
                    moved = self._step_memory(piece, budget)
                    is_full = moved < min(len(piece) - self._offset, budget)
            except OSError as error:
                raise self._failure(error) from error
            except TransferError as error:
                error.sent = self.sent
                raise
            if moved < 0:
                return Progress.BLOCKED if moved == WOULD_BLOCK else Progress.COLD
            self.sent += moved
            self._offset += moved
            budget -= moved
            if self._offset == size_of(piece):
                self._finish_piece()
            elif is_full:
                return Progress.BLOCKED
        return Progress.DONE

    def _step_memory(self, piece: bytes, budget: int) -> int:
        start = self._offset
        room = max(budget, self._refused)
        rest = (
            piece if start == 0 and len(piece) <= room else memoryview(piece)[start : start + room]
        )
        try:
            moved = self._send(rest, self._flags())
        except BlockingIOError:
            # What TLS has refused it must be offered again, all of it, whatever the budget is by then.
            self._refused = len(rest) if self._holds_unsent else 0
            return WOULD_BLOCK
        self._refused = 0
        return moved

    def _step_file(self, span: FileSpan, budget: int) -> int:
        moved = self._carrier.step(span, self._offset, budget, self._flags())
        if moved == 0:
            raise FileShrank(sent=self.sent, expected=self._total)
        return moved

    def _flags(self) -> int:
        return MSG_MORE if len(self._pieces) > 1 else 0

    def _finish_piece(self) -> None:
        piece = self._pieces.popleft()
        self._offset = 0
        if isinstance(piece, FileSpan):
            self._carrier.next_span()
            piece.file.release()

    def _failure(self, error: OSError) -> TransferError:
        reason = name_of(error)
        if error.errno in PEER_ERRORS:
            return PeerGone(f"the peer is gone ({reason})", sent=self.sent)
        return TransferError(f"sending failed ({reason})", sent=self.sent)
