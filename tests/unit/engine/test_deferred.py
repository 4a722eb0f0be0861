"""Answers that a thread works for: what a connection does until they come."""

from __future__ import annotations

import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chute.clock import Clock
from chute.engine.connection import Connection
from chute.engine.connections import Connections
from chute.engine.limits import WORK_TIMEOUT_S, Limits
from chute.engine.service import Service
from chute.engine.states import State
from chute.engine.tally import Tally
from chute.engine.timers import Timers
from chute.exchange import Deferred, Request, Response
from chute.streams import FAILED, HUNG_UP, READABLE, WRITABLE
from chute.transfer.read_ahead import ReadAhead
from chute.transfer.source import CLOSED, FileSpan, SharedFile
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


class ForEver:
    """A validity that holds."""

    valid_until_s = float("inf")

    def still_holds(self, now_s: float) -> bool:
        return True


class Scene:
    """A connection whose handler defers every answer, and the loop around it, driven by hand."""

    def __init__(self, make: Callable[[Request], Response]) -> None:
        self._make = make
        self.asked = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()
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
        self.service = Service(self.answer, frozenset(), self.clock, Limits(), None, Tally())
        self.near, self.far = connected_pair()
        self.connection = Connection(self.near, "peer", self.service, connections)

    def answer(self, request: Request) -> Response | Deferred:
        self.asked += 1

        def blocking_respond() -> Response:
            assert self.may_go_on.wait(10)
            return self._make(request)

        return Deferred(blocking_respond, "lane")

    def send(self, *targets: str, method: str = "GET") -> None:
        for target in targets:
            self.far.send(f"{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        self.connection.on_event(READY)

    def wait_s(self, seconds: float) -> None:
        """Let time pass, as the engine's tick would notice it."""
        self.clock.now_s += seconds
        self.timers.advance(self.clock.now_s)

    def deliver(self) -> None:
        """Wait until a thread is done, and let the connection go on."""
        assert self._done.acquire(timeout=10)
        self.threads.deliver()
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


@pytest.fixture
def scene() -> Iterator[Callable[..., Scene]]:
    scenes: list[Scene] = []

    def make(respond: Callable[[Request], Response]) -> Scene:
        scenes.append(Scene(respond))
        return scenes[-1]

    yield make
    for made in scenes:
        made.may_go_on.set()
        made.threads.close()
        made.connection.abort()
        made.far.close()


def echo(request: Request) -> Response:
    return Response(200, [(b"Content-Type", b"text/plain")], (request.path,))


def test_answer_is_sent_when_it_has_been_made(scene: Callable[..., Scene]):
    made = scene(echo)
    made.send("/a")
    assert made.connection.state is State.WAITING
    assert made.received() == b""
    made.deliver()
    assert made.received().endswith(b"\r\n\r\n/a")
    assert made.connection.state is State.READING


def test_requests_behind_it_wait_their_turn(scene: Callable[..., Scene]):
    made = scene(echo)
    made.send("/a", "/b", "/c")
    for _ in range(3):
        made.deliver()
    replies = made.received().split(b"HTTP/1.1 200 OK")[1:]
    assert [reply.rpartition(b"\r\n\r\n")[2] for reply in replies] == [b"/a", b"/b", b"/c"]


def test_events_meanwhile_change_nothing(scene: Callable[..., Scene]):
    made = scene(echo)
    made.may_go_on.clear()
    made.send("/a")
    made.connection.on_event(READY)
    assert not made.connection.wants_read
    assert not made.connection.wants_write
    made.wait_s(300)
    assert made.connection.state is State.WAITING, "the peer is not to blame"
    made.may_go_on.set()
    made.deliver()
    assert made.received().count(b"HTTP/1.1 200") == 1


def test_failure_of_the_work_is_a_500_and_the_connection_goes_on(
    scene: Callable[..., Scene], caplog: pytest.LogCaptureFixture
):
    def fail(request: Request) -> Response:
        raise ZeroDivisionError("the reason")

    made = scene(fail)
    made.send("/a")
    made.deliver()
    assert made.received().startswith(b"HTTP/1.1 500 ")
    assert "the reason" in caplog.text
    made.send("/b")
    assert made.connection.state is State.WAITING
    made.deliver()


def test_reusable_answer_is_made_once(scene: Callable[..., Scene]):
    made = scene(lambda request: Response(200, [], (b"content",), validity=ForEver()))
    for _ in range(2):  # admission on second sight
        made.send("/a")
        made.deliver()
    asked = made.asked
    made.send("/a")
    assert made.received().count(b"HTTP/1.1 200") == 3
    assert made.asked == asked


def test_head_gets_the_length_and_no_content(scene: Callable[..., Scene]):
    made = scene(echo)
    made.send("/abc", method="HEAD")
    made.deliver()
    reply = made.received()
    assert b"Content-Length: 4\r\n" in reply
    assert reply.endswith(b"\r\n\r\n")


def test_work_that_never_ends_is_given_up(
    scene: Callable[..., Scene], caplog: pytest.LogCaptureFixture
):
    made = scene(echo)
    made.may_go_on.clear()
    made.send("/a")
    made.wait_s(WORK_TIMEOUT_S + 1)
    assert made.connection.state is State.CLOSED
    assert "takes too long" in caplog.text
    made.may_go_on.set()
    made.deliver()


@pytest.mark.parametrize("has_begun", [True, False])
def test_peer_that_leaves_costs_nothing(
    scene: Callable[..., Scene], tmp_path: Path, has_begun: bool
):
    path = tmp_path / "content"
    path.write_bytes(b"content")
    files: list[SharedFile] = []

    def open_file(request: Request) -> Response:
        file = SharedFile(os.open(path, os.O_RDONLY))
        files.append(file)
        response = Response(200, [], (FileSpan(file, 0, 7),))
        file.release()
        return response

    made = scene(open_file)
    made.may_go_on.clear()
    other = scene(echo)
    if not has_begun:
        # The lane is taken, so that the job waits for its turn.
        made.threads.submit(_Busy(other.may_go_on))
        other.may_go_on.clear()
    made.send("/a")
    made.connection.on_event(READY | HUNG_UP | FAILED)
    assert made.connection.state is State.CLOSED
    made.may_go_on.set()
    other.may_go_on.set()
    made.deliver()
    assert len(files) == (1 if has_begun else 0)
    assert all(file.fd == CLOSED for file in files)


class _Busy:
    """A job that occupies the lane."""

    lane = "lane"

    def __init__(self, may_go_on: threading.Event) -> None:
        self._may_go_on = may_go_on

    def blocking_work(self) -> None:
        assert self._may_go_on.wait(10)

    def on_done(self, outcome: object) -> None:
        pass
