"""Request content on its way to whoever asked for it, and what the connection does meanwhile."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import pytest

from chute.engine.limits import CONTENT_BLOCK_BYTES, WORK_TIMEOUT_S, Limits
from chute.engine.states import State
from chute.exchange import Receiving, Request, Response, failure
from chute.streams import FAILED, HUNG_UP
from scene import READY, Scene

LIMITS = Limits(body_timeout_s=10)


class NotedIntake:
    """Notes what it is given; does as the test says."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []
        self.ends: list[str] = []
        self.may_take = threading.Event()
        self.may_take.set()
        self.refuses_after = 1 << 40
        self.fails: str = ""

    def blocking_take(self, block: bytes) -> Response | None:
        assert self.may_take.wait(10)
        assert not self.ends, "called after the end"
        if self.fails == "take":
            raise OSError("the disk")
        self.blocks.append(block)
        if sum(map(len, self.blocks)) > self.refuses_after:
            self.ends.append("refused")
            return failure(507, "Enough.")
        return None

    def blocking_finish(self) -> Response:
        assert not self.ends, "called after the end"
        if self.fails == "finish":
            raise OSError("the disk")
        self.ends.append("finished")
        return Response(201, [], (b"%d bytes" % len(b"".join(self.blocks)),))

    def blocking_give_up(self) -> None:
        assert not self.ends, "called after the end"
        self.ends.append("given up")


class Taken:
    def __init__(self, limits: Limits = LIMITS, content_bytes_max: int = 1 << 30) -> None:
        self.intake = NotedIntake()
        self.requests: list[Request] = []
        self._content_bytes_max = content_bytes_max
        self.scene = Scene(self.answer, limits)

    def answer(self, request: Request) -> Response | Receiving:
        self.requests.append(request)
        if request.path == b"/plain":
            return Response(200, [], (b"plain",))
        return Receiving(self.intake, "lane", content_bytes_max=self._content_bytes_max)

    def begin(self, *lines: str, target: str = "/") -> None:
        head = "".join(f"{line}\r\n" for line in (f"PUT {target} HTTP/1.1", "Host: h", *lines))
        self.scene.write(head.encode() + b"\r\n")

    def deliver(self, times: int = 1) -> None:
        for _ in range(times):
            self.scene.deliver()


@pytest.fixture
def take() -> Iterator[Callable[..., Taken]]:
    made: list[Taken] = []

    def make(**options: object) -> Taken:
        made.append(Taken(**options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.intake.may_take.set()
        each.scene.end()


def test_content_is_taken_and_then_answered(take: Callable[..., Taken]):
    taken = take()
    taken.begin("Content-Length: 10")
    assert taken.scene.connection.state is State.TAKING
    taken.scene.write(b"01234")
    assert taken.intake.blocks == [], "a block is not full"
    taken.scene.write(b"56789")
    taken.deliver(2)
    assert taken.intake.blocks == [b"0123456789"]
    assert taken.intake.ends == ["finished"]
    assert taken.scene.received().endswith(b"\r\n\r\n10 bytes")


def test_connection_goes_on_behind_the_content(take: Callable[..., Taken]):
    taken = take()
    taken.begin("Content-Length: 3")
    taken.scene.write(b"abcGET /plain HTTP/1.1\r\nHost: h\r\n\r\n")
    taken.deliver(2)
    reply = taken.scene.received()
    assert reply.index(b"3 bytes") < reply.index(b"plain")
    assert taken.scene.connection.state is State.READING


def test_chunked_content_is_taken_without_its_framing(take: Callable[..., Taken]):
    taken = take()
    taken.begin("Transfer-Encoding: chunked")
    taken.scene.write(b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n")
    taken.deliver(2)
    assert b"".join(taken.intake.blocks) == b"abcdefg"


@pytest.mark.parametrize("line", ["Content-Length: 0", "Accept: */*"])
def test_no_content_is_finished_at_once(take: Callable[..., Taken], line: str):
    taken = take()
    taken.begin(line)
    taken.deliver()
    assert taken.intake.ends == ["finished"]
    assert taken.intake.blocks == []


def test_client_that_expects_it_is_told_to_go_on(take: Callable[..., Taken]):
    taken = take()
    taken.begin("Content-Length: 3", "Expect: 100-continue")
    assert taken.scene.received() == b"HTTP/1.1 100 Continue\r\n\r\n"
    taken.scene.write(b"abc")
    taken.deliver(2)
    reply = taken.scene.received()
    assert reply.startswith(b"HTTP/1.1 201 ")
    assert b"Connection: close" not in reply
    assert taken.scene.connection.state is State.READING


def test_client_that_does_not_wait_is_not_told(take: Callable[..., Taken]):
    taken = take()
    taken.scene.write(
        b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc"
    )
    taken.deliver(2)
    assert taken.scene.received().startswith(b"HTTP/1.1 201 ")


def test_announced_content_beyond_the_bound_is_refused_before_a_byte(take: Callable[..., Taken]):
    taken = take(content_bytes_max=9)
    taken.begin("Content-Length: 10", "Expect: 100-continue")
    assert taken.scene.received().startswith(b"HTTP/1.1 413 ")
    assert taken.intake.ends == []


def test_chunked_content_beyond_the_bound_is_refused_and_given_up(take: Callable[..., Taken]):
    taken = take(content_bytes_max=9)
    taken.begin("Transfer-Encoding: chunked")
    taken.scene.write(b"5\r\nabcde\r\n")
    taken.scene.write(b"5\r\n")
    taken.deliver()
    assert taken.scene.received().startswith(b"HTTP/1.1 413 ")
    assert taken.intake.ends == ["given up"]
    assert taken.scene.connection.state is State.LINGERING


def test_broken_framing_is_a_400_and_given_up(take: Callable[..., Taken]):
    taken = take()
    taken.begin("Transfer-Encoding: chunked")
    taken.scene.write(b"nothing\r\n")
    taken.deliver()
    assert taken.scene.received().startswith(b"HTTP/1.1 400 ")
    assert taken.intake.ends == ["given up"]


def test_larger_bound_than_for_content_that_nobody_wants_holds(take: Callable[..., Taken]):
    taken = take(limits=Limits(content_bytes_max=1))
    taken.begin("Content-Length: 3")
    taken.scene.write(b"abc")
    taken.deliver(2)
    assert taken.scene.received().startswith(b"HTTP/1.1 201 ")


def test_peer_that_is_faster_than_the_disk_is_not_read(take: Callable[..., Taken]):
    taken = take()
    taken.intake.may_take.clear()
    total = 8 * CONTENT_BLOCK_BYTES
    taken.begin(f"Content-Length: {total}")
    sent = 0
    block = bytes(64 * 1024)
    for _ in range(2 * total // len(block)):
        with contextlib.suppress(BlockingIOError):
            sent += taken.scene.far.send(block[: total - sent])
        taken.scene.turn()
    assert sent < total
    assert not taken.scene.connection.wants_read
    taken.intake.may_take.set()
    while not taken.intake.ends:
        taken.deliver()
        while sent < total:
            try:
                sent += taken.scene.far.send(block[: total - sent])
            except BlockingIOError:
                break
            taken.scene.turn()
    taken.scene.turn()
    assert sum(map(len, taken.intake.blocks)) == total
    assert max(map(len, taken.intake.blocks)) < 2 * CONTENT_BLOCK_BYTES
    assert len(taken.intake.blocks) >= 4, "blocks, not all at once"


def test_refusal_half_way_is_sent_and_ends_the_connection(take: Callable[..., Taken]):
    taken = take()
    taken.intake.refuses_after = 10
    taken.begin("Content-Length: 10000000")
    block = bytes(CONTENT_BLOCK_BYTES // 4)
    while taken.scene.connection.wants_read:
        taken.scene.write(block)
    taken.deliver()
    reply = taken.scene.received()
    assert reply.startswith(b"HTTP/1.1 507 ")
    assert b"Connection: close" in reply
    assert taken.intake.ends == ["refused"]


@pytest.mark.parametrize("fails", ["take", "finish"])
def test_failing_intake_is_a_500_and_gives_up(
    take: Callable[..., Taken], caplog: pytest.LogCaptureFixture, fails: str
):
    taken = take()
    taken.intake.fails = fails
    taken.begin("Content-Length: 3")
    taken.scene.write(b"abc")
    taken.deliver(2 if fails == "take" else 3)
    assert taken.scene.received().startswith(b"HTTP/1.1 500 ")
    assert taken.intake.ends == ["given up"]
    assert "the disk" in caplog.text


def test_what_arrived_before_the_peer_left_is_taken_and_the_rest_given_up(
    take: Callable[..., Taken],
):
    taken = take()
    taken.begin("Content-Length: 10")
    taken.scene.write(b"0123")
    taken.scene.far.close()
    taken.scene.turn(READY | HUNG_UP)
    assert taken.scene.connection.state is State.CLOSED
    taken.deliver()
    assert taken.intake.blocks == [b"0123"]
    assert taken.intake.ends == ["given up"]


def test_peer_that_leaves_while_a_block_is_taken_is_given_up_after_it(take: Callable[..., Taken]):
    taken = take()
    taken.intake.may_take.clear()
    taken.begin(f"Content-Length: {10 * CONTENT_BLOCK_BYTES}")
    block = bytes(CONTENT_BLOCK_BYTES // 4)
    for _ in range(20):
        if taken.scene.connection.wants_read:
            taken.scene.write(block)
    assert not taken.scene.connection.wants_read
    taken.scene.turn(READY | HUNG_UP | FAILED)
    assert taken.scene.connection.state is State.CLOSED
    assert taken.intake.ends == []
    taken.intake.may_take.set()
    taken.deliver(2)
    assert taken.intake.ends == ["given up"]


def test_answer_that_nobody_waits_for_is_dropped(take: Callable[..., Taken]):
    taken = take()
    taken.begin("Content-Length: 0")
    taken.scene.connection.abort()
    taken.deliver()
    assert taken.intake.ends == ["finished"]
    assert taken.scene.received() == b""


def test_content_that_stops_coming_is_a_408(take: Callable[..., Taken]):
    taken = take()
    taken.begin("Content-Length: 10")
    taken.scene.write(b"0123")
    taken.scene.wait_s(LIMITS.body_timeout_s - 1)
    taken.scene.write(b"4")
    taken.scene.wait_s(LIMITS.body_timeout_s - 1)
    assert taken.scene.connection.state is State.TAKING
    taken.scene.wait_s(2)
    taken.deliver()
    assert taken.scene.received().startswith(b"HTTP/1.1 408 ")
    assert taken.intake.ends == ["given up"]


def test_intake_that_never_comes_back_is_left_alone(
    take: Callable[..., Taken], caplog: pytest.LogCaptureFixture
):
    taken = take()
    taken.intake.may_take.clear()
    taken.begin("Content-Length: 3")
    taken.scene.write(b"abc")
    taken.scene.wait_s(WORK_TIMEOUT_S - 1)
    assert taken.scene.connection.state is State.TAKING
    taken.scene.wait_s(2)
    assert taken.scene.connection.state is State.CLOSED
    assert "takes too long" in caplog.text
    taken.intake.may_take.set()
    taken.deliver(2)
    assert taken.intake.ends == ["given up"]


def test_client_of_http_1_0_can_send_content(take: Callable[..., Taken]):
    taken = take()
    taken.scene.write(b"PUT / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc")
    taken.deliver(2)
    reply = taken.scene.received()
    assert reply.startswith(b"HTTP/1.1 201 ")
    assert b"Connection: close" in reply


def test_content_in_one_byte_chunks_gives_the_others_their_turn(take: Callable[..., Taken]):
    taken = take()
    taken.begin("Transfer-Encoding: chunked")
    taken.scene.far.send(b"1\r\nx\r\n" * 20_000)
    taken.scene.connection.on_event(READY)
    assert taken.scene.bridge.ready, "one read, and back behind the others"
