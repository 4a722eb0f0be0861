"""An answer on its way: what is left of it, and whether the peer still takes any."""

from __future__ import annotations

import sys

from chute.plan.plan import KnownHead
from chute.transfer.outbox import Outbox
from chute.transfer.progress import Progress
from chute.transfer.sending import Send, unacknowledged_bytes


class Carrying:
    """The rest of one answer, for a connection whose socket did not take it at once.

    Attributes:
        known: the request and its plan.
        outbox: what is left to send; holds the files until it is done or abandoned.
    """

    __slots__ = ("_acknowledged", "_fd", "known", "outbox")

    def __init__(
        self, fd: int, send: Send, known: KnownHead, *, already_sent: int, copy_reason: bytes | None
    ) -> None:
        """Take over an answer of which `already_sent` bytes have left.

        Args:
            fd: the socket's descriptor, borrowed.
            send: `socket.send` of the same socket.
            known: the request and its plan; what the plan owned is the outbox's from now on.
            already_sent: bytes of the plan that the socket has taken.
            copy_reason: why sendfile must not be used, or None.
        """
        plan = known.plan
        self._fd = fd
        self._acknowledged = -sys.maxsize
        self.known = known
        self.outbox = Outbox(
            fd,
            send,
            (plan.payload, *plan.rest),
            already_sent=already_sent,
            copy_reason=copy_reason,
        )
        plan.let_go()

    def step(self, budget: int) -> tuple[Progress, bool]:
        """Send up to `budget` bytes.

        Returns:
            How far that went, and whether the socket took anything.

        Raises:
            TransferError: the answer cannot be completed; see `Outbox.flush`.
        """
        sent_before = self.outbox.sent
        progress = self.outbox.flush(budget)
        has_moved = self.outbox.sent > sent_before
        if has_moved and progress is Progress.BLOCKED:
            self.peer_has_taken_more()
        return progress, has_moved

    def peer_has_taken_more(self) -> bool:
        """Whether the peer has acknowledged bytes since the last step that ended in a full buffer.

        That, and not room in the send buffer, is progress: the buffer may hold megabytes, and reports room only when
        a third of it is free, which at ten kilobytes a second takes an honest client longer than any time-out.
        """
        acknowledged = self.outbox.sent - unacknowledged_bytes(self._fd)
        has_more = acknowledged > self._acknowledged
        self._acknowledged = acknowledged
        return has_more
