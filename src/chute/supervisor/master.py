"""Several workers, started and restarted by a parent that does nothing else.

The parent opens the sockets, forks before any thread or loop exists, and then only waits for signals, which it has
blocked: `sigtimedwait` takes them one by one, so there is no handler and nothing to race with. A worker that dies is
replaced; one that dies young is replaced after a pause, so that a fault at start does not become a fork bomb. The
sockets stay open in the parent, so that connections wait in their queue meanwhile.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence

from chute.clock import monotonic_s
from chute.compose.shared import Shared
from chute.config.model import Config
from chute.errors import ConfigError, MisuseError
from chute.supervisor.sockets import Listening
from chute.supervisor.worker import run_worker

logger = logging.getLogger("chute")

_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})

YOUNG_S = 2.0
"""A worker that dies younger than this failed at start."""

RESTART_PAUSE_S = 1.0

STOP_TIMEOUT_S = 5.0
"""How long workers may take to stop before they are killed."""


class Master:
    """The parent of the workers."""

    def __init__(self, config: Config, shared: Shared, listening: Sequence[Listening]) -> None:
        """Prepare to run `config.workers` workers on sockets that stay the caller's.

        Raises:
            ConfigError: this system cannot wait for a signal and a time at once.
        """
        if not hasattr(signal, "sigtimedwait"):
            raise ConfigError(
                "several workers need sigtimedwait(2), which this system does not have",
                hint="use --workers 1",
            )
        self._config = config
        self._shared = shared
        self._listening = listening
        self._slots: dict[int, int] = {}
        self._started_s: dict[int, float] = {}
        self._due: dict[int, float] = {}
        self._alive_read, self._alive_write = os.pipe()

    def run(self, on_ready: Callable[[], None]) -> None:
        """Run the workers until SIGTERM or SIGINT, and return when all of them have ended.

        Args:
            on_ready: called when the workers are started and signals are heeded.
        """
        # Whoever started us may have ignored it, and then no death would be told.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        for slot in range(self._config.workers):
            self._start(slot)
        self._reap(
            restart=True
        )  # a child that we were started with may have ended before its signal was heeded
        on_ready()
        while not self._wait_once():
            pass
        self._stop()

    def _wait_once(self) -> bool:
        """Handle one signal, or start workers that are due; return whether to stop."""
        timeout_s = 60.0
        if self._due:
            timeout_s = max(0.0, min(self._due.values()) - monotonic_s())
        received = _wait_for(_SIGNALS, timeout_s)
        if received not in (None, signal.SIGCHLD):
            return True
        self._reap(restart=True)
        now_s = monotonic_s()
        for slot in [slot for slot, due_s in self._due.items() if due_s <= now_s]:
            del self._due[slot]
            self._start(slot)
        return False

    def _start(self, slot: int) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._become_worker(slot)
        self._slots[pid] = slot
        self._started_s[pid] = monotonic_s()

    def _become_worker(self, slot: int) -> None:
        """Run as a worker and never return: the parent's stack must not be unwound twice."""
        status = 1
        try:
            os.close(self._alive_write)
            for number in (signal.SIGTERM, signal.SIGINT):
                # asyncio replaces these; until then a stop must end us without a traceback.
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            mine = _own_sockets(self._listening, slot)
            run_worker(self._config, self._shared, mine, parent_alive_fd=self._alive_read)
            status = 0
        except ConfigError as error:
            logger.error("worker %d cannot start: %s", slot, error)  # noqa: TRY400 - theirs, not ours
        except BaseException:  # noqa: BLE001 - the wall of a process
            traceback.print_exc()
        finally:
            logging.shutdown()
            os._exit(status)

    def _reap(self, *, restart: bool) -> None:
        while self._slots:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            slot = self._slots.pop(pid, None)
            if slot is None:
                continue  # an orphan that was given to us, as the first process of a container is
            lived_s = monotonic_s() - self._started_s.pop(pid)
            if restart:
                code = os.waitstatus_to_exitcode(status)
                why = f"exit code {code}" if code >= 0 else _signal_name(-code)
                logger.error("worker %d (pid %d) ended: %s; it is replaced", slot, pid, why)
                pause_s = RESTART_PAUSE_S if lived_s < YOUNG_S else 0.0
                self._due[slot] = monotonic_s() + pause_s

    def _stop(self) -> None:
        for pid in self._slots:
            os.kill(pid, signal.SIGTERM)
        give_up_s = monotonic_s() + STOP_TIMEOUT_S
        self._reap(restart=False)
        while self._slots and monotonic_s() < give_up_s:
            _wait_for(frozenset({signal.SIGCHLD}), 0.1)
            self._reap(restart=False)
        for pid in self._slots:
            logger.error("worker (pid %d) did not stop in time and is killed", pid)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(self._alive_read)
        os.close(self._alive_write)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"  # the real-time signals have no names


def _wait_for(numbers: frozenset[signal.Signals], timeout_s: float) -> int | None:
    """Return the number of the next of these (blocked) signals, or None when none came in time."""
    if sys.platform != "darwin":
        received = signal.sigtimedwait(numbers, timeout_s)
        return None if received is None else received.si_signo
    raise MisuseError("refused when the master was made")


def _own_sockets(listening: Sequence[Listening], slot: int) -> list[socket.socket]:
    """Close the other workers' sockets and return those of `slot`."""
    mine = [each.sockets[slot] for each in listening]
    for each in listening:
        for sock in each.sockets:
            if sock not in mine:
                sock.close()
    return mine
