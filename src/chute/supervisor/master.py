"""The parent of the workers: starts them, replaces them, and hands their sockets on.

The parent opens the sockets, forks before any thread or loop exists, and then only waits (`wakeup`). It keeps every
listening socket, one for each slot, so that connections wait in their queue while a worker is replaced, whatever for.

A worker that dies is replaced; one that dies young, after a pause that doubles each time, so that a fault at start
does not become a fork bomb. A configuration that no worker can start with ends the server, if it is the first one; if
it is a new one (HUP), the workers of the old one are not touched.

Signals, after nginx: TERM and INT end at once; QUIT ends when what is on its way has ended; HUP reads the configuration
again, and if it is right starts new workers and lets the old ones end like QUIT; USR1 has the logs opened anew.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Callable

from chute.clock import monotonic_s
from chute.config.model import Config
from chute.errors import ConfigError
from chute.supervisor.children import CANNOT_START, NEVER, Child, shown_end, start_child
from chute.supervisor.generation import Generation
from chute.supervisor.notify import READY, STOPPING, notify, reloading
from chute.supervisor.wakeup import Wakeup
from chute.supervisor.worker import run_worker

logger = logging.getLogger("chute")

SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGCHLD,
)

YOUNG_S = 2.0
"""A worker that dies younger than this failed at start."""

RESTART_PAUSE_S = 1.0

RESTART_PAUSE_MAX_S = 30.0

STOP_TIMEOUT_S = 5.0
"""How long workers may take to stop before they are killed."""

Load = Callable[[], Config]


class Master:
    """The parent of the workers."""

    def __init__(self, generation: Generation, load: Load | None) -> None:
        """Prepare to run the workers of `generation`.

        Args:
            generation: the first one; taken over.
            load: reads the configuration again; None where there is none to read.
        """
        self._current = generation
        self._next: Generation | None = None
        self._load = load
        self._children: dict[int, Child] = {}
        self._due: dict[int, float] = {}
        self._pauses: dict[int, float] = {}
        self._has_served = False
        self._is_ending = False
        self._is_cut = False
        self._give_up_s = NEVER
        self._status = 0
        self._on_ready: Callable[[], None] | None = None
        self._alive_read, self._alive_write = os.pipe()
        self._wakeup = Wakeup(SIGNALS)

    def run(self, on_ready: Callable[[], None]) -> int:
        """Run the workers until a signal ends them, and return the exit status when all of them have ended.

        Args:
            on_ready: called once, when all of them serve.
        """
        self._on_ready = on_ready
        try:
            for slot in range(self._current.config.workers):
                self._start(slot, self._current)
            while self._children or not self._is_ending:
                woken = self._wakeup.wait(self._next_deadline_s() - monotonic_s())
                for number in woken.signals:
                    self._on_signal(number)
                for fd in woken.readable:
                    self._on_readable(fd)
                self._reap()
                self._meet_deadlines()
        finally:
            self._wakeup.close()
            os.close(self._alive_read)
            os.close(self._alive_write)
            self._current.close()
        return self._status

    # ------------------------------------------------------------------ children

    def _start(self, slot: int, generation: Generation) -> None:
        def prepare() -> None:
            self._wakeup.close()
            os.close(self._alive_write)
            for child in self._children.values():
                os.close(child.ready_fd)
            other = self._next if generation is self._current else self._current
            generation.close_others(slot, () if other is None else other.listening)

        def serve(on_ready: Callable[[], None]) -> None:
            run_worker(
                generation.config,
                generation.shared,
                generation.sockets_of(slot),
                on_ready=on_ready,
                parent_alive_fd=self._alive_read,
            )

        child = start_child(slot, generation.number, prepare, serve, SIGNALS)
        self._children[child.pid] = child
        self._wakeup.watch(child.ready_fd)

    def _on_readable(self, fd: int) -> None:
        """A worker serves, or has ended."""
        child = next((each for each in self._children.values() if each.ready_fd == fd), None)
        if child is None:
            return
        self._wakeup.forget(fd)
        if not os.read(fd, 1):
            return  # its end is told by SIGCHLD
        child.is_ready = True
        generation = self._next if self._next is not None else self._current
        ready = {each.slot for each in self._of(generation) if each.is_ready}
        if len(ready) < generation.config.workers:
            return
        if generation is self._next:
            self._switch(generation)
        elif not self._has_served:
            self._has_served = True
            notify(READY)
            if self._on_ready is not None:
                self._on_ready()

    def _of(self, generation: Generation) -> list[Child]:
        return [each for each in self._children.values() if each.generation == generation.number]

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is None:
                continue  # an orphan that was given to us, as the first process of a container is
            with contextlib.suppress(KeyError):
                self._wakeup.forget(child.ready_fd)
            os.close(child.ready_fd)
            if not (child.is_ending or self._is_ending):
                self._replace(child, status)

    def _replace(self, child: Child, status: int) -> None:
        """React to the end of a worker that nobody had told to end."""
        why = shown_end(status)
        if self._next is not None and child.generation == self._next.number:
            logger.error("a worker of the new configuration ended: %s", why)
            self._abandon(self._next)
            return
        cannot_start = os.waitstatus_to_exitcode(status) == CANNOT_START
        if cannot_start and not self._has_served:
            self._status = 1
            self._end(signal.SIGTERM)
            return
        logger.error("worker %d (pid %d) ended: %s; it is replaced", child.slot, child.pid, why)
        now_s = monotonic_s()
        pause_s = 0.0
        if now_s - child.started_s < YOUNG_S:
            pause_s = self._pauses.get(child.slot, RESTART_PAUSE_S)
            self._pauses[child.slot] = min(2 * pause_s, RESTART_PAUSE_MAX_S)
        else:
            self._pauses.pop(child.slot, None)
        self._due[child.slot] = now_s + pause_s

    # ------------------------------------------------------------------ signals

    def _on_signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._end(signal.SIGTERM)
        elif number == signal.SIGQUIT:
            self._end(signal.SIGQUIT)
        elif number == signal.SIGUSR1:
            for child in self._children.values():
                child.tell(signal.SIGUSR1)
            logger.info("logs are opened anew")
        elif number == signal.SIGHUP and not self._is_ending:
            self._reload()

    def _end(self, number: signal.Signals) -> None:
        """Have all workers end, by `number`; a TERM counts after a QUIT, and not the other way round."""
        if self._is_cut or (self._is_ending and number == signal.SIGQUIT):
            return
        if not self._is_ending:
            notify(STOPPING)
        self._is_ending = True
        self._is_cut = number == signal.SIGTERM
        self._due.clear()
        patience_s = STOP_TIMEOUT_S
        if not self._is_cut:
            patience_s += self._current.config.shutdown_timeout_s
        self._give_up_s = monotonic_s() + patience_s
        for child in self._children.values():
            child.is_ending = True
            child.tell(number)
        # Nobody accepts any more: who connects from now on is to be told so, and not to wait.
        self._current.close()

    # ------------------------------------------------------------------ another configuration

    def _reload(self) -> None:
        """Read the configuration again, and start workers that serve it; what is wrong with it changes nothing."""
        if self._load is None:
            logger.warning("there is no configuration file to read again")
            return
        if self._next is not None:
            logger.warning("a new configuration is being started already")
            return
        notify(reloading())
        try:
            config = self._load()
            number = self._current.number + 1
            self._next = Generation(number, config, self._current)
        except ConfigError as error:
            for line in str(error).splitlines():
                logger.error("the configuration stays what it was: %s", line)  # noqa: TRY400 - theirs, not ours
            notify(READY)
            return
        for slot in range(config.workers):
            self._start(slot, self._next)

    def _switch(self, successor: Generation) -> None:
        """Let the workers of the old configuration end: those of the new one all serve."""
        old, self._current, self._next = self._current, successor, None
        self._due.clear()
        self._pauses.clear()
        give_up_s = monotonic_s() + old.config.shutdown_timeout_s + STOP_TIMEOUT_S
        for child in self._of(old):
            child.is_ending = True
            child.give_up_s = give_up_s
            child.tell(signal.SIGQUIT)
        old.retire(successor)
        notify(READY)
        logger.info("the configuration was read again, and is served")

    def _abandon(self, generation: Generation) -> None:
        """Give up a new configuration that its workers cannot serve."""
        self._next = None
        for child in self._of(generation):
            child.is_ending = True
            child.give_up_s = monotonic_s() + STOP_TIMEOUT_S
            child.tell(signal.SIGTERM)
        generation.abandon()
        notify(READY)
        logger.error("the configuration stays what it was")

    # ------------------------------------------------------------------ time

    def _next_deadline_s(self) -> float:
        deadlines = [monotonic_s() + 60.0, self._give_up_s, *self._due.values()]
        deadlines += [child.give_up_s for child in self._children.values()]
        return min(deadlines)

    def _meet_deadlines(self) -> None:
        """Start workers that are due, and kill those that were told to end and did not."""
        now_s = monotonic_s()
        for slot in [slot for slot, due_s in self._due.items() if due_s <= now_s]:
            del self._due[slot]
            self._start(slot, self._current)
        for child in self._children.values():
            if now_s >= min(child.give_up_s, self._give_up_s):
                logger.error("worker (pid %d) did not stop in time and is killed", child.pid)
                child.give_up_s = NEVER
                child.tell(signal.SIGKILL)
        if now_s >= self._give_up_s:
            self._give_up_s = NEVER
