"""A listening socket: where connections come from.

Accepting is bounded per event, so that a burst of new connections cannot hold up those that exist. When descriptors
run out, the listener rests instead of being told about the same connection over and over (a spin at 100 % CPU in
libuv, ranch and others, T29): what waits in the kernel's queue is accepted after the pause.

`TCP_NODELAY` is set on the listener, from which Linux copies it to accepted sockets: one system call per listener
instead of one per connection. Heads and bodies are still joined, by `MSG_MORE`.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Callable

from chute.engine.connection import Connection
from chute.engine.connections import Connections
from chute.engine.limits import ACCEPT_PAUSE_S, ACCEPTS_PER_EVENT, LISTEN_BACKLOG
from chute.engine.service import Service
from chute.exchange import Ends

logger = logging.getLogger("chute.engine")

_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_DIED_IN_THE_QUEUE = frozenset(
    {
        errno.ECONNABORTED,
        errno.ECONNRESET,
        errno.EPROTO,
        errno.ENETDOWN,
        errno.ENOPROTOOPT,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EOPNOTSUPP,
        errno.ENETUNREACH,
        errno.ETIMEDOUT,
        errno.EPERM,
        errno.EINTR,
    }
)
"""Errors of one connection, which accept(2) reports in its place; the next one may be well. Any other error is one
of the listener, would come again at once, and is waited out."""

UNIX_PEER = "unix:"
"""What stands in for the address of a client at a Unix socket, as in nginx's logs."""

_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, not bound

CallLater = Callable[[float, Callable[[], None]], object]


class Listener:
    """Accepts connections from one listening socket; owns the socket."""

    def __init__(
        self,
        sock: socket.socket,
        service: Service,
        connections: Connections,
        *,
        call_later: CallLater,
        on_exhausted: Callable[[], None],
    ) -> None:
        """Serve what arrives at `sock`, which is listening already.

        Args:
            sock: the listening socket.
            service: answers requests.
            connections: what all connections share.
            call_later: runs a callback after some seconds.
            on_exhausted: called when no descriptor is left, to give some back.
        """
        sock.settimeout(0)
        self._socket = sock
        self._service = service
        self._connections = connections
        self._call_later = call_later
        self._on_exhausted = on_exhausted
        self._is_paused = False
        self._is_closed = False
        self._is_unix = sock.family == getattr(socket, "AF_UNIX", None)
        local = sock.getsockname()
        self._unix_ends = Ends(UNIX_PEER, local_address=os.fsdecode(local) if self._is_unix else "")
        # At a socket for every address, each connection has to be asked which one it came to.
        self._local_address = "" if self._is_unix or local[0] in _EVERY_ADDRESS else local[0]
        self._local_port = 0 if self._is_unix else local[1]

    def start(self) -> None:
        """Begin to accept."""
        self._connections.bridge.poller.watch_listener(self._socket.fileno(), self)

    def on_event(self, mask: int) -> None:
        """Accept what waits, up to a bound."""
        del mask
        for _ in range(ACCEPTS_PER_EVENT):
            try:
                sock, address = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in _DIED_IN_THE_QUEUE:
                    self._pause(error)
                    return
                continue
            self._admit(sock, self._ends_of(sock, address))

    def on_failure(self, error: Exception) -> None:
        """Log a fault of our own; the listener goes on."""
        logger.error("accepting failed: %s", error, exc_info=error)

    def close(self) -> None:
        """Stop accepting; the poller closes the socket after the batch."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._is_paused:
            self._socket.close()
        else:
            self._connections.bridge.poller.retire(self._socket.fileno(), self._socket)

    def drain(self) -> None:
        """Accept what waits already, for nobody else may be there to do so, and then no more."""
        if not self._is_paused:
            for _ in range(LISTEN_BACKLOG // ACCEPTS_PER_EVENT):
                before = len(self._connections.open)
                self.on_event(0)
                if self._is_paused or len(self._connections.open) - before < ACCEPTS_PER_EVENT:
                    break
        self.close()

    @property
    def wants_read(self) -> bool:
        """See `streams.Waiter`."""
        return not (self._is_paused or self._is_closed)

    @property
    def wants_write(self) -> bool:
        """See `streams.Waiter`."""
        return False

    def _ends_of(self, sock: socket.socket, address: tuple[str, int]) -> Ends:
        if self._is_unix:
            return self._unix_ends
        local_address = self._local_address or sock.getsockname()[0]
        return Ends(address[0], address[1], local_address, self._local_port)

    def _admit(self, sock: socket.socket, ends: Ends) -> None:
        sock.settimeout(0)
        connection = Connection(sock, ends, self._service, self._connections)
        try:
            self._connections.bridge.poller.watch(connection.fd, connection)
        except OSError as error:
            # epoll_ctl(2): ENOSPC at fs.epoll.max_user_watches, ENOMEM.
            connection.on_failure(error)

    def _pause(self, error: OSError) -> None:
        logger.warning(
            "no connection can be accepted for %.2f s: %s", ACCEPT_PAUSE_S, error.strerror
        )
        self._is_paused = True
        self._connections.bridge.poller.pause_listener(self._socket.fileno())
        if error.errno in _OUT_OF_RESOURCES:
            self._on_exhausted()
        self._call_later(ACCEPT_PAUSE_S, self._resume)

    def _resume(self) -> None:
        if not self._is_closed:
            self._is_paused = False
            self.start()
