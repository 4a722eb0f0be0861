"""One engine: an asyncio loop's share of connections, from the first accept to the last close."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence

from chute.clock import Clock
from chute.engine.bridge import Bridge
from chute.engine.connections import Connections
from chute.engine.limits import (
    STOP_PATIENCE_S,
    TIMER_RESOLUTION_S,
    WORK_THREADS_MAX,
    WORK_THREADS_PER_LANE_MAX,
)
from chute.engine.listener import Listener
from chute.engine.service import Service
from chute.engine.taking import Taking
from chute.engine.timers import Timers
from chute.middleware.access_log import AccessLogs
from chute.transfer.read_ahead import ReadAhead
from chute.transfer.threads import Threads

SWEEP_INTERVAL_S = 10.0
"""How often files that are no longer asked for are given back."""


class Draining:
    """A server that is to end.

    Attributes:
        until_s: when those that are still open are given up (monotonic seconds).
        on_drained: told how many those are.
        is_over: whether it has been told.
    """

    __slots__ = ("is_over", "on_drained", "until_s")

    def __init__(self, until_s: float, on_drained: Callable[[int], None]) -> None:
        self.until_s = until_s
        self.on_drained = on_drained
        self.is_over = False


class Server:
    """Listeners, their connections, and the second hand that drives deadlines and logs."""

    def __init__(
        self,
        clock: Clock,
        *,
        portable: bool,
        logs: AccessLogs,
        sweep: Callable[[], None],
        on_exhausted: Callable[[], None],
    ) -> None:
        """Make a server for the running asyncio loop.

        Args:
            clock: the engine's clock.
            portable: do without epoll.
            logs: flushed by this server; owned by the caller.
            sweep: called now and then to give back what is not used.
            on_exhausted: called when no descriptor is left.
        """
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._logs = logs
        self._sweep = sweep
        self._on_exhausted = on_exhausted
        bridge = Bridge(self._loop, clock, portable=portable, after_batch=self._after_batch)
        self._connections = Connections(
            bridge,
            Timers(clock.now_s, TIMER_RESOLUTION_S),
            ReadAhead(self._notify),
            Threads(
                self._notify,
                threads_max=WORK_THREADS_MAX,
                threads_per_lane_max=WORK_THREADS_PER_LANE_MAX,
            ),
        )
        self._listeners: list[Listener] = []
        self._services: list[Service] = []
        self._draining: Draining | None = None
        self._tick_handle: asyncio.TimerHandle | None = None
        self._swept_s = clock.now_s
        self._flushed_second = clock.second

    def start(self, sockets: Sequence[tuple[socket.socket, Service]]) -> None:
        """Begin to accept from listening `sockets`, each answered by its service; takes the sockets over."""
        for sock, service in sockets:
            listener = Listener(
                sock,
                service,
                self._connections,
                call_later=self._loop.call_later,
                on_exhausted=self._on_exhausted,
            )
            self._listeners.append(listener)
            self._services.append(service)
            listener.start()
        self._tick()

    def drain(self, timeout_s: float, on_drained: Callable[[int], None]) -> None:
        """Accept no more, let answers that are on their way end, and close each connection with its last answer.

        Args:
            timeout_s: when those that are still open then are given up.
            on_drained: called once, with the number of those.
        """
        if self._draining is not None:
            return
        now_s = self._clock.refresh()
        self._draining = Draining(now_s + timeout_s, on_drained)
        for listener in self._listeners:
            listener.drain()
        for connection in list(self._connections.open):
            connection.drain()
        for service in self._services:
            service.drain()
        self._connections.bridge.finish_batch()
        self._connections.bridge.wake_ready()

    def stop(self) -> None:
        """Close listeners and connections; answers on their way are cut and logged as aborted."""
        if self._tick_handle is not None:
            self._tick_handle.cancel()
        for listener in self._listeners:
            listener.close()
        for connection in list(self._connections.open):
            connection.abort()
        self._connections.read_ahead.close()
        for job in self._connections.threads.close(patience_s=STOP_PATIENCE_S):
            if isinstance(job, Taking):
                job.blocking_work()  # it was to give up, and may have something to clean up
        bridge = self._connections.bridge
        bridge.ready.clear()
        bridge.finish_batch()
        bridge.close()

    def _after_batch(self) -> None:
        self._logs.flush_if_due()

    def _notify(self) -> None:
        """Tell the loop, from a thread, that something is done."""
        self._loop.call_soon_threadsafe(self._on_work_done)

    def _on_work_done(self) -> None:
        """Let connections go on for which a thread has worked."""
        self._clock.refresh()
        self._connections.read_ahead.deliver()
        self._connections.threads.deliver()
        self._connections.bridge.finish_batch()
        self._connections.bridge.wake_ready()

    def _tick(self) -> None:
        """Meet deadlines and flush the log; runs a few times a second, and costs nothing worth naming."""
        self._tick_handle = self._loop.call_later(TIMER_RESOLUTION_S, self._tick)
        clock = self._clock
        now_s = clock.refresh()
        self._connections.timers.advance(now_s)
        if now_s - self._swept_s >= SWEEP_INTERVAL_S:
            self._swept_s = now_s
            self._sweep()
        if clock.second != self._flushed_second:
            self._flushed_second = clock.second
            self._logs.flush()
        self._connections.bridge.finish_batch()
        self._connections.bridge.wake_ready()
        draining = self._draining
        if draining is None or draining.is_over:
            return
        if not self._connections.open or now_s >= draining.until_s:
            draining.is_over = True
            draining.on_drained(len(self._connections.open))
