"""One connection between a socket pair and a service: turns, deadlines, and what is given back."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from chute.clock import Clock
from chute.engine.connection import Connection
from chute.engine.connections import Connections
from chute.engine.limits import STEPS_PER_TURN, Limits
from chute.engine.service import Service
from chute.engine.states import State
from chute.engine.tally import Tally
from chute.engine.timers import Timers
from chute.exchange import Ends, Request, Response
from chute.streams import PEER_FINISHED, READABLE, WRITABLE
from chute.transfer.read_ahead import ReadAhead
from chute.transfer.source import FileSpan, SharedFile
from readiness import connected_pair, no_threads

HEAD = b"GET /%s HTTP/1.1\r\nHost: h\r\n\r\n"


class NotedPoller:
    """A poller that only notes what is retired."""

    def __init__(self) -> None:
        self.retired: list[socket.socket] = []

    def retire(self, fd: int, closable: socket.socket) -> None:
        self.retired.append(closable)


class NotedBridge:
    def __init__(self) -> None:
        self.ready: deque[Connection] = deque()
        self.poller = NotedPoller()


class Bench:
    """A connection, its peer, and everything around it."""

    def __init__(self, file: SharedFile, size: int, limits: Limits) -> None:
        self.clock = Clock()
        self.file = file
        self.size = size
        self.bridge = NotedBridge()
        self.connections = Connections(
            self.bridge,
            Timers(self.clock.now_s, 0.25),
            ReadAhead(lambda: None),
            no_threads(),
        )  # type: ignore[arg-type]
        self.near, self.far = connected_pair()
        service = Service(self.answer, frozenset(), self.clock, limits, None, Tally())
        self.connection = Connection(self.near, Ends("peer"), service, self.connections)

    def answer(self, request: Request) -> Response:
        if request.path == b"/file":
            return Response(200, [], (FileSpan(self.file, 0, self.size),))
        return Response(200, [], (b"small",))

    def received(self) -> bytes:
        data = b""
        try:
            while piece := self.far.recv(1 << 20):
                data += piece
        except BlockingIOError:
            pass
        return data

    def wait_s(self, seconds: float) -> None:
        """Let time pass, as the engine's tick would notice it."""
        self.clock.now_s += seconds
        self.connections.timers.advance(self.clock.now_s)


CHUNK = 4096
SIZE = 10 * CHUNK
LIMITS = Limits(chunk_bytes_max=CHUNK)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    made = Bench(SharedFile(os.open(path, os.O_RDONLY)), SIZE, LIMITS)
    yield made
    made.connection.abort()
    for sock in (made.near, made.far):
        sock.close()
    made.file.release()
    assert made.file.fd == -1, "somebody still holds the file"


def test_connection_that_used_its_chunk_queues_behind_the_others(bench: Bench):
    """T31: one chunk per turn, however much the socket would take."""
    bench.far.send(HEAD % b"file")
    bench.connection.on_event(READABLE | WRITABLE)
    carried = len(bench.received())
    turns = 0
    while bench.bridge.ready:
        bench.bridge.ready.popleft().resume()
        piece = len(bench.received())
        assert piece <= CHUNK
        carried += piece
        turns += 1
    assert turns >= SIZE // CHUNK - 1
    assert carried > SIZE
    assert bench.connection.state is State.READING


def test_queued_connection_is_not_run_by_an_event(bench: Bench):
    bench.far.send(HEAD % b"file")
    bench.connection.on_event(READABLE | WRITABLE)
    assert list(bench.bridge.ready) == [bench.connection]
    before = len(bench.received())
    bench.connection.on_event(READABLE | WRITABLE)
    assert before > 0
    assert bench.received() == b""
    assert list(bench.bridge.ready) == [bench.connection]


def test_pipelined_requests_take_turns_as_well(bench: Bench):
    bench.far.send(HEAD % b"x" * (STEPS_PER_TURN + 5))
    bench.connection.on_event(READABLE | WRITABLE)
    assert bench.received().count(b"HTTP/1.1 200 OK\r\n") < STEPS_PER_TURN + 1
    assert list(bench.bridge.ready) == [bench.connection]


def test_idle_connection_ends_at_the_keep_alive_deadline(bench: Bench):
    bench.far.send(HEAD % b"x")
    bench.connection.on_event(READABLE | WRITABLE)
    bench.wait_s(LIMITS.keep_alive_timeout_s - 1)
    assert bench.connection.state is State.READING
    bench.wait_s(2)
    assert bench.connection.state is State.CLOSED
    assert bench.bridge.poller.retired == [bench.near]
    assert bench.connections.open == set()
    assert len(bench.connections.timers) == 0


def test_dripping_head_does_not_move_its_deadline(bench: Bench):
    for byte in b"GET / HT":
        bench.far.send(bytes([byte]))
        bench.connection.on_event(READABLE | WRITABLE)
        bench.wait_s(LIMITS.head_timeout_s / 10)
    assert bench.connection.state is State.READING
    bench.wait_s(LIMITS.head_timeout_s / 4)
    assert bench.received().startswith(b"HTTP/1.1 408 ")


def test_empty_lines_do_not_move_the_deadline_of_a_head(bench: Bench):
    """One is forgiven; a peer that sends nothing else would stay for ever if each began a new head."""
    for _ in range(9):
        bench.far.send(b"\r\n")
        bench.connection.on_event(READABLE | WRITABLE)
        bench.wait_s(LIMITS.head_timeout_s / 8)
    assert bench.connection.state is State.CLOSED


def test_rest_of_a_pipelined_head_has_the_time_of_a_head(bench: Bench):
    bench.far.send(HEAD % b"x" + b"GET / HT")
    bench.connection.on_event(READABLE | WRITABLE)
    bench.wait_s(LIMITS.head_timeout_s + 1)
    assert b" 408 " in bench.received()


def test_peer_that_stops_reading_is_given_up_once_it_acknowledges_nothing(tmp_path: Path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    shared = SharedFile(os.open(path, os.O_RDONLY))
    limits = Limits()
    bench = Bench(shared, 64 << 20, limits)
    bench.far.send(HEAD % b"file")
    bench.connection.on_event(READABLE | WRITABLE)
    while bench.bridge.ready:
        bench.bridge.ready.popleft().resume()
    assert bench.connection.state is State.CARRYING
    bench.far.recv(1 << 20)  # the peer reads, although not enough for the socket to report room
    bench.wait_s(limits.send_timeout_s + 1)
    assert bench.connection.state is State.CARRYING, "it took something"
    bench.wait_s(limits.send_timeout_s + 1)
    assert bench.connection.state is State.CLOSED
    shared.release()
    assert shared.fd == -1, "the answer's hold on the file was given back"
    bench.near.close()
    bench.far.close()


def test_half_close_is_found_after_the_answer(bench: Bench):
    bench.far.send(HEAD % b"x")
    bench.far.shutdown(socket.SHUT_WR)
    bench.connection.on_event(READABLE | WRITABLE | PEER_FINISHED)
    assert bench.received().startswith(b"HTTP/1.1 200 OK\r\n")
    assert bench.connection.state is State.CLOSED


def test_closing_twice_retires_once(bench: Bench):
    bench.connection.abort()
    bench.connection.abort()
    bench.connection.on_event(READABLE | WRITABLE)
    assert bench.bridge.poller.retired == [bench.near]
