"""A connection between a socket pair and a handler, with real threads and a loop that the test turns by hand."""

from __future__ import annotations

import socket
import threading
from collections import deque

from chute.clock import Clock
from chute.engine.connection import Connection
from chute.engine.connections import Connections
from chute.engine.limits import Limits
from chute.engine.service import Service
from chute.engine.tally import Tally
from chute.engine.timers import Timers
from chute.exchange import Ends, Handler
from chute.streams import READABLE, WRITABLE
from chute.transfer.read_ahead import ReadAhead
from chute.transfer.threads import Threads
from readiness import connected_pair

READY = READABLE | WRITABLE


class Poller:
    def retire(self, fd: int, closable: socket.socket) -> None:
        closable.close()


class Bridge:
    def __init__(self) -> None:
        self.ready: deque[Connection] = deque()
        self.poller = Poller()


class Scene:
    """One connection with its handler, and the loop around it, driven by hand."""

    def __init__(self, handler: Handler, limits: Limits | None = None) -> None:
        self._done = threading.Semaphore(0)
        self.threads: Threads = Threads(self._done.release, threads_max=2, threads_per_lane_max=1)
        self.bridge = Bridge()
        self.clock = Clock()
        self.timers = Timers(self.clock.now_s, 0.25)
        connections = Connections(
            self.bridge,  # type: ignore[arg-type]
            self.timers,
            ReadAhead(lambda: None),
            self.threads,
        )
        self.service = Service(handler, frozenset(), self.clock, limits or Limits(), None, Tally())
        self.near, self.far = connected_pair()
        self.connection = Connection(self.near, Ends("peer"), self.service, connections)

    def send(self, *targets: str, method: str = "GET") -> None:
        for target in targets:
            self.far.send(f"{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        self.connection.on_event(READY)

    def write(self, data: bytes) -> None:
        """Send `data` as it is, and let the connection notice."""
        self.far.send(data)
        self.turn()

    def turn(self, mask: int = READY) -> None:
        """Let the connection notice what has become possible, and go on until it waits."""
        self.connection.on_event(mask)
        self._resume()

    def wait_s(self, seconds: float) -> None:
        """Let time pass, as the engine's tick would notice it."""
        self.clock.now_s += seconds
        self.timers.advance(self.clock.now_s)

    def deliver(self) -> None:
        """Wait until a thread is done, and let the connection go on."""
        assert self._done.acquire(timeout=10)
        self.threads.deliver()
        self._resume()

    def end(self) -> None:
        """Close everything; threads have to be free to go on."""
        self.connection.abort()
        self.threads.close(patience_s=10)
        self.threads.deliver()
        self.far.close()

    def _resume(self) -> None:
        while self.bridge.ready:
            self.bridge.ready.popleft().resume()

    def received(self) -> bytes:
        data = b""
        try:
            while piece := self.far.recv(1 << 20):
                data += piece
        except BlockingIOError:
            pass
        return data
