"""An answer on its way: what is left of it, and whether the peer still takes any."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from chute.errors import FileShrank, PeerGone, TransferError
from chute.plan.plan import KnownHead
from chute.transfer.outbox import Outbox
from chute.transfer.progress import Progress
from chute.transfer.read_ahead import Outcome, ReadAhead, Reading
from chute.transfer.sending import Send


class Carrying:
    """The rest of one answer, for a connection whose socket did not take it at once.

    Attributes:
        known: the request and its plan.
        outbox: what is left to send; holds the files until it is done or abandoned.
        waits_for_disk: whether content is being read in a thread; nothing can be sent meanwhile.
    """

    __slots__ = (
        "_has_been_read",
        "_outcome",
        "_reader",
        "_reading",
        "known",
        "outbox",
        "waits_for_disk",
    )

    def __init__(self, fd: int, send: Send, known: KnownHead, *, already_sent: int) -> None:
        """Take over an answer of which `already_sent` bytes have left.

        Args:
            fd: the socket's descriptor, borrowed.
            send: `socket.send` of the same socket.
            known: the request and its plan; what the plan owned is the outbox's from now on.
            already_sent: bytes of the plan that the socket has taken.
        """
        plan = known.plan
        self.known = known
        self.waits_for_disk = False
        self._has_been_read = False
        self._outcome: Outcome = None
        self._reader: ReadAhead | None = None
        self._reading: Reading | None = None
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
        sent_before = self.outbox.sent
        progress = self.outbox.flush(budget)
        has_moved = self.outbox.sent > sent_before
        return progress, has_moved

    def have_read(self, reader: ReadAhead, then: Callable[[], None]) -> None:
        """Have content read that is not in memory, after a step that ended with COLD.

        Args:
            reader: whose threads read it.
            then: called when another step makes sense.
        """
        wanted = self.outbox.wanted
        assert wanted is not None, "only after COLD"
        self.waits_for_disk = True
        self._reader = reader
        self._reading = reader.submit(wanted, partial(self._on_read, then))

    def give_up(self) -> None:
        """Give everything back: the answer has ended, whether or not all of it has left."""
        if self.waits_for_disk:
            assert self._reader is not None
            assert self._reading is not None
            self._reader.cancel(self._reading)
        self.outbox.abandon()

    def _on_read(self, then: Callable[[], None], outcome: Outcome) -> None:
        self._outcome = outcome
        self._has_been_read = True
        self.waits_for_disk = False
        then()


def why_it_ended(error: TransferError) -> str:
    """Return what the log should say of an answer that ended early; nothing when only the peer has left."""
    if isinstance(error, PeerGone):
        return ""
    return f"the file was {error}" if isinstance(error, FileShrank) else str(error)
