"""Answers that a thread works for: what a connection does until they come."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chute.engine.limits import WORK_TIMEOUT_S
from chute.engine.states import State
from chute.exchange import Deferred, Request, Response
from chute.streams import FAILED, HUNG_UP
from chute.transfer.source import CLOSED, FileSpan, SharedFile
from scene import READY, Scene


class ForEver:
    """A validity that holds."""

    valid_until_s = float("inf")

    def still_holds(self, now_s: float) -> bool:
        return True


class Deferring(Scene):
    """A scene whose handler defers every answer."""

    def __init__(self, make: Callable[[Request], Response]) -> None:
        super().__init__(self.answer)
        self._make = make
        self.asked = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def answer(self, request: Request) -> Response | Deferred:
        self.asked += 1

        def blocking_respond() -> Response:
            assert self.may_go_on.wait(10)
            return self._make(request)

        return Deferred(blocking_respond, "lane")


@pytest.fixture
def scene() -> Iterator[Callable[..., Deferring]]:
    scenes: list[Deferring] = []

    def make(respond: Callable[[Request], Response]) -> Deferring:
        scenes.append(Deferring(respond))
        return scenes[-1]

    yield make
    for made in scenes:
        made.may_go_on.set()
        made.end()


def echo(request: Request) -> Response:
    return Response(200, [(b"Content-Type", b"text/plain")], (request.path,))


def test_answer_is_sent_when_it_has_been_made(scene: Callable[..., Deferring]):
    made = scene(echo)
    made.send("/a")
    assert made.connection.state is State.WAITING
    assert made.received() == b""
    made.deliver()
    assert made.received().endswith(b"\r\n\r\n/a")
    assert made.connection.state is State.READING


def test_requests_behind_it_wait_their_turn(scene: Callable[..., Deferring]):
    made = scene(echo)
    made.send("/a", "/b", "/c")
    for _ in range(3):
        made.deliver()
    replies = made.received().split(b"HTTP/1.1 200 OK")[1:]
    assert [reply.rpartition(b"\r\n\r\n")[2] for reply in replies] == [b"/a", b"/b", b"/c"]


def test_events_meanwhile_change_nothing(scene: Callable[..., Deferring]):
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
    scene: Callable[..., Deferring], caplog: pytest.LogCaptureFixture
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


def test_reusable_answer_is_made_once(scene: Callable[..., Deferring]):
    made = scene(lambda request: Response(200, [], (b"content",), validity=ForEver()))
    for _ in range(2):  # admission on second sight
        made.send("/a")
        made.deliver()
    asked = made.asked
    made.send("/a")
    assert made.received().count(b"HTTP/1.1 200") == 3
    assert made.asked == asked


def test_head_gets_the_length_and_no_content(scene: Callable[..., Deferring]):
    made = scene(echo)
    made.send("/abc", method="HEAD")
    made.deliver()
    reply = made.received()
    assert b"Content-Length: 4\r\n" in reply
    assert reply.endswith(b"\r\n\r\n")


def test_work_that_never_ends_is_given_up(
    scene: Callable[..., Deferring], caplog: pytest.LogCaptureFixture
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
    scene: Callable[..., Deferring], tmp_path: Path, has_begun: bool
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


def test_rest_of_the_work_is_done_in_the_thread_of_the_loop(scene: Callable[..., Deferring]):
    threads: list[str] = []

    def first(request: Request) -> Callable[[], Response]:
        threads.append(threading.current_thread().name)

        def rest() -> Response:
            threads.append(threading.current_thread().name)
            return echo(request)

        return rest

    made = scene(first)
    made.send("/a")
    made.deliver()
    assert made.received().endswith(b"\r\n\r\n/a")
    assert threads == ["chute-work", threading.current_thread().name]


def test_rest_of_the_work_may_be_deferred_again(scene: Callable[..., Deferring]):
    made = scene(lambda request: lambda: Deferred(lambda: echo(request), "another lane"))
    made.send("/a")
    made.deliver()
    assert made.received() == b""
    made.deliver()
    assert made.received().endswith(b"\r\n\r\n/a")


def test_rest_of_the_work_that_fails_is_a_500(
    scene: Callable[..., Deferring], caplog: pytest.LogCaptureFixture
):
    def fail() -> Response:
        raise ZeroDivisionError("the reason")

    made = scene(lambda request: fail)
    made.send("/a")
    made.deliver()
    assert made.received().startswith(b"HTTP/1.1 500 ")
    assert "the reason" in caplog.text
