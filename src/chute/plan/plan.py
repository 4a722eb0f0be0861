"""A plan: everything that is needed to answer a request head again without looking at it.

The head is rendered once, with a gap for the Date value; the gap is filled at most once per second. Content is
either part of the same bytes (a small file: one `send` answers the request) or a span of an open file.

Ownership. A plan that is used once owns its response, and with it the files, until `let_go` is called: by then the
transfer holds references of its own. A reusable plan owns nothing: whoever stands behind its `Validity` keeps the
file open, and may close it at any time; such a plan no longer holds. It is valid until `valid_until_s`, and after
that for as long as its `Validity` confirms it.
"""

from __future__ import annotations

from collections.abc import Callable

from chute.clock import Clock
from chute.exchange import Production, Rate, Request, Response, Validity
from chute.semantics.messages import RequestHead
from chute.transfer.source import CLOSED, FileSpan, Piece, bytes_in

_PLAN_BYTES = 1400
"""What a plan holds beside its bytes: the object, its validity, its request, and two Date values."""


class Plan:
    """One prepared answer.

    Attributes:
        status: the status code, for the log.
        payload: head and, where it fits, content: the bytes of the first send, right for `second`.
        head_bytes: how many of them are the head.
        rest: pieces that follow the payload; empty when the payload is the whole answer.
        cost_bytes: about how much memory the plan holds, for the caches' bounds.
        second: the wall-clock second whose Date the payload carries.
        keeps_alive: whether the connection may carry another exchange afterwards.
        total_bytes: bytes of payload and rest.
        span: the rest, if it is one span of a file; such a plan and one without a rest can leave at once.
        is_quick: whether it can leave at once, and the connection goes on: the hot path's question.
        owned: the response that `let_go` releases, or None.
        production: makes the content that follows the payload, or None; belongs to whoever carries the plan.
        is_chunked: whether that content is sent in the chunked transfer coding.
        rate: how fast the content is sent at most, or None.
        request: what it was made for, as it was routed; None where that is not known.
        is_particular: whether it may be used again for the same head only.
        valid_until_s: until when the plan can be used without asking its validity (monotonic seconds).
    """

    __slots__ = (
        "_after_date",
        "_before_date",
        "_validity",
        "cost_bytes",
        "head_bytes",
        "is_chunked",
        "is_particular",
        "is_quick",
        "keeps_alive",
        "owned",
        "payload",
        "production",
        "rate",
        "request",
        "rest",
        "second",
        "span",
        "status",
        "total_bytes",
        "valid_until_s",
    )

    def __init__(
        self,
        status: int,
        head: tuple[bytes, bytes],
        content: bytes,
        rest: tuple[Piece, ...],
        *,
        keeps_alive: bool,
        validity: Validity | None,
        owned: Response | None = None,
        production: Production | None = None,
        is_chunked: bool = False,
        rate: Rate | None = None,
    ) -> None:
        """Prepare an answer; see `plan.compile`, which makes them.

        Args:
            status: the status code.
            head: what comes before the Date value and what comes after it.
            content: content that leaves together with the head.
            rest: pieces that follow.
            keeps_alive: whether the connection survives the answer.
            validity: what makes the plan reusable, or None for a plan that is used once.
            owned: the response to release after a single use.
            production: see the attribute.
            is_chunked: see the attribute.
            rate: see the attribute.
        """
        self.status = status
        self._before_date = head[0]
        self._after_date = head[1] + content
        self._validity = validity
        self.owned = owned
        self.rest = rest
        self.keeps_alive = keeps_alive
        self.span = rest[0] if len(rest) == 1 and isinstance(rest[0], FileSpan) else None
        self.production = production
        self.is_chunked = is_chunked
        self.rate = rate
        self.request: Request | None = None
        self.is_particular = False
        # What leaves in one piece and what is carried on are told apart here once, and not per request.
        leaves_at_once = production is None and (rate is None or not rest)
        self.is_quick = keeps_alive and leaves_at_once and (not rest or self.span is not None)
        self.total_bytes = 0
        self.valid_until_s = 0.0 if validity is None else validity.valid_until_s
        self.second = -1
        self.payload = b""
        self.head_bytes = -len(content)
        in_memory = sum(len(piece) for piece in rest if isinstance(piece, bytes))
        # The payload is held twice: as it is sent, and as the part behind the Date.
        self.cost_bytes = _PLAN_BYTES + 2 * (len(head[0]) + len(self._after_date)) + in_memory

    def render(self, second: int, date: bytes) -> None:
        """Fill in the Date value of `second`; every Date is 29 bytes long, so lengths stay."""
        self.payload = self._before_date + date + self._after_date
        if self.second < 0:
            self.head_bytes += len(self.payload)
            self.total_bytes = len(self.payload) + bytes_in(self.rest)
        self.second = second

    def is_fresh(self, clock: Clock) -> bool:
        """Whether the plan can be used as it is: nothing to confirm and nothing to render."""
        return (
            self.second == clock.second
            and clock.now_s < self.valid_until_s
            and (self.span is None or self.span.file.fd != CLOSED)
        )

    @property
    def is_reusable(self) -> bool:
        """Whether the plan may answer more than one request."""
        return self._validity is not None

    def still_holds(self, now_s: float) -> bool:
        """Confirm the plan for another period, or return False: it has to be made anew."""
        validity = self._validity
        if validity is None or not validity.still_holds(now_s) or not self.has_open_files:
            return False
        self.valid_until_s = validity.valid_until_s
        return True

    @property
    def has_open_files(self) -> bool:
        """Whether every file that the plan sends from is still open."""
        return not any(
            isinstance(piece, FileSpan) and piece.file.fd == CLOSED for piece in self.rest
        )

    def let_go(self) -> None:
        """Release what a plan that is used once has owned so far; no effect on a reusable one."""
        owned, self.owned = self.owned, None
        if owned is not None:
            owned.release()


class KnownHead:
    """A request head that has been looked at: what it said, and the plan that answers it.

    Attributes:
        head: the parsed head, or None when it could not be parsed.
        plan: the answer.
        log_extend: takes the log line of a complete answer that took no time worth mentioning, made in advance; None
            before the first such line was made, or where none can be.
        log_rest: the part of that line that is neither the connection's nor the second's.
        is_quick: whether the connection has nothing to do but to send the plan at once.
        request_line: what to show in the log when there is no head.
    """

    __slots__ = ("head", "is_quick", "log_extend", "log_rest", "plan", "request_line")

    def __init__(self, head: RequestHead | None, plan: Plan) -> None:
        self.head = head
        self.plan = plan
        self.log_extend: Callable[[tuple[bytes, ...]], None] | None = None
        self.log_rest = b""
        self.request_line = b""
        self.is_quick = plan.is_quick and head is not None and not head.has_content
