"""The exchanges of one socket: a request in, an answer out, and again.

Theory of operation. A connection is in one of a few states (`states`), and everything it does is one *step* of that
state: take a head out of the buffer and answer it, read more, carry a chunk of an answer, throw request content away.
`_run` takes steps until one of them has to wait, or until the turn is over; then the connection queues behind the
others (`ready`).

Invariants: at most one answer is on its way, so answers leave in the order of the requests; nothing is read while an
answer is on its way, so what a peer can make us keep is one head and one read, and two blocks of content that somebody
asked for; the socket is closed by the poller after the batch, once, and everything a connection holds (files, its place
in the timers) is given back before that.
"""

from __future__ import annotations

import logging
import socket

from chute.engine.at_once import send_at_once
from chute.engine.carrying import Carrying, why_it_ended
from chute.engine.connections import Connections
from chute.engine.endpoint import Endpoint
from chute.engine.limits import (
    CONTENT_RECEIVE_BYTES,
    LINGER_BYTES_MAX,
    RECEIVE_BYTES,
    STEPS_PER_TURN,
    WORK_TIMEOUT_S,
)
from chute.engine.pending import Pending
from chute.engine.service import HEAD_END, Service, Unanswered
from chute.engine.states import State
from chute.engine.taking import Taking
from chute.errors import PeerError, TransferError
from chute.exchange import Ends
from chute.http1.encode import CONTINUE
from chute.http1.framing import BodyDecoder, decoder_for
from chute.plan.plan import KnownHead
from chute.streams import FAILED, HUNG_UP, WRITABLE
from chute.transfer.carrier import BUFFER, SENDFILE
from chute.transfer.progress import Progress

logger = logging.getLogger("chute.engine")

_NOT_READING = frozenset({State.WAITING, State.CARRYING, State.CLOSED})


class Exchanging(Endpoint):
    """One accepted socket; owns it until it is closed.

    Attributes:
        state: see `State`.
    """

    __slots__ = (
        "_buffer",
        "_carrying",
        "_content",
        "_ends",
        "_is_idle",
        "_is_in_head",
        "_is_paused",
        "_log_peer",
        "_pending",
        "_service",
        "_started_s",
        "_taking",
        "_to_discard",
        "state",
    )

    def __init__(
        self, sock: socket.socket, ends: Ends, service: Service, connections: Connections
    ) -> None:
        """Take over `sock`, which must be non-blocking and is closed by this connection.

        Args:
            sock: the accepted socket.
            ends: of the connection.
            service: answers requests.
            connections: what all connections share.
        """
        super().__init__(sock, connections, service.clock, service.limits.head_timeout_s)
        self._service = service
        self._ends = ends
        self._log_peer = service.noting.peer(ends)
        self._buffer = b""
        self._carrying: Carrying | None = None
        self._content: BodyDecoder | None = None
        self._pending: Pending | None = None
        self._taking: Taking | None = None
        self._started_s = 0.0
        self._to_discard = LINGER_BYTES_MAX
        self._is_idle = True
        self._is_in_head = False
        self._is_paused = False
        self.state = State.READING

    # ------------------------------------------------------------------ what the engine calls

    def resume(self) -> None:
        """Go on after the others have had their turn."""
        self._is_queued = False
        self._run()

    def on_deadline(self) -> None:
        """Give up on a peer that took too long, telling it so where that can help."""
        if self.state is State.READING and self._buffer:
            self._refuse(PeerError("the request took too long to arrive", status_hint=408))
            self._run()
        elif self._taking is not None and self._taking.has_room:
            self._refuse(PeerError("the content took too long to arrive", status_hint=408))
            self._run()
        elif self._carrying is None:
            unanswered = self._pending or self._taking
            if unanswered is not None:
                logger.warning(
                    "answering %r takes too long", unanswered.request.head.request_target
                )
            self._close()
        elif self._is_paused:
            self._is_paused = False
            self._arm(self._service.limits.send_timeout_s)
            self._queue()
        elif self._carrying.is_waiting:
            is_reading = self._carrying.outbox.wanted is not None
            self._abort(f"timed out {'reading the file' if is_reading else 'making the content'}")
        elif self._carrying.outbox.peer_has_taken_more():
            self._arm(self._service.limits.send_timeout_s)
        else:
            self._abort("timed out")

    def on_failure(self, error: Exception) -> None:
        """End this connection after a fault of our own; the others go on."""
        logger.error("a connection failed: %s", error, exc_info=error)
        self.abort()

    def abort(self) -> None:
        """Close now, whatever is on its way; an unfinished answer is logged as aborted."""
        if self.state is State.CARRYING:
            self._abort("")
        else:
            self._close()

    @property
    def wants_read(self) -> bool:
        """See `streams.Waiter`."""
        if self._taking is not None and not self._taking.has_room:
            return False
        return not self._is_queued and self.state not in _NOT_READING

    @property
    def wants_write(self) -> bool:
        """See `streams.Waiter`."""
        carrying = self._carrying
        return not (self._is_queued or self._is_paused or carrying is None or carrying.is_waiting)

    # ------------------------------------------------------------------ steps

    def _on_change(self, mask: int) -> None:
        """Remember what has become possible, and go on if that is what was waited for."""
        self._note_readiness(mask)
        if self._is_queued:
            return
        carrying = self._carrying
        is_busy = self._is_paused or self._pending is not None
        if self._taking is not None:
            is_busy = not self._taking.has_room
        elif carrying is not None and carrying.is_waiting:
            is_busy = True
        if is_busy:
            if mask & (HUNG_UP | FAILED):
                self.abort()  # nobody is there to wait with
            return
        if self.state is State.CARRYING and not mask & (WRITABLE | HUNG_UP | FAILED):
            return
        self._is_idle = False
        self._run()

    def _run(self) -> None:
        """Take steps until one has to wait, or the turn is over."""
        for _ in range(STEPS_PER_TURN):
            if not self._step():
                return
        self._queue()

    def _step(self) -> bool:
        """Take one step of the current state; return whether another may follow at once."""
        match self.state:
            case State.READING:
                return self._take_head() or self._read()
            case State.CARRYING:
                return self._carry()
            case State.WAITING:
                return False
            case State.TAKING:
                return self._take_content()
            case State.DISCARDING:
                return self._discard()
            case State.LINGERING:
                return self._linger()
            case State.CLOSED:
                return False

    def _read(self) -> bool:
        data = self._receive()
        if data is None:
            self._is_idle = not self._buffer
            return False
        self._take_in(data)
        return self.state is State.READING

    def _take_in(self, data: bytes) -> None:
        """Add what was read to the buffer; the end of input ends a connection that is reading."""
        if not data:
            self._close()
            return
        if not self._is_in_head:
            self._is_in_head = True
            self._arm(self._service.limits.head_timeout_s)
        self._buffer += data
        if len(data) == RECEIVE_BYTES:
            self._may_read = True

    def _take_head(self) -> bool:
        """Answer the first request in the buffer, if its head is complete."""
        buffer = self._buffer
        if not buffer:
            return False
        if buffer.startswith(b"\r\n"):  # one empty line is forgiven (RFC 9112, 2.2)
            buffer = self._buffer = buffer[2:]
        end = buffer.find(HEAD_END) + len(HEAD_END)
        service = self._service
        if end < len(HEAD_END):
            fault = service.fault_in(buffer)
            if fault is not None:
                self._refuse(fault)
            return fault is not None
        raw_head = buffer if end == len(buffer) else buffer[:end]
        self._buffer = buffer[end:]
        self._start(service.recall(raw_head) or service.answer(raw_head, self._ends))
        return True

    def _start(self, known: KnownHead | Unanswered) -> None:
        """Begin the exchange that a head has opened."""
        self._started_s = self._service.clock.now_s
        self._go_on(known)

    def _go_on(self, known: KnownHead | Unanswered) -> None:
        if isinstance(known, Pending):
            self.state = State.WAITING
            self._pending = known
            known.listen(self._on_answer)
            self._arm(WORK_TIMEOUT_S)
            self._connections.threads.submit(known)
        elif isinstance(known, Taking):
            self._begin_taking(known)
        else:
            head = known.head
            if head is not None and known.plan.keeps_alive and head.has_content:
                self._content = decoder_for(head, self._service.limits.content_bytes_max)
            self._begin(known)

    def _on_answer(self, unanswered: Unanswered, outcome: object) -> None:
        """Send the answer that a thread has made, or do what is left to do for it."""
        self._pending = self._taking = None
        known = self._service.complete(unanswered, outcome)
        if isinstance(known, KnownHead) and isinstance(unanswered, Taking):
            self._begin(known)  # its content is not to be read away
        else:
            self._go_on(known)
        self._queue()

    def _refuse(self, error: PeerError) -> None:
        """Answer a peer that broke the protocol; nothing it sent is read as a request any more."""
        head = None
        if self._taking is not None:
            head = self._taking.request.head
            self._taking.give_up()
            self._taking = None
        self._go_on(self._service.refuse(error, self._buffer, head))

    def _begin_taking(self, taking: Taking) -> None:
        self.state = State.TAKING
        self._taking = taking
        taking.begin(self._connections.threads, self._on_answer, self._queue)
        self._arm(self._service.limits.body_timeout_s)
        if taking.request.head.expects_continue and not self._buffer:
            try:
                is_told = self._send(CONTINUE) == len(CONTINUE)
            except OSError:
                is_told = False
            if not is_told:  # it takes a peer that has not read what it was sent before
                self._close()

    def _take_content(self) -> bool:
        """Feed what has arrived to whoever asked for it, as long as there is room."""
        taking = self._taking
        assert taking is not None
        if self._buffer:
            try:
                self._buffer = taking.feed(self._buffer)
            except PeerError as error:
                self._refuse(error)
                return True
        if not taking.has_room:
            self._arm(WORK_TIMEOUT_S)
            return False
        self._arm(self._service.limits.body_timeout_s)
        data = self._receive(CONTENT_RECEIVE_BYTES)
        if data is None:
            return False
        if not data:
            self._close()
            return False
        self._buffer = data
        self._queue()  # content in many small chunks takes its time, and the others have theirs
        return False

    def _begin(self, known: KnownHead) -> None:
        plan = known.plan
        if plan.second != self._service.clock.second:
            self._service.render(plan)
        sent = 0
        if plan.is_quick or not (plan.rest or plan.production):
            sent = send_at_once(self.fd, self._send, plan, self._service)
            if sent == plan.total_bytes:
                plan.let_go()
                self._finish(known, sent, BUFFER if plan.span is None else SENDFILE)
                return
        self._begin_carrying(known, sent)

    def _begin_carrying(self, known: KnownHead, sent: int) -> None:
        service = self._service
        self._carrying = Carrying(
            self.fd,
            self._send,
            known,
            self._connections.threads,
            service.clock.now_s,
            already_sent=sent,
        )
        self.state = State.CARRYING
        self._arm(service.limits.send_timeout_s)

    def _carry(self) -> bool:
        carrying = self._carrying
        assert carrying is not None
        if carrying.is_waiting or self._is_paused:
            return False
        limits = self._service.limits
        budget = limits.chunk_bytes_max
        if carrying.pace is not None:
            allowance = carrying.pace.allowance(carrying.outbox.sent, self._service.clock.now_s)
            if not allowance:
                self._is_paused = True
                self._arm(carrying.pace.pause_s())
                return False
            budget = min(budget, allowance)
        try:
            progress, has_moved = carrying.step(budget)
        except TransferError as error:
            self._abort(why_it_ended(error))
            return False
        if progress is Progress.DONE:
            self._carrying = None
            carrying.give_up()
            self._finish(carrying.known, carrying.outbox.sent, carrying.outbox.carried)
            return True
        if has_moved:
            self._arm(limits.send_timeout_s)
        if progress is Progress.YIELDED:
            self._queue()
        elif progress is Progress.COLD:
            # The disk has as long as the peer would have; what has to be made, as long as other work.
            is_reading = carrying.outbox.wanted is not None
            self._arm(limits.send_timeout_s if is_reading else WORK_TIMEOUT_S)
            carrying.have_content(self._connections.read_ahead, then=self._on_content)
        return False

    def _on_content(self) -> None:
        """Go on sending: it is the peer's turn again, and its time that counts."""
        self._arm(self._service.limits.send_timeout_s)
        self._queue()

    def _finish(self, known: KnownHead, sent: int, carried: bytes) -> None:
        """Note a complete answer, and decide what the connection does next."""
        self._note(known, sent, carried)
        if not known.plan.keeps_alive:
            self._end_output(known)
        elif self._content is not None:
            self.state = State.DISCARDING
            self._arm(self._service.limits.body_timeout_s)
        else:
            self._expect_head()

    def _expect_head(self) -> None:
        """Wait for the next request; what has arrived of it makes the head's deadline begin now."""
        limits = self._service.limits
        self.state = State.READING
        self._is_in_head = bool(self._buffer)
        self._arm(limits.head_timeout_s if self._is_in_head else limits.keep_alive_timeout_s)

    def _end_output(self, known: KnownHead) -> None:
        """Close, or first wait for a peer that may still be sending.

        Closing a socket with unread input makes the kernel send a reset, which can destroy the answer in the peer's
        receive buffer before it was read (RFC 9112, 9.6). So output is closed first, and input is read to its end.
        """
        head = known.head
        all_read = not (self._buffer or self._may_read)
        if all_read and head is not None and not (head.has_content or head.expects_continue):
            self._close()
            return
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._close()
            return
        self._buffer = b""
        self._may_read = True
        self.state = State.LINGERING
        self._arm(self._service.limits.linger_timeout_s)

    def _discard(self) -> bool:
        """Throw away the content of a request that was answered without it."""
        decoder = self._content
        assert decoder is not None
        if self._buffer:
            try:
                _, consumed = decoder.feed(self._buffer)
            except PeerError:
                self._close()  # the answer has left; there is no second one to refuse with
                return False
            self._buffer = self._buffer[consumed:]
        if decoder.is_complete:
            self._content = None
            self._expect_head()
            return True
        data = self._receive()
        if data is None:
            return False
        if not data:
            self._close()
            return False
        self._arm(self._service.limits.body_timeout_s)
        self._buffer = data
        return True

    def _linger(self) -> bool:
        data = self._receive()
        if data is None:
            return False
        self._to_discard -= len(data)
        if not data or self._to_discard < 0:
            self._close()
            return False
        return True

    # ------------------------------------------------------------------ the end, the log, the deadline

    def _abort(self, reason: str) -> None:
        """End an answer half way. The connection is unusable: the peer was promised more bytes than it gets."""
        carrying = self._carrying
        assert carrying is not None
        known, outbox = carrying.known, carrying.outbox
        if reason:
            target = b"" if known.head is None else known.head.request_target
            logger.warning("sending %r ended early: %s", target, reason)
        self._note(known, outbox.sent, outbox.carried, is_complete=False)
        self._close()

    def _note(
        self, known: KnownHead, sent: int, carried: bytes, *, is_complete: bool = True
    ) -> None:
        note = self._service.noting.note
        peer, started_s = self._log_peer, self._started_s
        note(self._ends, peer, known, started_s, sent, carried, is_complete=is_complete)

    def _close(self) -> None:
        """Give everything back; the poller closes the socket when the batch is over."""
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        self._is_idle = False
        self._buffer = b""
        self._content = None
        unanswered = self._pending or self._taking
        if unanswered is not None:
            self._service.noting.note_unanswered(self._ends, unanswered.request, self._started_s)
        if self._pending is not None:
            self._pending.forget(is_dropped=self._connections.threads.cancel(self._pending))
            self._pending = None
        if self._taking is not None:
            self._taking.give_up()
            self._taking = None
        if self._carrying is not None:
            self._carrying.give_up()
            self._carrying = None
        self._retire()
