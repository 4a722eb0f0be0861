"""Accepting: bounded per event, resting when descriptors run out, and never closed for good by an error."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from chute.engine.connections import Connections
from chute.engine.limits import ACCEPT_PAUSE_S, ACCEPTS_PER_EVENT, Limits
from chute.engine.listener import Listener
from chute.engine.timers import Timers
from chute.middleware.access_log import CombinedFormat
from chute.streams import READABLE, Closable, Waiter
from chute.transfer.read_ahead import ReadAhead
from readiness import no_threads

LISTENER_FD = 1000
ADDRESS = ("192.0.2.7", 55_555)


class ScriptedSocket:
    """A listening socket whose queue is written by the test: connections or errors, then nothing."""

    def __init__(self, family: socket.AddressFamily = socket.AF_INET) -> None:
        self.family = family
        self.queue: list[object] = []
        self.timeout: float | None = None
        self.accepts = 0
        self.closed = 0

    def fileno(self) -> int:
        return LISTENER_FD

    def settimeout(self, value: float | None) -> None:
        self.timeout = value

    def getsockname(self) -> object:
        return ("127.0.0.1", 80) if self.family == socket.AF_INET else b"/run/chute.sock"

    def accept(self) -> tuple[object, object]:
        self.accepts += 1
        if not self.queue:
            raise BlockingIOError
        waiting = self.queue.pop(0)
        if isinstance(waiting, OSError):
            raise waiting
        return waiting, ADDRESS if self.family == socket.AF_INET else ""

    def close(self) -> None:
        self.closed += 1


class AcceptedSocket:
    """A connection as `accept` returns it: blocking still."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.timeout: float | None = None

    def fileno(self) -> int:
        return self._number

    def settimeout(self, value: float | None) -> None:
        self.timeout = value

    def recv(self, count: int) -> bytes:
        raise AssertionError("accepting reads nothing")

    send = recv


class NotingPoller:
    """Keeps who is watched, and refuses the numbers in `refused`."""

    def __init__(self) -> None:
        self.waiters: dict[int, Waiter] = {}
        self.retired: list[Closable] = []
        self.refused: set[int] = set()

    def watch(self, fd: int, waiter: Waiter) -> None:
        self.waiters[fd] = waiter
        if fd in self.refused:
            raise failing(errno.ENOSPC)

    def watch_listener(self, fd: int, waiter: Waiter) -> None:
        self.waiters[fd] = waiter

    def pause_listener(self, fd: int) -> None:
        del self.waiters[fd]

    def retire(self, fd: int, closable: Closable) -> None:
        del self.waiters[fd]
        self.retired.append(closable)


def failing(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class Started:
    """A listener that has been started, and everything around it."""

    def __init__(self, sock: ScriptedSocket) -> None:
        self.sock = sock
        self.poller = NotingPoller()
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.exhausted = 0
        service = SimpleNamespace(
            clock=SimpleNamespace(now_s=0.0),
            limits=Limits(),
            noting=SimpleNamespace(peer=CombinedFormat().peer),
        )
        bridge = SimpleNamespace(poller=self.poller)
        self.connections = Connections(
            bridge,
            Timers(0.0, 0.25),
            ReadAhead(lambda: None),
            no_threads(),
        )
        self.listener = Listener(
            sock,
            service,
            self.connections,
            call_later=lambda delay_s, callback: self.later.append((delay_s, callback)),
            on_exhausted=self._note_exhausted,
        )
        self.listener.start()

    @property
    def is_watched(self) -> bool:
        return LISTENER_FD in self.poller.waiters

    def _note_exhausted(self) -> None:
        self.exhausted += 1


@pytest.fixture
def started() -> Iterator[Started]:
    return Started(ScriptedSocket())


def test_everything_that_waits_is_accepted_and_watched(started: Started):
    accepted = [AcceptedSocket(number) for number in range(3)]
    started.sock.queue += accepted
    started.listener.on_event(READABLE)
    assert set(started.poller.waiters) == {0, 1, 2, LISTENER_FD}
    assert len(started.connections.open) == 3
    assert [sock.timeout for sock in (started.sock, *accepted)] == [0] * 4, "nothing blocks"


def test_burst_is_accepted_in_bounded_pieces(started: Started):
    started.sock.queue += [AcceptedSocket(number) for number in range(ACCEPTS_PER_EVENT + 10)]
    started.listener.on_event(READABLE)
    assert len(started.connections.open) == ACCEPTS_PER_EVENT
    started.listener.on_event(READABLE)
    assert len(started.connections.open) == ACCEPTS_PER_EVENT + 10


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EPROTO, errno.EPERM])
def test_connection_that_died_in_the_queue_hides_no_other(started: Started, number: int):
    started.sock.queue += [failing(number), AcceptedSocket(1), failing(number), AcceptedSocket(2)]
    started.listener.on_event(READABLE)
    assert len(started.connections.open) == 2
    assert started.is_watched


def test_error_without_end_is_bounded_too(started: Started):
    started.sock.queue += [failing(errno.EPERM)] * 10_000
    started.listener.on_event(READABLE)
    assert started.sock.accepts == ACCEPTS_PER_EVENT


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_t29_listener_rests_when_the_system_has_nothing_left(started: Started, number: int):
    started.sock.queue += [AcceptedSocket(1), failing(number), AcceptedSocket(2)]
    started.listener.on_event(READABLE)
    assert not started.is_watched, "or the same connection would be reported for ever"
    assert not started.listener.wants_read
    assert started.exhausted == 1
    ((delay_s, resume),) = started.later
    assert delay_s == ACCEPT_PAUSE_S
    resume()
    assert started.is_watched
    assert started.listener.wants_read
    started.listener.on_event(READABLE)
    assert len(started.connections.open) == 2


def test_listener_that_is_closed_leaves_the_poller(started: Started):
    started.listener.close()
    started.listener.close()
    assert not started.is_watched
    assert started.poller.retired == [started.sock]
    assert not started.listener.wants_read


def test_listener_that_is_closed_while_it_rests_does_not_wake_up(started: Started):
    started.sock.queue += [failing(errno.EMFILE)]
    started.listener.on_event(READABLE)
    started.listener.close()
    assert started.sock.closed == 1
    for _, resume in started.later:
        resume()
    assert not started.is_watched


def test_connection_that_cannot_be_watched_is_given_up_alone(
    started: Started, caplog: pytest.LogCaptureFixture
):
    """epoll_ctl(2) fails with ENOSPC at fs.epoll.max_user_watches."""
    started.poller.refused = {1}
    refused, accepted = AcceptedSocket(1), AcceptedSocket(2)
    started.sock.queue += [refused, accepted]
    started.listener.on_event(READABLE)
    assert started.poller.retired == [refused]
    assert set(started.poller.waiters) == {2, LISTENER_FD}
    assert len(started.connections.open) == 1
    assert "No space left" in caplog.text


def test_failure_of_our_own_is_logged_and_not_the_end(
    started: Started, caplog: pytest.LogCaptureFixture
):
    started.listener.on_failure(ValueError("a fault of our own"))
    assert "a fault of our own" in caplog.text
    assert started.is_watched


def test_listener_never_wants_to_write(started: Started):
    assert not started.listener.wants_write


def test_peers_of_a_unix_socket_have_no_address():
    started = Started(ScriptedSocket(socket.AF_UNIX))
    started.sock.queue += [AcceptedSocket(1)]
    started.listener.on_event(READABLE)
    assert len(started.connections.open) == 1
