"""The life of one socket.

Theory of operation. A connection is in one of five states (`states`), and everything it does is one *step* of that
state: take a head out of the buffer and answer it, read more, carry a chunk of an answer, throw request content away.
`_run` takes steps until one of them has to wait, or until the turn is over; then the connection queues behind the
others (`ready`).

Invariants: at most one answer is on its way, so answers leave in the order of the requests; nothing is read while an
answer is on its way, so what a peer can make us keep is one head and one read; the socket is closed by the poller
after the batch, once, and everything a connection holds (files, its place in the timers) is given back before that.

The first lines of `on_event` are the hot path: an idle connection, a known head, an answer that fits into one send.
It does what the steps do, without their generality: 0.5 us in Python instead of 4.6, system calls aside.
"""

from __future__ import annotations

import logging
import socket

from chute.clock import monotonic_s
from chute.engine.carrying import Carrying, why_it_ended
from chute.engine.connections import Connections
from chute.engine.endpoint import Endpoint
from chute.engine.limits import (
    LINGER_BYTES_MAX,
    RECEIVE_BYTES,
    STEPS_PER_TURN,
    WORK_TIMEOUT_S,
)
from chute.engine.pending import Pending
from chute.engine.service import HEAD_END, NO_TIME_S, Service
from chute.engine.states import State
from chute.errors import PeerError, TransferError
from chute.http1.framing import BodyDecoder, decoder_for
from chute.plan.plan import KnownHead, Plan
from chute.streams import FAILED, HUNG_UP, READABLE, WRITABLE
from chute.transfer.carrier import BUFFER, SENDFILE, confirm_residency
from chute.transfer.progress import Progress
from chute.transfer.sendfile import send_with_head

logger = logging.getLogger("chute.engine")

_READABLE_AND_WRITABLE = READABLE | WRITABLE

_NOT_READING = frozenset({State.WAITING, State.CARRYING, State.CLOSED})


class Connection(Endpoint):
    """One accepted socket; owns it until it is closed.

    Attributes:
        state: see `State`.
    """

    __slots__ = (
        "_buffer",
        "_carrying",
        "_content",
        "_is_idle",
        "_is_in_head",
        "_log_peer",
        "_pending",
        "_service",
        "_started_s",
        "_to_discard",
        "state",
    )

    def __init__(
        self, sock: socket.socket, peer: str, service: Service, connections: Connections
    ) -> None:
        """Take over `sock`, which must be non-blocking and is closed by this connection.

        Args:
            sock: the accepted socket.
            peer: the peer's address, for the log.
            service: answers requests.
            connections: what all connections share.
        """
        super().__init__(sock, connections, service.clock, service.limits.head_timeout_s)
        self._service = service
        log = service.access_log
        self._log_peer = b"" if log is None else log.format.peer(peer)
        self._buffer = b""
        self._carrying: Carrying | None = None
        self._content: BodyDecoder | None = None
        self._pending: Pending | None = None
        self._started_s = 0.0
        self._to_discard = LINGER_BYTES_MAX
        self._is_idle = True
        self._is_in_head = False
        self.state = State.READING

    # ------------------------------------------------------------------ what the engine calls

    def on_event(self, mask: int) -> None:
        """React to a change of readiness."""
        if not self._is_idle or mask != _READABLE_AND_WRITABLE:
            self._on_change(mask)
            return
        # Hot: bench "1 KiB" and "1 KiB, unique heads". See the module's docstring.
        try:
            data = self._recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._close()
            return
        service = self._service
        known = service.known_heads.young.get(data)
        if known is None or not known.plan.is_fresh(service.clock):
            found = service.look_at(data)
            if not isinstance(found, KnownHead):
                self._is_idle = False
                if found is None:
                    self._take_in(data)
                else:
                    self._start(found)
                self._run()
                return
            known = found
        if known.is_quick:
            self._answer_at_once(known)
            return
        self._is_idle = False
        self._start(known)
        self._run()

    def resume(self) -> None:
        """Go on after the others have had their turn."""
        self._is_queued = False
        self._run()

    def on_deadline(self) -> None:
        """Give up on a peer that took too long, telling it so where that can help."""
        if self.state is State.READING and self._buffer:
            self._refuse(PeerError("the request took too long to arrive", status_hint=408))
            self._run()
        elif self._pending is not None:
            logger.warning("answering %r takes too long", self._pending.head.request_target)
            self._close()
        elif self._carrying is None:
            self._close()
        elif self._carrying.waits_for_disk:
            self._abort("timed out reading the file")
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
        return not self._is_queued and self.state not in _NOT_READING

    @property
    def wants_write(self) -> bool:
        """See `streams.Waiter`."""
        carrying = self._carrying
        return not (self._is_queued or carrying is None or carrying.waits_for_disk)

    # ------------------------------------------------------------------ steps

    def _on_change(self, mask: int) -> None:
        """Remember what has become possible, and go on if that is what was waited for."""
        self._note_readiness(mask)
        if self._is_queued:
            return
        carrying = self._carrying
        if self._pending is not None or (carrying is not None and carrying.waits_for_disk):
            if mask & (HUNG_UP | FAILED):
                self.abort()  # nobody is there to wait with
            return
        if self.state is State.CARRYING and not mask & (WRITABLE | HUNG_UP | FAILED):
            return
        self._is_idle = False
        self._run()

    def _answer_at_once(self, known: KnownHead) -> None:
        """Answer an idle connection whose one request has been read whole, in one go if that goes."""
        service = self._service
        plan = known.plan
        clock = service.clock
        self._started_s = started_s = clock.now_s
        sent = self._send_at_once(plan)
        if sent != plan.total_bytes:
            self._is_idle = False
            self._begin_carrying(known, sent)
            self._run()
            return
        if plan.owned is not None:
            plan.let_go()
        clock.now_s = now_s = monotonic_s()
        amount = service.tally.buffer if plan.span is None else service.tally.sendfile
        amount.answers += 1
        amount.bytes += sent
        log = service.access_log
        if log is not None:
            rest = known.log_rest
            if rest is not None and now_s - started_s < NO_TIME_S:
                log.extend((self._log_peer, log.moment, rest))
            else:
                self._note(known, sent, BUFFER if plan.span is None else SENDFILE)
        self.deadline_s = deadline_s = now_s + service.limits.keep_alive_timeout_s
        if deadline_s < self.slot_s:
            self._connections.timers.schedule(self)

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
        self._start(service.recall(raw_head) or service.answer(raw_head))
        return True

    def _start(self, known: KnownHead | Pending) -> None:
        """Begin the exchange that a head has opened."""
        self._started_s = self._service.clock.now_s
        if isinstance(known, Pending):
            self.state = State.WAITING
            self._pending = known
            known.listen(self._on_answer)
            self._arm(WORK_TIMEOUT_S)
            self._connections.threads.submit(known)
        else:
            self._go_on(known)

    def _on_answer(self, pending: Pending, outcome: object) -> None:
        """Send the answer that a thread has made."""
        self._pending = None
        self._go_on(self._service.complete(pending, outcome))
        self._queue()

    def _go_on(self, known: KnownHead) -> None:
        service = self._service
        head = known.head
        if head is not None and known.plan.keeps_alive and head.has_content:
            self._content = decoder_for(head, service.limits.content_bytes_max)
        self._begin(known)

    def _refuse(self, error: PeerError) -> None:
        """Answer a peer that broke the protocol; nothing it sent is read as a request any more."""
        self._start(self._service.refuse(error, self._buffer))

    def _begin(self, known: KnownHead) -> None:
        plan = known.plan
        if plan.second != self._service.clock.second:
            self._service.render(plan)
        sent = 0
        if plan.is_quick or not plan.rest:
            sent = self._send_at_once(plan)
            if sent == plan.total_bytes:
                plan.let_go()
                self._finish(known, sent, BUFFER if plan.span is None else SENDFILE)
                return
        self._begin_carrying(known, sent)

    def _send_at_once(self, plan: Plan) -> int:
        """Try to send all of `plan`; what does not go through is left to an outbox, errors too."""
        span = plan.span
        if span is None:
            try:
                return self._send(plan.payload)
            except OSError:
                return 0
        now_s = self._service.clock.now_s
        if span.count > self._service.limits.chunk_bytes_max or (
            now_s >= span.resident_until_s and not confirm_residency(span, now_s)
        ):
            return 0
        return send_with_head(
            self.fd, self._send, plan.payload, span.file.fd, span.offset, span.count
        )

    def _begin_carrying(self, known: KnownHead, sent: int) -> None:
        service = self._service
        self._carrying = Carrying(self.fd, self._send, known, already_sent=sent)
        self.state = State.CARRYING
        self._arm(service.limits.send_timeout_s)

    def _carry(self) -> bool:
        carrying = self._carrying
        assert carrying is not None
        if carrying.waits_for_disk:
            return False
        limits = self._service.limits
        try:
            progress, has_moved = carrying.step(limits.chunk_bytes_max)
        except TransferError as error:
            self._abort(why_it_ended(error))
            return False
        if progress is Progress.DONE:
            self._carrying = None
            self._finish(carrying.known, carrying.outbox.sent, carrying.outbox.carried)
            return True
        if has_moved:
            self._arm(limits.send_timeout_s)
        if progress is Progress.YIELDED:
            self._queue()
        elif progress is Progress.COLD:
            self._arm(limits.send_timeout_s)  # the disk has as long as the peer would have
            carrying.have_read(self._connections.read_ahead, then=self._queue)
        return False

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
        self._service.note(
            self._log_peer, known, self._started_s, sent, carried, is_complete=is_complete
        )

    def _close(self) -> None:
        """Give everything back; the poller closes the socket when the batch is over."""
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        self._is_idle = False
        self._buffer = b""
        self._content = None
        if self._pending is not None:
            self._connections.threads.cancel(self._pending)
            self._pending.forget()
            self._pending = None
        if self._carrying is not None:
            self._carrying.give_up()
            self._carrying = None
        self._retire()
