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

import logging

from chute.clock import Clock, monotonic_s
from chute.engine.debugging import tell_method
from chute.engine.limits import (
    KNOWN_HEADS_BYTES_MAX,
    KNOWN_HEADS_MAX,
    PLANS_BYTES_MAX,
    PLANS_MAX,
    RECEIVE_BYTES,
    Limits,
)
from chute.engine.pending import Pending
from chute.engine.tally import Tally
from chute.errors import MisuseError, PeerError
from chute.exchange import Deferred, Handler, Request, Response, failure
from chute.http1.head_parser import HeadParser
from chute.http1.unfinished import check_unfinished
from chute.middleware.access_log import AccessLog, Answered
from chute.middleware.error_pages import with_page
from chute.plan.cache import TwoGenerationCache
from chute.plan.compile import compile_plan
from chute.plan.plan import KnownHead, Plan
from chute.semantics.dates import format_http_date
from chute.semantics.messages import RequestHead
from chute.semantics.target import RequestTargetForm, decode_path, split_target
from chute.transfer.carrier import BUFFER, SENDFILE

logger = logging.getLogger("chute.engine")

PlanKey = tuple[object, ...]

KNOWN_HEAD_COST_BYTES = 2500
"""What a remembered head costs beside its bytes: the objects, the parsed field lines, the log line."""

HEAD_END = b"\r\n\r\n"
"""The end of the last field line and the blank line (RFC 9112, 2.1)."""

REQUEST_LINE_LOGGED_MAX = 200
"""Bytes of a request that could not be parsed that are shown in the log."""

MISTAKE = "The server made a mistake; its log says which."

NO_TIME_S = 0.0005
"""A duration below it is logged as 0.000, so that such a log line can be made in advance."""


class Service:
    """Plans, parser, handler, log and limits of one listener.

    Attributes:
        clock: the engine's clock.
        limits: bounds for peers.
        access_log: where finished answers are noted, or None.
        tally: counts how they were carried.
        known_heads: raw heads and what they led to.
    """

    def __init__(
        self,
        handler: Handler,
        depends_on: frozenset[bytes],
        clock: Clock,
        limits: Limits,
        access_log: AccessLog | None,
        tally: Tally,
        *,
        debug_headers: bool = False,
    ) -> None:
        """Answer with `handler`.

        Args:
            handler: answers what no plan answers.
            depends_on: names of the fields that a reusable response of the handler is a function of.
            clock: the engine's clock.
            limits: bounds for peers.
            access_log: where finished answers are noted; owned by the caller.
            tally: where they are counted.
            debug_headers: whether answers say how they are carried (Server-Timing); none is then used again.
        """
        self.clock = clock
        self.limits = limits
        self.access_log = access_log
        self.tally = tally
        self.known_heads: TwoGenerationCache[bytes, KnownHead] = TwoGenerationCache(
            entries_max=KNOWN_HEADS_MAX, bytes_max=KNOWN_HEADS_BYTES_MAX
        )
        self._plans: TwoGenerationCache[PlanKey, Plan] = TwoGenerationCache(
            entries_max=PLANS_MAX, bytes_max=PLANS_BYTES_MAX
        )
        self._handler = handler
        self._depends_on = depends_on
        self._debug_headers = debug_headers
        self._parser = HeadParser(
            target_bytes_max=limits.target_bytes_max,
            head_bytes_max=limits.head_bytes_max,
            fields_max=limits.fields_max,
        )
        self._date = b""
        self._date_second = -1

    def change_rules(self, handler: Handler, depends_on: frozenset[bytes]) -> None:
        """Answer with another handler from now on: a new generation of the configuration.

        Everything that was prepared under the old rules is dropped; answers on their way are not touched.
        """
        self._handler = handler
        self._depends_on = depends_on
        self.known_heads.clear()
        self._plans.clear()

    def render(self, plan: Plan) -> None:
        """Give `plan` the Date of this second."""
        second = self.clock.second
        if second != self._date_second:
            self._date = format_http_date(second) or b""
            self._date_second = second
            if self.access_log is not None:
                # The hot path relies on it: a plan of this second means a log part of this second.
                self.access_log.turn(second)
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

    def look_at(self, data: bytes) -> KnownHead | Pending | None:
        """Return the answer to `data`, rendered for this second, or None if `data` is not one whole head."""
        if (
            not data.endswith(HEAD_END)
            or data.find(HEAD_END) != len(data) - len(HEAD_END)
            or data.startswith(b"\r")
            or len(data) == RECEIVE_BYTES
        ):
            return None
        known = self.recall(data) or self.answer(data)
        if isinstance(known, KnownHead) and known.plan.second != self.clock.second:
            self.render(known.plan)
        return known

    def confirm(self, plan: Plan) -> bool:
        """Whether `plan` may still be used; asks its validity when its time is up."""
        now_s = self.clock.now_s
        if now_s < plan.valid_until_s and (not plan.rest or plan.has_open_files):
            return True
        return plan.still_holds(now_s)

    def answer(self, raw_head: bytes) -> KnownHead | Pending:
        """Parse `raw_head`, which ends with its blank line, and find or make the plan that answers it."""
        try:
            head = self._parser.parse(raw_head)
        except PeerError as error:
            return self.refuse(error, raw_head)
        if not _is_repeatable(head):
            made = self._make_plan(head)
            if isinstance(made, Deferred):
                return Pending(head, raw_head, made)
            return KnownHead(head, made)
        key = self._key(head)
        plan = self._plans.young.get(key) or self._plans.find_old(key)
        if plan is None or not self.confirm(plan):
            made = self._make_plan(head)
            if isinstance(made, Deferred):
                return Pending(head, raw_head, made)
            plan = made
            if plan.is_reusable:
                self._plans.offer(key, plan, plan.cost_bytes)
        return self._remember(raw_head, KnownHead(head, plan))

    def complete(self, pending: Pending, outcome: object) -> KnownHead:
        """Return the answer that `pending` was waiting for.

        Args:
            pending: what `answer` returned.
            outcome: the response that was made for it, or the exception that was raised instead.
        """
        head = pending.head
        keeps_alive = not (head.wants_close or head.expects_continue)
        if isinstance(outcome, Response):
            response = outcome
        else:
            logger.error("answering %r failed: %r", head.request_target, outcome, exc_info=outcome)  # type: ignore[arg-type]
            response = failure(500, MISTAKE)
        plan = self._compile(head, response, keeps_alive=keeps_alive)
        known = KnownHead(head, plan)
        if not plan.is_reusable or not _is_repeatable(head):
            return known
        self._plans.offer(self._key(head), plan, plan.cost_bytes)
        return self._remember(pending.raw_head, known)

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

    def refuse(self, error: PeerError, received: bytes) -> KnownHead:
        """Return the answer to a peer that broke the protocol by `received`; the connection ends with it."""
        response = with_page(failure(error.status_hint, _sentence(error)), None)
        known = KnownHead(None, compile_plan(response, None, keeps_alive=False))
        known.request_line = received[:REQUEST_LINE_LOGGED_MAX].split(b"\r\n", 1)[0]
        return known

    def note(
        self,
        peer: bytes,
        known: KnownHead,
        started_s: float,
        sent: int,
        carried: bytes,
        *,
        is_complete: bool,
    ) -> None:
        """Write the access-log line of an answer that has ended.

        Args:
            peer: the part of the line that is the connection's.
            known: what was answered.
            started_s: when its head had arrived (monotonic seconds).
            sent: bytes of head and content that the kernel accepted.
            carried: how the content went.
            is_complete: whether that was all of it.
        """
        log = self.access_log
        self.tally.note(carried, sent)
        duration_s = monotonic_s() - started_s
        is_usual = is_complete and duration_s < NO_TIME_S and carried in (BUFFER, SENDFILE)
        rest = known.log_rest
        if rest is None or not is_usual:
            rest = b""
            if log is not None:
                rest = log.format.rest(
                    Answered(
                        known.head,
                        known.request_line,
                        known.plan.status,
                        max(0, sent - known.plan.head_bytes),
                        duration_s,
                        carried,
                        is_complete,
                    )
                )
            if is_usual:
                known.log_rest = rest
        if log is not None:
            if log.second != self.clock.second:
                log.turn(self.clock.second)
            log.extend((peer, log.moment, rest))

    def _key(self, head: RequestHead) -> PlanKey:
        fields = head.fields
        depends_on = self._depends_on
        common = (
            head.method,
            head.request_target,
            head.minor_version,
            head.wants_close,
            fields.get(b"host"),
        )
        if depends_on.isdisjoint(fields):
            return common
        return (*common, *[(name, fields.get(name)) for name in depends_on])

    def _make_plan(self, head: RequestHead) -> Plan | Deferred:
        keeps_alive = not (head.wants_close or head.expects_continue)
        response: Response | Deferred
        try:
            response = self._respond(head)
        except PeerError as error:
            keeps_alive = False
            response = failure(error.status_hint, _sentence(error))
        if isinstance(response, Deferred):
            return response
        return self._compile(head, response, keeps_alive=keeps_alive)

    def _compile(self, head: RequestHead, response: Response, *, keeps_alive: bool) -> Plan:
        accept = head.field_value(b"accept")
        if self._debug_headers:
            tell_method(response, head)
        try:
            return compile_plan(with_page(response, accept), head, keeps_alive=keeps_alive)
        except MisuseError:
            logger.exception("the answer to %r cannot be sent", head.request_target)
            response.release()
            page = with_page(failure(500, MISTAKE), accept)
            return compile_plan(page, head, keeps_alive=keeps_alive)

    def _respond(self, head: RequestHead) -> Response | Deferred:
        if head.content_length > self.limits.content_bytes_max:
            raise PeerError("the content is larger than the limit", status_hint=413)
        target = split_target(head.method, head.request_target)
        if target.form is RequestTargetForm.ASTERISK:
            return Response(204, [(b"Allow", b"GET, HEAD, OPTIONS")])
        if target.form is RequestTargetForm.AUTHORITY:
            return failure(405, "This server does not open tunnels.", [(b"Allow", b"GET, HEAD")])
        authority = target.authority or head.field_value(b"host") or b""
        request = Request(head, decode_path(target.path), target.query, authority)
        try:
            return self._handler(request)
        except PeerError:
            raise
        except Exception:
            logger.exception("answering %r failed", head.request_target)
            return failure(500, MISTAKE)


def _is_repeatable(head: RequestHead) -> bool:
    """Whether the same head may be sent again and mean the same."""
    return head.method in (b"GET", b"HEAD") and not (head.has_content or head.expects_continue)


def _cost_bytes(raw_head: bytes, plan: Plan) -> int:
    """What remembering a head costs; its plan is counted too, for the head may be the last that keeps it."""
    return len(raw_head) + KNOWN_HEAD_COST_BYTES + plan.cost_bytes


def _sentence(error: PeerError) -> str:
    text = str(error)
    return text[:1].upper() + text[1:] + "."
