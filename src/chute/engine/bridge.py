"""Between asyncio and the engine: the one callback through which all connections run.

A wake handles batches of events until none are left or its budget is used up, then lets connections that used up
their chunk go on, each once per batch, so that large downloads and small requests alternate. Whatever is left makes
the loop call again at once, after asyncio's own callbacks had their turn.
"""

from __future__ import annotations

import asyncio
import select
from collections import deque
from collections.abc import Callable
from typing import Protocol

from chute.clock import Clock
from chute.engine.limits import BATCHES_PER_WAKE, IDLE_WAKES_MAX
from chute.engine.poller import EpollPoller
from chute.engine.portable import PortablePoller
from chute.streams import Waiter


class Resumable(Waiter, Protocol):
    """A waiter that gave up its turn and wants another one."""

    fd: int

    def resume(self) -> None:
        """Go on."""


class Bridge:
    """Runs the engine's batches inside an asyncio loop.

    Attributes:
        poller: where waiters register.
        ready: connections that have more to do and need no event for it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        *,
        portable: bool,
        after_batch: Callable[[], None],
    ) -> None:
        """Attach to `loop`.

        Args:
            loop: the running loop; everything happens in its thread.
            clock: refreshed at the beginning of every batch.
            portable: use asyncio's readers even where there is epoll.
            after_batch: called when a batch is over and its sockets are closed.
        """
        self._loop = loop
        self._clock = clock
        self._after_batch = after_batch
        self._rest: asyncio.Handle | None = None
        self._idle_wakes = 0
        self.ready: deque[Resumable] = deque()
        self.poller: EpollPoller | PortablePoller
        if portable or not hasattr(select, "epoll"):
            self.poller = PortablePoller(
                loop, before_event=self._begin, after_event=self._schedule_rest
            )
        else:
            self.poller = EpollPoller()
            loop.add_reader(self.poller.fileno(), self._drain, self.poller)

    def close(self) -> None:
        """Detach from the loop; every waiter must have been retired."""
        if self._rest is not None:
            self._rest.cancel()
        if isinstance(self.poller, EpollPoller):
            self._loop.remove_reader(self.poller.fileno())
        self.poller.close()

    def finish_batch(self) -> None:
        """Close what the batch retired, and do what is done once per batch."""
        self.poller.close_retired()
        self._after_batch()

    def wake_ready(self) -> None:
        """See to it that connections that were queued outside of a batch, by a deadline, get their turn."""
        if self.ready:
            self._schedule_rest()

    def _drain(self, poller: EpollPoller) -> None:
        """Handle batches until nothing is ready, or until the others in the loop should have a turn."""
        ready = self.ready
        made_progress = bool(ready)
        for _ in range(BATCHES_PER_WAKE):
            self._clock.refresh()
            events = poller.dispatch()
            made_progress = made_progress or events > 0
            if ready:
                self._resume_each_once()
            self.finish_batch()
            if not events and not ready:
                break
        # A wake for nothing happens (a socket was closed in between); a row of them is a spin.
        self._idle_wakes = 0 if made_progress else self._idle_wakes + 1
        assert self._idle_wakes < IDLE_WAKES_MAX, "the engine is woken, and finds nothing to do"
        if ready:
            self._schedule_rest()

    def _resume_each_once(self) -> None:
        ready = self.ready
        for _ in range(len(ready)):
            waiter = ready.popleft()
            try:
                waiter.resume()
            except Exception as error:  # noqa: BLE001 - the wall
                waiter.on_failure(error)
            self.poller.refresh_interest(waiter.fd, waiter)

    def _begin(self) -> None:
        self._clock.refresh()

    def _schedule_rest(self) -> None:
        if self._rest is None:
            self._rest = self._loop.call_soon(self._run_rest)

    def _run_rest(self) -> None:
        self._rest = None
        if isinstance(self.poller, EpollPoller):
            self._drain(self.poller)
            return
        self._clock.refresh()
        self._resume_each_once()
        self.finish_batch()
        if self.ready:
            self._schedule_rest()
