"""From the bytes of a request head to a plan: what all connections of one listener share.

Three ways, each an order of magnitude dearer than the one before:

1. The raw head is known: one dictionary look-up in `known_heads`, which the connection does itself.
2. It is not, but what the answer depends on is: the head is parsed, and (method, target, version, persistence, and
   the few fields that matter) finds the plan again under a new cookie.
3. Neither: the handler answers, and its response is compiled into a plan.

Only complete GET and HEAD requests without content are remembered, only if the handler declared its response
reusable, and only on second sight. A plan whose time is up asks its validity before it is used. Nothing here
is a decision about HTTP semantics, and nothing knows what a file is.
"""

from __future__ import annotations

import msgspec

from chute.clock import Clock
from chute.engine.answering import Answer, Answering
from chute.engine.limits import (
    DRAIN_GRACE_S,
    KNOWN_HEADS_BYTES_MAX,
    KNOWN_HEADS_MAX,
    PLANS_BYTES_MAX,
    PLANS_MAX,
    RECEIVE_BYTES,
    Limits,
)
from chute.engine.noting import Noting
from chute.engine.pending import Pending
from chute.engine.taking import Taking
from chute.engine.tally import Tally
from chute.errors import PeerError
from chute.exchange import Deferred, Ends, Handler, Journal, LineFormat, Receiving, Request
from chute.http1.head_parser import HeadParser
from chute.http1.unfinished import check_unfinished
from chute.plan.cache import TwoGenerationCache
from chute.plan.plan import KnownHead, Plan
from chute.semantics.dates import format_http_date
from chute.semantics.messages import RequestHead

PlanKey = tuple[object, ...]

KNOWN_HEAD_COST_BYTES = 2500
"""What a remembered head costs beside its bytes: the objects, the parsed field lines, the log line."""

HEAD_END = b"\r\n\r\n"
"""The end of the last field line and the blank line (RFC 9112, 2.1)."""

NO_HEAD = RequestHead(b"", b"", 1, [])
"""Stands for the head of the request that a plan was made for."""

REQUEST_LINE_LOGGED_MAX = 200
"""Bytes of a request that could not be parsed that are shown in the log."""

Unanswered = Pending | Taking
"""What stands in for an answer until there is one."""


class Service:
    """Plans, parser, handler and limits of one listener.

    Attributes:
        clock: the engine's clock.
        limits: bounds for peers.
        noting: notes finished answers.
        tally: counts how they were carried.
        known_heads: raw heads and what they led to.
    """

    def __init__(
        self,
        handler: Handler,
        depends_on: frozenset[bytes],
        clock: Clock,
        limits: Limits,
        journal: Journal | None,
        tally: Tally,
        *,
        line_format: LineFormat | None = None,
        debug_headers: bool = False,
    ) -> None:
        """Answer with `handler`.

        Args:
            handler: answers what no plan answers.
            depends_on: names of the fields that a reusable response of the handler is a function of.
            clock: the engine's clock.
            limits: bounds for peers.
            journal: where answers are noted that have no journal of their own.
            tally: where they are counted.
            line_format: see `Noting`.
            debug_headers: whether answers say how they are carried (Server-Timing); none is then used again.
        """
        self.clock = clock
        self.limits = limits
        self.noting = Noting(journal, clock, tally, line_format)
        self.tally = tally
        self.known_heads: TwoGenerationCache[bytes, KnownHead] = TwoGenerationCache(
            entries_max=KNOWN_HEADS_MAX, bytes_max=KNOWN_HEADS_BYTES_MAX
        )
        self._plans: TwoGenerationCache[PlanKey, Plan] = TwoGenerationCache(
            entries_max=PLANS_MAX, bytes_max=PLANS_BYTES_MAX
        )
        self._answering = Answering(handler, limits, debug_headers=debug_headers)
        self._debug_headers = debug_headers
        self._depends_on = tuple(depends_on)
        self._parser = HeadParser(
            target_bytes_max=limits.target_bytes_max,
            head_bytes_max=limits.head_bytes_max,
            fields_max=limits.fields_max,
        )
        self._date = b""
        self._date_second = -1
        self._is_draining = False

    def change_rules(self, handler: Handler, depends_on: frozenset[bytes]) -> None:
        """Answer with another handler from now on: a new generation of the configuration.

        Everything that was prepared under the old rules is dropped; answers on their way are not touched.
        """
        self._answering = Answering(handler, self.limits, debug_headers=self._debug_headers)
        self._depends_on = tuple(depends_on)
        self.known_heads.clear()
        self._plans.clear()

    def drain(self) -> None:
        """Let every connection end with its next answer; heads that are known were told that it goes on."""
        self._is_draining = True
        self.known_heads.clear()
        self.limits = msgspec.structs.replace(self.limits, keep_alive_timeout_s=DRAIN_GRACE_S)

    def render(self, plan: Plan) -> None:
        """Give `plan` the Date of this second."""
        second = self.clock.second
        if second != self._date_second:
            self._date = format_http_date(second) or b""
            self._date_second = second
            self.noting.turn(second)
        plan.render(second, self._date)

    def recall(self, raw_head: bytes) -> KnownHead | None:
        """Return what is known of `raw_head`, if that is still true."""
        known_heads = self.known_heads
        known = known_heads.young.get(raw_head)
        if known is None:
            known = known_heads.find_old(raw_head)
            if known is None:
                return None
            known_heads.admit(raw_head, known, _cost_bytes(raw_head, known.plan))
        if self.confirm(known.plan):
            return known
        known_heads.discard(raw_head)
        return None

    def look_at(self, data: bytes, ends: Ends) -> KnownHead | Unanswered | None:
        """Return the answer to `data`, rendered for this second, or None if `data` is not one whole head."""
        if (
            not data.endswith(HEAD_END)
            or data.find(HEAD_END) != len(data) - len(HEAD_END)
            or data.startswith(b"\r")
            or len(data) == RECEIVE_BYTES
        ):
            return None
        known = self.recall(data) or self.answer(data, ends)
        if isinstance(known, KnownHead) and known.plan.second != self.clock.second:
            self.render(known.plan)
        return known

    def confirm(self, plan: Plan) -> bool:
        """Whether `plan` may still be used; asks its validity when its time is up."""
        now_s = self.clock.now_s
        if now_s < plan.valid_until_s and (not plan.rest or plan.has_open_files):
            return True
        return plan.still_holds(now_s)

    def answer(self, raw_head: bytes, ends: Ends) -> KnownHead | Unanswered:
        """Parse `raw_head`, which ends with its blank line, and find or make the plan that answers it."""
        try:
            head = self._parser.parse(raw_head)
        except PeerError as error:
            return self.refuse(error, raw_head)
        head.wants_close = head.wants_close or self._is_draining
        if _is_repeatable(head):
            plan = self._recall_plan(self._key(head))
            if plan is not None:
                return self._remember(raw_head, KnownHead(head, plan))
        request, answer = self._answering.begin(head, ends)
        return self._admit(request, raw_head, answer)

    def complete(self, unanswered: Unanswered, outcome: object) -> KnownHead | Unanswered:
        """Return the answer that `unanswered` stood in for, or what stands in for it now.

        Args:
            unanswered: what `answer` returned, or this method.
            outcome: what was made of it in a thread: a response, what is left to do here, or the exception that was
                raised instead.
        """
        request = unanswered.request
        head = request.head
        answer: Answer
        if isinstance(unanswered, Taking):
            answer = self._answering.end_taking(head, outcome, is_whole=unanswered.is_whole)
        else:
            answer = self._answering.go_on(head, outcome)
        return self._admit(request, unanswered.raw_head, answer)

    def _recall_plan(self, key: PlanKey) -> Plan | None:
        plan = self._plans.young.get(key) or self._plans.find_old(key)
        return plan if plan is not None and self.confirm(plan) else None

    def _admit(self, request: Request, raw_head: bytes, answer: Answer) -> KnownHead | Unanswered:
        """Wrap `answer`, and remember it if it may be used again."""
        if isinstance(answer, Deferred):
            return Pending(request, raw_head, answer)
        if isinstance(answer, Receiving):
            return Taking(request, raw_head, answer)
        answer.request = request
        head = request.head
        known = KnownHead(head, answer)
        if not answer.is_reusable or not _is_repeatable(head):
            return known
        request.head = NO_HEAD  # each use brings its own, and this one would be kept for nothing
        if not answer.is_particular:
            self._plans.offer(self._key(head), answer, answer.cost_bytes)
        return self._remember(raw_head, known)

    def _remember(self, raw_head: bytes, known: KnownHead) -> KnownHead:
        plan = known.plan
        if plan.is_reusable and len(raw_head) < RECEIVE_BYTES:
            # A head that fills a whole read would leave the connection not knowing whether more has arrived.
            self.known_heads.offer(raw_head, known, _cost_bytes(raw_head, plan))
        return known

    def fault_in(self, unfinished: bytes) -> PeerError | None:
        """Return what is wrong with a head whose end has not arrived, if that can be told already."""
        limits = self.limits
        try:
            check_unfinished(
                unfinished,
                target_bytes_max=limits.target_bytes_max,
                head_bytes_max=limits.head_bytes_max,
            )
        except PeerError as error:
            return error
        return None

    def refuse(
        self, error: PeerError, received: bytes, head: RequestHead | None = None
    ) -> KnownHead:
        """Return the answer to a peer that broke the protocol; the connection ends with it.

        Args:
            error: what it did.
            received: by which bytes.
            head: of the request whose content was at fault, or None when the head was.
        """
        known = KnownHead(head, self._answering.refuse(head, error))
        known.request_line = received[:REQUEST_LINE_LOGGED_MAX].split(b"\r\n", 1)[0]
        return known

    def _key(self, head: RequestHead) -> PlanKey:
        fields = head.fields
        return (
            head.method,
            head.request_target,
            head.minor_version,
            head.wants_close,
            fields.get(b"host"),
            *map(fields.get, self._depends_on),
        )


def _is_repeatable(head: RequestHead) -> bool:
    """Whether the same head may be sent again and mean the same."""
    return head.method in (b"GET", b"HEAD") and not (head.has_content or head.expects_continue)


def _cost_bytes(raw_head: bytes, plan: Plan) -> int:
    """What remembering a head costs; its plan is counted too, for the head may be the last that keeps it."""
    return len(raw_head) + KNOWN_HEAD_COST_BYTES + plan.cost_bytes
