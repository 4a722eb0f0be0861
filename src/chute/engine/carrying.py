"""An answer on its way: what is left of it, and whether the peer still takes any."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from chute.engine.pacing import Pace
from chute.engine.producing import Producing
from chute.errors import FileShrank, PeerGone, TransferError
from chute.plan.plan import KnownHead
from chute.transfer.outbox import Outbox
from chute.transfer.progress import Progress
from chute.transfer.read_ahead import Outcome, ReadAhead, Reading
from chute.transfer.sending import Send
from chute.transfer.threads import Job, Threads


class Carrying:
    """The rest of one answer, for a connection whose socket did not take it at once.

    Attributes:
        known: the request and its plan.
        outbox: what is left to send; holds the files until it is done or abandoned.
        is_waiting: whether content is being read or made in a thread; nothing can be sent meanwhile.
        pace: says how much may leave by now, or None.
    """

    __slots__ = (
        "_has_been_made",
        "_has_been_read",
        "_outcome",
        "_producing",
        "_reader",
        "_reading",
        "_threads",
        "is_waiting",
        "known",
        "outbox",
        "pace",
    )

    def __init__(
        self,
        fd: int,
        send: Send,
        known: KnownHead,
        threads: Threads[Job],
        now_s: float,
        *,
        already_sent: int,
    ) -> None:
        """Take over an answer of which `already_sent` bytes have left.

        Args:
            fd: the socket's descriptor, borrowed.
            send: `socket.send` of the same socket.
            known: the request and its plan; what the plan owned is this object's from now on.
            threads: make content, if it is made while it is sent.
            now_s: monotonic seconds.
            already_sent: bytes of the plan that the socket has taken.
        """
        plan = known.plan
        self.known = known
        self.is_waiting = False
        self.pace = None if plan.rate is None else Pace(plan.rate, now_s)
        self._has_been_read = False
        self._has_been_made = False
        self._outcome: Outcome = None
        self._reader: ReadAhead | None = None
        self._reading: Reading | None = None
        self._threads = threads
        self._producing: Producing | None = None
        if plan.production is not None:
            self._producing = Producing(plan.production, is_chunked=plan.is_chunked)
            plan.production = None
        self.outbox = Outbox(fd, send, (plan.payload, *plan.rest), already_sent=already_sent)
        plan.let_go()

    def step(self, budget: int) -> tuple[Progress, bool]:
        """Send up to `budget` bytes.

        Returns:
            How far that went, and whether the socket took anything.

        Raises:
            TransferError: the answer cannot be completed; see `Outbox.flush`.
        """
        if self._has_been_read:
            self._has_been_read = False
            self.outbox.was_read(self._outcome)
            self._outcome = None
        if self._has_been_made:
            self._has_been_made = False
            assert self._producing is not None
            self._producing.move_to(self.outbox)
        sent_before = self.outbox.sent
        progress = self.outbox.flush(budget)
        has_moved = self.outbox.sent > sent_before
        if progress is Progress.DONE and self.is_unfinished:
            progress = Progress.COLD
        return progress, has_moved

    def have_content(self, reader: ReadAhead, then: Callable[[], None]) -> None:
        """Have content made, or read that is not in memory, after a step that ended with COLD.

        Args:
            reader: whose threads read it.
            then: called when another step makes sense.
        """
        self.is_waiting = True
        wanted = self.outbox.wanted
        if wanted is None:
            assert self._producing is not None, "only after COLD"
            self._producing.ask(self._threads, partial(self._on_made, then))
            return
        self._reader = reader
        self._reading = reader.submit(wanted, partial(self._on_read, then))

    def give_up(self) -> None:
        """Give everything back: the answer has ended, whether or not all of it has left."""
        if self._producing is not None:
            self._producing.give_up(self._threads)
        if self.is_waiting and self._reading is not None:
            assert self._reader is not None
            self._reader.cancel(self._reading)
        self.outbox.abandon()

    @property
    def is_unfinished(self) -> bool:
        """Whether more content has to be made than has been queued."""
        return self._producing is not None and not self._producing.is_over

    def _on_made(self, then: Callable[[], None]) -> None:
        self._has_been_made = True
        self.is_waiting = False
        then()

    def _on_read(self, then: Callable[[], None], outcome: Outcome) -> None:
        self._outcome = outcome
        self._has_been_read = True
        self.is_waiting = False
        self._reading = None
        then()


def why_it_ended(error: TransferError) -> str:
    """Return what the log should say of an answer that ended early; nothing when only the peer has left."""
    if isinstance(error, PeerGone):
        return ""
    return f"the file was {error}" if isinstance(error, FileShrank) else str(error)
