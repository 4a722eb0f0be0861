"""What becomes of finished answers: a count of them, and lines in the logs of their sites.

A line is made of three parts, because two of them repeat (`exchange.LineFormat`). Where a site has one log, in the
format that most of the listener's sites have, and every answer is noted there, the third part of a usual answer is made
once and kept with the request head: such a line costs the hot path one list append. Any other line is made when it is
due.
"""

from __future__ import annotations

from chute.clock import Clock, monotonic_s
from chute.engine.tally import Tally
from chute.exchange import Answered, Ends, Journal, LineFormat, Lines, Request
from chute.plan.plan import KnownHead, Plan
from chute.transfer.carrier import BUFFER, SENDFILE

NO_TIME_S = 0.0005
"""A duration below it is logged as 0.000, so that such a log line can be made in advance."""

UNANSWERED = 499
"""What nginx logs for a request that its client gave up; no status that is ever sent."""


class Noting:
    """Notes the answers of one listener.

    Attributes:
        moment: the part of a line that is the same for all of this second.
    """

    __slots__ = ("_clock", "_format", "_journal", "_second", "_tally", "moment")

    def __init__(
        self,
        journal: Journal | None,
        clock: Clock,
        tally: Tally,
        line_format: LineFormat | None = None,
    ) -> None:
        """Note in `journal` what has no journal of its own.

        Args:
            journal: of the listener's default site; None for none.
            clock: the engine's clock.
            tally: where answers are counted.
            line_format: the one whose lines are made in advance; that of `journal` when left out.
        """
        self._journal = journal
        self._clock = clock
        self._tally = tally
        main = None if journal is None else journal.main
        self._format = main.format if line_format is None and main is not None else line_format
        self._second = -1
        self.moment = b""

    def peer(self, ends: Ends) -> bytes:
        """Return the part of a line that is the same for a whole connection."""
        return b"" if self._format is None else self._format.peer(ends)

    def turn(self, second: int) -> None:
        """Make the time part for a new second; the hot path relies on a plan of this second having had it made."""
        self._second = second
        if self._format is not None:
            self.moment = self._format.moment(second)

    def note(
        self,
        ends: Ends,
        peer: bytes,
        known: KnownHead,
        started_s: float,
        sent: int,
        carried: bytes,
        *,
        is_complete: bool,
    ) -> None:
        """Count an answer that has ended, and note it in the journal of its site.

        Args:
            ends: of the connection.
            peer: what `peer` has made of them.
            known: what was answered.
            started_s: when its head had arrived (monotonic seconds).
            sent: bytes of head and content that the kernel accepted.
            carried: how the content went.
            is_complete: whether that was all of it.
        """
        self._tally.note(carried, sent)
        routed = known.plan.request
        journal = self._journal
        if routed is not None and routed.journal is not None:
            journal = routed.journal
        if journal is None or journal.is_silent:
            known.log_extend = _note_nowhere
            return
        duration_s = monotonic_s() - started_s
        is_usual = is_complete and duration_s < NO_TIME_S and carried in (BUFFER, SENDFILE)
        main = journal.main
        if main is None or main.format is not self._format:
            journal.note(_answered(known, ends, sent, duration_s, carried, is_complete=is_complete))
            return
        rest = known.log_rest
        if known.log_extend is None or not is_usual:
            rest = main.format.rest(
                _answered(known, ends, sent, duration_s, carried, is_complete=is_complete)
            )
            if is_usual and main.format.is_repeatable:
                known.log_rest = rest
                known.log_extend = main.extend
        self._extend(main, peer, rest)

    def note_unanswered(self, ends: Ends, request: Request, started_s: float) -> None:
        """Note a request whose client did not wait for the answer.

        Args:
            ends: of the connection.
            request: the request.
            started_s: when its head had arrived (monotonic seconds).
        """
        plan = Plan(UNANSWERED, (b"", b""), b"", (), keeps_alive=False, validity=None)
        plan.request = request
        known = KnownHead(request.head, plan)
        self.note(ends, self.peer(ends), known, started_s, 0, BUFFER, is_complete=False)

    def _extend(self, lines: Lines, peer: bytes, rest: bytes) -> None:
        if self._second != self._clock.second:
            self.turn(self._clock.second)
        lines.extend((peer, self.moment, rest))


def _answered(
    known: KnownHead,
    ends: Ends,
    sent: int,
    duration_s: float,
    carried: bytes,
    *,
    is_complete: bool,
) -> Answered:
    plan, head = known.plan, known.head
    request = plan.request
    if head is not None:
        if request is None:
            # Refused before it was routed, for its content: what its head says is known all the same.
            request = Request(head, b"", None, head.field_value(b"host") or b"", ends)
        elif plan.is_reusable:
            # The plan was made for another head, maybe, and for one that came by another connection. An id that is
            # made for the line is this answer's own, and not the next one's.
            request = request.of(head, ends)
            request.variables = dict(request.variables or {})
    return Answered(
        head,
        known.request_line,
        plan.status,
        max(0, sent - plan.head_bytes),
        duration_s,
        carried,
        is_complete,
        min(sent, plan.head_bytes),
        request,
        ends,
    )


def _note_nowhere(parts: tuple[bytes, ...]) -> None:
    """Note an answer of a site without logs."""
