"""Content that is made while it is sent: one piece at a time, in a thread, once the one before has left.

Where its length is not known, the content goes in the chunked transfer coding (RFC 9112, 7.1), or, to a client that
does not know it, ends with the connection. A production that fails, or does not come to the length that the head has
promised, ends the connection: the client sees that it did not get everything.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from chute.errors import TransferError
from chute.exchange import Production
from chute.http1.encode import CHUNK_END, LAST_CHUNK, chunk_line
from chute.transfer.outbox import Outbox
from chute.transfer.source import FileSpan, Piece, size_of
from chute.transfer.threads import Job, Threads


class Producing:
    """One production, for as long as somebody wants it; a job of `transfer.threads`.

    Attributes:
        lane: see `threads.Job`.
        is_over: whether everything has been queued.
    """

    __slots__ = (
        "_is_chunked",
        "_is_wanted",
        "_is_working",
        "_outcome",
        "_production",
        "_remaining",
        "_then",
        "is_over",
        "lane",
    )

    def __init__(self, production: Production, *, is_chunked: bool) -> None:
        """Take over `production`.

        Args:
            production: closed by this object.
            is_chunked: whether its pieces go out as chunks.
        """
        self.lane: Hashable = production.lane
        self._production = production
        self._is_chunked = is_chunked
        self._is_wanted = True
        self.is_over = False
        self._is_working = False
        self._remaining = production.count
        self._outcome: object = None
        self._then: Callable[[], None] | None = None

    def ask(self, threads: Threads[Job], then: Callable[[], None]) -> None:
        """Have the next piece made, and call `then`; after that, `move_to`."""
        self._then = then
        self._is_working = True
        threads.submit(self)

    def move_to(self, outbox: Outbox) -> None:
        """Queue what was made, framed.

        Raises:
            TransferError: the production has failed, or is not as long as promised.
        """
        outcome, self._outcome = self._outcome, None
        if isinstance(outcome, TransferError):
            raise TransferError(str(outcome), sent=outbox.sent)
        if isinstance(outcome, Exception):
            raise TransferError(f"making the content failed ({outcome!r})", sent=outbox.sent)
        if outcome is None:
            self.is_over = True
            if self._remaining:
                raise TransferError(f"it ended {self._remaining} bytes early", sent=outbox.sent)
            if self._is_chunked:
                outbox.append((LAST_CHUNK,))
            return
        assert isinstance(outcome, bytes | FileSpan), "a production yields pieces"
        try:
            self._append(outbox, outcome)
        finally:
            _release(outcome)

    def give_up(self, threads: Threads[Job]) -> None:
        """Give everything back: nobody wants the rest, or there is none."""
        if self._is_working and not threads.cancel(self):
            self._is_wanted = False
            return
        _release(self._outcome)
        self._outcome = None
        self._production.close()

    def blocking_work(self) -> object:
        """Make the next piece; see `threads.Job`."""
        return self._production.blocking_next()

    def on_done(self, outcome: object) -> None:
        """Keep the piece, or what went wrong; see `threads.Job`."""
        self._is_working = False
        if not self._is_wanted:
            _release(outcome)
            self._production.close()
            return
        self._outcome = outcome
        assert self._then is not None, "nobody asked"
        self._then()

    def _append(self, outbox: Outbox, piece: Piece) -> None:
        count = size_of(piece)
        if self._remaining is not None:
            self._remaining -= count
            if self._remaining < 0:
                raise TransferError("it is longer than promised", sent=outbox.sent)
        if not self._is_chunked:
            outbox.append((piece,))
        elif count:
            outbox.append((chunk_line(count), piece, CHUNK_END))


def _release(outcome: object) -> None:
    """Give back the reference that came with a piece."""
    if isinstance(outcome, FileSpan):
        outcome.file.release()
