"""Content that is made while it is sent: framing, lengths, and what is given back when it ends early."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from chute.engine.limits import Limits
from chute.engine.states import State
from chute.exchange import Production, Request, Response
from chute.streams import FAILED, HUNG_UP
from chute.transfer.source import CLOSED, FileSpan, Piece, SharedFile
from scene import READY, Scene

Pieces = Generator[Piece, None, None]


class Produced:
    """A scene whose handler answers with what a generator yields."""

    def __init__(self, make: Callable[[], Pieces], *, count: int | None = None) -> None:
        self._make = make
        self._count = count
        self.has_closed = 0
        self.scene = Scene(self.answer)

    def answer(self, request: Request) -> Response:
        return Response(200, [], production=Production(self._noted(), "lane", count=self._count))

    def _noted(self) -> Pieces:
        try:
            yield from self._make()
        finally:
            self.has_closed += 1


@pytest.fixture
def produce() -> Iterator[Callable[..., Produced]]:
    made: list[Produced] = []

    def make(pieces: Callable[[], Pieces], **options: int) -> Produced:
        made.append(Produced(pieces, **options))
        return made[-1]

    yield make
    for each in made:
        each.scene.end()


def parts() -> Pieces:
    yield b"first"
    yield b""
    yield b"second"


def content_of(reply: bytes) -> bytes:
    return reply.partition(b"\r\n\r\n")[2]


def test_content_of_unknown_length_goes_in_chunks(produce: Callable[..., Produced]):
    made = produce(parts)
    made.scene.send("/")
    for _ in range(4):
        made.scene.deliver()
    reply = made.scene.received()
    assert b"Transfer-Encoding: chunked\r\n" in reply
    assert b"Content-Length" not in reply
    assert content_of(reply) == b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n"
    assert made.scene.connection.state is State.READING
    assert made.has_closed == 1


def test_head_has_left_before_the_content_is_made(produce: Callable[..., Produced]):
    made = produce(parts)
    made.scene.send("/")
    assert made.scene.received().endswith(b"\r\n\r\n")


def test_client_of_http_1_0_learns_the_end_from_the_connection(produce: Callable[..., Produced]):
    made = produce(parts)
    made.scene.write(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    for _ in range(4):
        made.scene.deliver()
    reply = made.scene.received()
    assert b"chunked" not in reply
    assert b"Connection: close" in reply
    assert content_of(reply) == b"firstsecond"
    assert made.scene.connection.state is State.CLOSED


def test_content_of_known_length_goes_as_it_is(produce: Callable[..., Produced]):
    made = produce(parts, count=11)
    made.scene.send("/")
    for _ in range(4):
        made.scene.deliver()
    reply = made.scene.received()
    assert b"Content-Length: 11\r\n" in reply
    assert content_of(reply) == b"firstsecond"
    assert made.scene.connection.state is State.READING


@pytest.mark.parametrize("count", [10, 12], ids=["longer than promised", "shorter than promised"])
def test_content_that_breaks_its_promise_ends_the_connection(
    produce: Callable[..., Produced], caplog: pytest.LogCaptureFixture, count: int
):
    made = produce(parts, count=count)
    made.scene.send("/")
    while made.scene.connection.state is not State.CLOSED:
        made.scene.deliver()
    assert len(content_of(made.scene.received())) < count
    assert "ended early" in caplog.text
    assert made.has_closed == 1


def test_production_that_fails_ends_the_connection_without_the_last_chunk(
    produce: Callable[..., Produced], caplog: pytest.LogCaptureFixture
):
    def failing() -> Pieces:
        yield b"first"
        raise ZeroDivisionError("the reason")

    made = produce(failing)
    made.scene.send("/")
    for _ in range(2):
        made.scene.deliver()
    assert content_of(made.scene.received()) == b"5\r\nfirst\r\n"
    assert made.scene.connection.state is State.CLOSED
    assert "the reason" in caplog.text


def test_head_request_makes_nothing(produce: Callable[..., Produced]):
    def never() -> Pieces:
        raise AssertionError("made")
        yield b""

    made = produce(never, count=11)
    made.scene.send("/", method="HEAD")
    reply = made.scene.received()
    assert b"Content-Length: 11\r\n" in reply
    assert content_of(reply) == b""
    assert made.scene.connection.state is State.READING


def test_spans_of_files_are_carried_and_given_back(
    produce: Callable[..., Produced], tmp_path: Path
):
    path = tmp_path / "content"
    path.write_bytes(b"0123456789")
    files: list[SharedFile] = []

    def spans() -> Pieces:
        for offset in (0, 5):
            files.append(SharedFile(os.open(path, os.O_RDONLY)))
            yield FileSpan(files[-1], offset, 5)

    made = produce(spans)
    made.scene.send("/")
    for _ in range(3):
        made.scene.deliver()
    reply = made.scene.received()
    assert content_of(reply) == b"5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"
    assert [file.fd for file in files] == [CLOSED, CLOSED]


def test_next_piece_is_not_made_before_the_one_before_has_left(produce: Callable[..., Produced]):
    made_so_far: list[int] = []

    def large() -> Pieces:
        for number in range(20):
            made_so_far.append(number)
            yield bytes(1 << 20)

    made = produce(large)
    made.scene.send("/")
    made.scene.deliver()
    made.scene.turn()
    made.scene.turn()
    held = len(made_so_far)
    assert held < 20
    assert made.scene.connection.wants_write
    received = 0
    while made.scene.connection.state is not State.READING:
        received += len(made.scene.received())
        made.scene.turn()
        if not made.scene.connection.wants_write and made.scene.connection.state is State.CARRYING:
            made.scene.deliver()
    received += len(made.scene.received())
    assert received > 20 << 20


def test_peer_that_takes_nothing_of_it_is_timed_out_as_ever(produce: Callable[..., Produced]):
    def large() -> Pieces:
        while True:
            yield bytes(1 << 20)

    made = produce(large)
    made.scene.send("/")
    for _ in range(2):
        if not made.scene.connection.wants_write:
            made.scene.deliver()
        made.scene.turn()
    assert made.scene.connection.wants_write
    for _ in range(3):
        made.scene.wait_s(Limits().send_timeout_s + 1)
    assert made.scene.connection.state is State.CLOSED
    assert made.has_closed == 1


def test_request_behind_it_is_answered(produce: Callable[..., Produced]):
    made = produce(parts)
    made.scene.send("/", "/")
    for _ in range(8):
        made.scene.deliver()
    reply = made.scene.received()
    assert reply.count(b"HTTP/1.1 200 OK") == 2
    assert reply.count(b"\r\n0\r\n\r\n") == 2


@pytest.mark.parametrize("is_working", [True, False])
def test_peer_that_leaves_has_the_production_closed(
    produce: Callable[..., Produced], tmp_path: Path, is_working: bool
):
    path = tmp_path / "content"
    path.write_bytes(bytes(1 << 20))
    files: list[SharedFile] = []

    def spans() -> Pieces:
        while True:
            files.append(SharedFile(os.open(path, os.O_RDONLY)))
            yield FileSpan(files[-1], 0, 1 << 20)

    made = produce(spans)
    made.scene.send("/")
    if not is_working:
        made.scene.deliver()
        while not made.scene.connection.wants_write:
            made.scene.turn()
            if not made.scene.connection.wants_write:
                made.scene.deliver()
    made.scene.turn(READY | HUNG_UP | FAILED)
    made.scene.connection.abort()
    assert made.scene.connection.state is State.CLOSED
    if is_working:
        made.scene.deliver()
    assert files
    assert {file.fd for file in files} == {CLOSED}
    assert made.has_closed == 1
