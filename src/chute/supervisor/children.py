"""Workers as their parent sees them: started, ready, told, ended."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence

from chute.clock import monotonic_s
from chute.errors import ConfigError

logger = logging.getLogger("chute")

NEVER = float("inf")

CANNOT_START = 3
"""The exit code of a worker that cannot do what its configuration says."""


class Child:
    """One worker.

    Attributes:
        pid: of its process.
        slot: which part of the sockets it has.
        generation: of the configuration that it serves.
        started_s: when (monotonic seconds).
        ready_fd: becomes readable when it serves, and ends when it does.
        is_ready: whether it serves.
        is_ending: whether it was told to end.
        give_up_s: when it is killed if it has not ended by then (monotonic seconds).
    """

    __slots__ = (
        "generation",
        "give_up_s",
        "is_ending",
        "is_ready",
        "pid",
        "ready_fd",
        "slot",
        "started_s",
    )

    def __init__(self, pid: int, slot: int, generation: int, ready_fd: int) -> None:
        self.pid = pid
        self.slot = slot
        self.generation = generation
        self.started_s = monotonic_s()
        self.ready_fd = ready_fd
        self.is_ready = False
        self.is_ending = False
        self.give_up_s = NEVER

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal; one that has ended meanwhile hears nothing."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


def start_child(
    slot: int,
    generation: int,
    prepare: Callable[[], None],
    serve: Callable[[Callable[[], None]], None],
    signals: Sequence[signal.Signals],
) -> Child:
    """Fork a worker; the child never returns from here.

    Args:
        slot: of the worker.
        generation: of its configuration.
        prepare: called in the child first: closes what is the parent's.
        serve: serves until it is told to end; is given what to call when it is ready.
        signals: that the parent handles; in the child they mean what they usually do, until `serve` takes them.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    ready_read, ready_write = os.pipe()
    # No signal may be handled by the child as if it were the parent.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        pid = os.fork()
        if pid == 0:
            _become_worker(slot, ready_read, ready_write, prepare, serve, signals)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    os.close(ready_write)
    return Child(pid, slot, generation, ready_read)


def _become_worker(
    slot: int,
    ready_read: int,
    ready_write: int,
    prepare: Callable[[], None],
    serve: Callable[[Callable[[], None]], None],
    signals: Sequence[signal.Signals],
) -> None:
    """Run as a worker and never return: the parent's stack must not be unwound twice."""
    status = 1
    try:
        os.close(ready_read)
        prepare()
        for number in signals:
            # asyncio replaces these; until then a stop must end us without a traceback.
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        serve(lambda: _tell_ready(ready_write))
        status = 0
    except ConfigError as error:
        logger.error("worker %d cannot start: %s", slot, error)  # noqa: TRY400 - theirs, not ours
        status = CANNOT_START
    except BaseException:  # noqa: BLE001 - the wall of a process
        traceback.print_exc()
    finally:
        logging.shutdown()
        os._exit(status)


def _tell_ready(ready_write: int) -> None:
    os.write(ready_write, b"\1")


def signal_name(number: int) -> str:
    """Return the name of a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"  # the real-time signals have no names


def shown_end(status: int) -> str:
    """Return in words how a process has ended, from its wait status."""
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else signal_name(-code)
