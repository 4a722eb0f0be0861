"""Trials that need rooms above `transfer`: names, which `files` resolves, and epoll, which `engine` nests."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import selectors

from chute.engine.poller import EpollPoller
from chute.errors import ChuteError
from chute.files import openat2
from chute.files.resolve import Root, openat2_available
from chute.transfer.abilities import (
    WAIT_S,
    Ability,
    Answer,
    Outcome,
    connect_to,
    is_linux,
    loopback_listener,
    outcome_of,
    reason_of,
)

_FOLDER = os.O_RDONLY | os.O_DIRECTORY

_HINTS = {
    errno.ENOSYS: " (Linux 5.6 and later have it)",
    errno.EPERM: " (the seccomp filter of a container may refuse it)",
}
"""What lies behind the errors that openat2(2) is missed with."""


def try_openat2() -> Ability:
    """Say whether one system call resolves names, and what the kernel answers if it does not."""
    if openat2_available():
        good = "the kernel resolves a name in one call, and never outside the folder"
        return Ability("openat2", Answer.YES, good)
    answer, reason = _openat2_outcome()
    instead = "names are resolved step by step, with the same answers"
    return Ability("openat2", answer, f"{reason}; {instead}")


def _openat2_outcome() -> Outcome:
    """Ask once more, and this time keep what the kernel says."""
    if not is_linux():
        return Outcome(Answer.NO, "it exists on Linux only")
    try:
        with contextlib.ExitStack() as opened:
            root = opened.enter_context(Root(b"/", resolver="walk"))
            fd = root.open(b"", _FOLDER)
            opened.callback(os.close, fd)
            os.close(openat2.open_beneath(fd, b".", _FOLDER | os.O_CLOEXEC))
    except OSError as error:
        answer, reason = outcome_of(error)
        return Outcome(answer, reason + _HINTS.get(error.errno or 0, ""))
    except (AssertionError, TypeError):
        # The binding found no way to the system call, and says so only to itself.
        return Outcome(Answer.NO, "this Python has no ctypes to call it with")
    except ChuteError as error:
        return Outcome(Answer.UNKNOWN, str(error))
    return Outcome(Answer.UNKNOWN, "it failed a moment ago, and works now")


class _Bell:
    """A waiter that counts how often it is told."""

    wants_read = True
    wants_write = False

    def __init__(self) -> None:
        self.rings = 0

    def on_event(self, mask: int) -> None:
        self.rings += 1

    def on_failure(self, error: Exception) -> None:
        raise error


def try_epoll() -> Ability:
    """Watch a listener with the engine's poller, and the poller with what asyncio would use."""
    if not hasattr(select, "epoll"):
        detail = "it exists on Linux only; chute serves by the portable path here"
        return Ability("epoll", Answer.NO, detail)
    try:
        with contextlib.ExitStack() as opened:
            listener = opened.enter_context(loopback_listener())
            opened.enter_context(connect_to(listener))
            answer, reason = _try_nested(listener.fileno())
    except OSError as error:
        detail = f"no connection to try it with ({reason_of(error)})"
        return Ability("epoll", Answer.UNKNOWN, detail)
    if answer is Answer.YES:
        reason = "one wake-up brings a batch of connections, for one epoll can watch another"
    elif answer is not Answer.UNKNOWN:
        reason += "; give --poller portable"
    return Ability("epoll", answer, reason)


def _try_nested(listener_fd: int) -> Outcome:
    """Find out whether a poller can watch a listener that somebody has connected to, and be watched itself."""
    try:
        poller = EpollPoller()
    except OSError as error:
        return outcome_of(error)
    bell = _Bell()
    try:
        with selectors.DefaultSelector() as outer:
            outer.register(poller.fileno(), selectors.EVENT_READ)
            poller.watch_listener(listener_fd, bell)
            is_awake = bool(outer.select(WAIT_S))
        poller.dispatch()
    except OSError as error:
        outcome = outcome_of(error)
        return outcome._replace(answer=Answer.PARTLY) if outcome.answer is Answer.NO else outcome
    finally:
        poller.close()
    if is_awake and bell.rings == 1:
        return Outcome(Answer.YES)
    return Outcome(Answer.PARTLY, "one that watches another hears nothing")
