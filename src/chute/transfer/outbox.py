"""The queue of pieces in front of one socket: what is left to send of one answer.

Theory of operation. An outbox is made when an answer could not leave in one call, and is dropped when `flush` says
DONE or raises. It owns a reference to every file in its queue and gives it back piece by piece; `abandon` gives back
the rest. It never owns the socket, never changes its blocking mode, and never keeps a descriptor of its own.

- Memory goes out with `MSG_MORE` while something follows it, so that a head and the start of its file share a
  segment. Without it Nagle's algorithm and delayed acknowledgements hold small files back for 40 ms each.
- `send(2)` on a stream socket that accepts less than it was given has met a full buffer, and the kernel has noted
  that somebody wants to hear of space (epoll(7), question 9): no second call is needed to learn EAGAIN.
- After the first byte of a span there is no second plan: before it, a file system that cannot do sendfile is copied
  from the same offset; after it, any error ends the transfer.
"""

from __future__ import annotations

import errno
from collections import deque

from chute.errors import FileShrank, PeerGone, TransferError
from chute.transfer import copying, sendfile
from chute.transfer.progress import WOULD_BLOCK, Progress
from chute.transfer.sending import MSG_MORE, Send
from chute.transfer.source import FileSpan, Piece, SharedFile, bytes_in, size_of

PEER_ERRORS = frozenset(
    {
        errno.EPIPE,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.ENOTCONN,
        errno.ESHUTDOWN,
        errno.ETIMEDOUT,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ENETDOWN,
    }
)
"""Errors of a socket that mean: nobody is there to send to. Never a reason for another method."""

BUFFER = b"buffer"
SENDFILE = b"sendfile"


class Outbox:
    """Pieces waiting for one socket.

    Attributes:
        sent: bytes that the kernel has accepted so far.
        carried: how the content went: `buffer`, `sendfile` or `copy:<reason>`; the last file piece decides.
    """

    __slots__ = ("_copy_reason", "_fd", "_offset", "_pieces", "_send", "_total", "carried", "sent")

    def __init__(
        self,
        fd: int,
        send: Send,
        pieces: tuple[Piece, ...],
        *,
        already_sent: int = 0,
        copy_reason: bytes | None = None,
    ) -> None:
        """Queue `pieces` for the socket `fd` whose bound method is `send`; acquires every file among them.

        Args:
            fd: the socket's descriptor, borrowed.
            send: `socket.send` of the same socket.
            pieces: what to send, in order.
            already_sent: bytes of the pieces that have left before.
            copy_reason: why sendfile must not be used, or None when it may.
        """
        self._fd = fd
        self._send = send
        # An empty last piece would never lift the MSG_MORE of the one before it.
        self._pieces = deque(piece for piece in pieces if size_of(piece) > 0)
        self._offset = 0
        self._total = bytes_in(pieces)
        self._copy_reason = copy_reason
        self.carried = BUFFER
        self.sent = already_sent
        for piece in self._pieces:
            if isinstance(piece, FileSpan):
                piece.file.acquire()
        self._skip(already_sent)

    def flush(self, budget: int) -> Progress:
        """Send until everything left, the socket is full, or `budget` bytes have been moved in this turn.

        Raises:
            PeerGone: the peer closed or reset the connection.
            FileShrank: a file ended before its promised byte.
            TransferError: any other error; the connection cannot be used for another answer.
        """
        pieces = self._pieces
        while pieces:
            if budget <= 0:
                return Progress.YIELDED
            piece = pieces[0]
            try:
                if isinstance(piece, FileSpan):
                    moved = self._step_file(piece, budget)
                else:
                    moved = self._step_memory(piece, budget)
            except OSError as error:
                raise self._failure(error) from error
            if moved == WOULD_BLOCK:
                return Progress.BLOCKED
            self.sent += moved
            self._offset += moved
            budget -= moved
            if self._offset == size_of(piece):
                self._finish_piece()
            elif not isinstance(piece, FileSpan) and budget > 0:
                return Progress.BLOCKED
        return Progress.DONE

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

    def _step_memory(self, piece: bytes, budget: int) -> int:
        flags = MSG_MORE if len(self._pieces) > 1 else 0
        start = self._offset
        rest = (
            piece
            if start == 0 and len(piece) <= budget
            else memoryview(piece)[start : start + budget]
        )
        try:
            return self._send(rest, flags)
        except BlockingIOError:
            return WOULD_BLOCK

    def _step_file(self, span: FileSpan, budget: int) -> int:
        offset = span.offset + self._offset
        count = min(span.count - self._offset, budget)
        if self._copy_reason is None:
            try:
                moved = sendfile.send_step(self._fd, span.file.fd, offset, count)
            except OSError as error:
                if self._offset > 0 or error.errno in PEER_ERRORS:
                    raise
                self._copy_reason = errno.errorcode.get(error.errno or 0, "error").encode()
            else:
                self.carried = SENDFILE
                return self._checked(moved)
        self.carried = b"copy:" + self._copy_reason
        flags = MSG_MORE if len(self._pieces) > 1 else 0
        return self._checked(copying.send_step(self._send, span.file.fd, offset, count, flags))

    def _checked(self, moved: int) -> int:
        if moved == 0:
            raise FileShrank(sent=self.sent, expected=self._total)
        return moved

    def _finish_piece(self) -> None:
        piece = self._pieces.popleft()
        self._offset = 0
        if isinstance(piece, FileSpan):
            piece.file.release()

    def _failure(self, error: OSError) -> TransferError:
        reason = errno.errorcode.get(error.errno or 0, str(error))
        if error.errno in PEER_ERRORS:
            return PeerGone(f"the peer is gone ({reason})", sent=self.sent)
        return TransferError(f"sending failed ({reason})", sent=self.sent)
