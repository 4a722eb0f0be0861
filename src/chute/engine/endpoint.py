"""A registered socket: its readiness, its deadline, its place in the queue, and its end.

What every kind of connection has in common, whatever it speaks. Edges are reported once, so readiness is kept as
state here: `_may_read` stays set until a read came back short or empty.

An endpoint owns its socket. It is in the set of open connections and in the timers from its beginning to `_retire`,
after which the poller closes the socket, once the batch is over.
"""

from __future__ import annotations

import abc
import socket

from chute.clock import Clock
from chute.engine.connections import Connections
from chute.engine.limits import RECEIVE_BYTES
from chute.engine.timers import NEVER
from chute.streams import FAILED, HUNG_UP, PEER_FINISHED, READABLE


class Endpoint(abc.ABC):
    """One end of a connection; a subclass says what happens on it.

    Attributes:
        fd: the socket's descriptor.
        deadline_s: when the peer has had enough time for what it is doing (monotonic seconds).
        slot_s: belongs to the timers.
    """

    __slots__ = (
        "_clock",
        "_connections",
        "_is_queued",
        "_may_read",
        "_peer_has_finished",
        "_recv",
        "_send",
        "_socket",
        "deadline_s",
        "fd",
        "slot_s",
    )

    def __init__(
        self, sock: socket.socket, connections: Connections, clock: Clock, timeout_s: float
    ) -> None:
        """Take over `sock`, which must be non-blocking.

        Args:
            sock: the connected socket.
            connections: what all connections share.
            clock: the engine's clock.
            timeout_s: until the first deadline.
        """
        self._socket = sock
        self._recv = sock.recv
        self._send = sock.send
        self._connections = connections
        self._clock = clock
        self._may_read = False
        self._peer_has_finished = False
        self._is_queued = False
        self.fd = sock.fileno()
        self.slot_s = NEVER
        self.deadline_s = clock.now_s + timeout_s
        connections.open.add(self)
        connections.timers.schedule(self)

    @abc.abstractmethod
    def abort(self) -> None:
        """Close now, whatever is on its way."""

    @abc.abstractmethod
    def drain(self) -> None:
        """Close soon; see `connections.Abortable`."""

    @abc.abstractmethod
    def on_event(self, mask: int) -> None:
        """React to a change of readiness."""

    @abc.abstractmethod
    def on_deadline(self) -> None:
        """React to the deadline."""

    @abc.abstractmethod
    def on_failure(self, error: Exception) -> None:
        """End after a fault of our own."""

    @abc.abstractmethod
    def resume(self) -> None:
        """Go on after the others have had their turn."""

    @property
    @abc.abstractmethod
    def wants_read(self) -> bool:
        """See `streams.Waiter`."""

    @property
    @abc.abstractmethod
    def wants_write(self) -> bool:
        """See `streams.Waiter`."""

    def _note_readiness(self, mask: int) -> None:
        """Remember what has become possible."""
        if mask & (PEER_FINISHED | HUNG_UP | FAILED):
            self._peer_has_finished = True
            self._may_read = True
        elif mask & READABLE:
            self._may_read = True

    def _receive(self, bytes_max: int = RECEIVE_BYTES) -> bytes | None:
        """Read once. None: nothing to read now. Empty: the peer has finished, or is gone."""
        if not self._may_read:
            return None
        try:
            data = self._recv(bytes_max)
        except BlockingIOError:
            self._may_read = False
            return None
        except OSError:
            return b""
        # A short count on a stream socket shows that it is drained (epoll(7), question 9); but the end of input
        # was reported once, and only reading on can find it.
        self._may_read = len(data) == bytes_max or self._peer_has_finished
        return data

    def _queue(self) -> None:
        """Take a place behind the others that have more to do."""
        if not self._is_queued:
            self._is_queued = True
            self._connections.bridge.ready.append(self)

    def _arm(self, timeout_s: float) -> None:
        """Set the deadline; the timers hear of it only if it is earlier than they would look."""
        self.deadline_s = deadline_s = self._clock.now_s + timeout_s
        if deadline_s < self.slot_s:
            self._connections.timers.schedule(self)

    def _retire(self) -> None:
        """Leave everything this endpoint is in; the poller closes the socket when the batch is over."""
        self._connections.open.discard(self)
        self._connections.timers.cancel(self)
        self._connections.bridge.poller.retire(self.fd, self._socket)
