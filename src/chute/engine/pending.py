"""A request whose answer is being worked for in a thread."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from chute.exchange import Deferred, Request, Response


class Pending:
    """What is known of such a request until its answer is; a job of `transfer.threads`.

    Attributes:
        request: the request.
        raw_head: the bytes of its head.
        lane: see `threads.Job`.
    """

    __slots__ = ("_deferred", "_on_answer", "lane", "raw_head", "request")

    def __init__(self, request: Request, raw_head: bytes, deferred: Deferred) -> None:
        self.request = request
        self.raw_head = raw_head
        self.lane: Hashable = deferred.lane
        self._deferred = deferred
        self._on_answer: Callable[[Pending, object], None] | None = None

    def listen(self, on_answer: Callable[[Pending, object], None]) -> None:
        """Have `on_answer` called with the outcome, in the thread of the loop."""
        self._on_answer = on_answer

    def forget(self, *, is_dropped: bool) -> None:
        """Let nobody hear of the outcome: the connection has ended.

        Args:
            is_dropped: whether the work will not be done at all.
        """
        self._on_answer = None
        if is_dropped:
            self._drop()

    def blocking_work(self) -> object:
        """Make the response, or what is left to do in the loop's thread; see `threads.Job`."""
        return self._deferred.blocking_respond()

    def on_done(self, outcome: object) -> None:
        """Hand over the outcome, or give back what it holds."""
        if isinstance(outcome, Exception):
            self._drop()
        if self._on_answer is not None:
            self._on_answer(self, outcome)
        elif isinstance(outcome, Response):
            outcome.release()
        elif not isinstance(outcome, Exception):
            self._drop()

    def _drop(self) -> None:
        if self._deferred.on_dropped is not None:
            self._deferred.on_dropped()
