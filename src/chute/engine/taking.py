"""Request content on its way to whoever asked for it.

Theory of operation. The connection feeds what it reads; content is collected into blocks, and a block is taken by the
intake in a thread while the next one is collected. So at most two blocks of one request are in memory, and a peer that
sends faster than the disk writes is read no faster than that. The intake is called by one job at a time: take, take,
..., finish. When the content ends early, or the intake has failed, its last job is to give up, whether or not the
connection still exists.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from functools import partial

from chute.engine.limits import CONTENT_BLOCK_BYTES
from chute.exchange import Receiving, Request, Response
from chute.http1.framing import BodyDecoder, decoder_for
from chute.transfer.threads import Job, Threads

logger = logging.getLogger("chute.engine")


class Taking:
    """The content of one request, as long as it arrives; a job of `transfer.threads`.

    Attributes:
        request: the request.
        raw_head: the bytes of its head.
        lane: see `threads.Job`.
        is_over: whether the intake has had its last call, or is having it.
    """

    __slots__ = (
        "_collected",
        "_decoder",
        "_intake",
        "_on_answer",
        "_on_room",
        "_threads",
        "_work",
        "is_over",
        "lane",
        "raw_head",
        "request",
    )

    def __init__(self, request: Request, raw_head: bytes, receiving: Receiving) -> None:
        """Begin to take the content of `request`.

        Args:
            request: the request.
            raw_head: the bytes of its head.
            receiving: who asked for its content.
        """
        self.request = request
        self.raw_head = raw_head
        self.lane: Hashable = receiving.lane
        self.is_over = False
        self._intake = receiving.intake
        self._decoder: BodyDecoder | None = decoder_for(request.head, receiving.content_bytes_max)
        self._threads: Threads[Job] | None = None
        self._collected = bytearray()
        self._work: Callable[[], object] | None = None
        self._on_answer: Callable[[Taking, object], None] | None = None
        self._on_room: Callable[[], None] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all of the content has arrived."""
        return self._decoder is None or self._decoder.is_complete

    @property
    def has_room(self) -> bool:
        """Whether the peer should send more."""
        return not self.is_whole and len(self._collected) < CONTENT_BLOCK_BYTES

    def begin(
        self,
        threads: Threads[Job],
        on_answer: Callable[[Taking, object], None],
        on_room: Callable[[], None],
    ) -> None:
        """Let content come.

        Args:
            threads: in which the intake is called.
            on_answer: hears of the answer: a response or an exception.
            on_room: hears of room for more.
        """
        self._threads = threads
        self._on_answer = on_answer
        self._on_room = on_room
        self._advance()

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the connection; return those that belong to the next request.

        Raises:
            PeerError: the framing is broken, or the content too long; the caller gives up then.
        """
        if self._decoder is None:
            return data
        pieces, used = self._decoder.feed(data)
        for piece in pieces:
            self._collected += piece
        self._advance()
        return data[used:] if used < len(data) else b""

    def give_up(self) -> None:
        """Tell nobody any more, and have the intake end: what has arrived is taken, the rest will not come."""
        self._on_answer = self._on_room = None
        if self._work is None and not self.is_over:
            self._end(self._take_collected())

    def blocking_work(self) -> object:
        """Make the next call of the intake; see `threads.Job`."""
        assert self._work is not None, "submitted without work"
        return self._work()

    def on_done(self, outcome: object) -> None:
        """Go on after a call of the intake; see `threads.Job`."""
        self._work = None
        if self.is_over:
            if isinstance(outcome, Exception):
                logger.error("giving up content failed: %r", outcome, exc_info=outcome)
            return
        tell = self._on_answer
        if isinstance(outcome, Response):
            self.is_over = True
            if tell is None:
                outcome.release()
        elif isinstance(outcome, Exception):
            self._end(b"")
        elif tell is None:
            self._end(self._take_collected())
        else:
            self._advance()
            if self._on_room is not None:
                self._on_room()
            return
        if tell is not None:
            tell(self, outcome)

    def _advance(self) -> None:
        """Have the intake do its next part, if there is one and it is not busy."""
        if self._work is not None or self.is_over:
            return
        if self._collected and (self.is_whole or len(self._collected) >= CONTENT_BLOCK_BYTES):
            self._do(partial(self._intake.blocking_take, self._take_collected()))
        elif self.is_whole:
            self._do(self._intake.blocking_finish)

    def _end(self, block: bytes) -> None:
        """Have the intake take `block` and give up; not a word of it reaches anybody."""
        self.is_over = True
        self._do(partial(self._blocking_end, block))

    def _blocking_end(self, block: bytes) -> None:
        if block:
            try:
                response = self._intake.blocking_take(block)
            except Exception as error:  # noqa: BLE001 - it ends either way, and its end is what matters
                logger.debug("the last block was not taken: %r", error)
            else:
                if response is not None:
                    response.release()
                    return
        self._intake.blocking_give_up()

    def _take_collected(self) -> bytes:
        block = bytes(self._collected)
        self._collected.clear()
        return block

    def _do(self, work: Callable[[], object]) -> None:
        assert self._threads is not None, "not before it has begun"
        self._work = work
        self._threads.submit(self)
