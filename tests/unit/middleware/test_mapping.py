"""One change to every answer, whichever way it comes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chute.exchange import Deferred, Receiving, Request, Response
from chute.middleware.mapping import add_missing, map_response
from chute.semantics.messages import RequestHead

Answer = Response | Deferred | Receiving

REQUEST = Request(RequestHead(b"GET", b"/a", 1, []), b"/a", None, b"h")


class Intake:
    """Answers early when it is told to stop; notes what it is given."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def blocking_take(self, block: bytes) -> Response | None:
        self.calls.append(block)
        return Response(413, []) if block == b"stop" else None

    def blocking_finish(self) -> Response:
        return Response(201, [])

    def blocking_give_up(self) -> None:
        self.calls.append("gave up")


def mark(request: Request, response: Response) -> Response:
    """A change that can be seen, and that shows being made twice."""
    response.fields = [*response.fields, (b"For", request.path)]
    return response


def changed(answer: Answer) -> Answer:
    return map_response(lambda request: answer, mark)(REQUEST)


def changed_deferred(respond: Callable[[], object], lane: str = "lane") -> Deferred:
    deferred = changed(Deferred(respond, lane))  # type: ignore[arg-type]
    assert isinstance(deferred, Deferred)
    return deferred


def fields_of(answer: object) -> list[tuple[bytes, bytes]]:
    assert isinstance(answer, Response)
    return answer.fields


MARKED = [(b"For", b"/a")]


def test_response_is_changed_and_stays_the_same_object():
    response = Response(200, [])
    assert changed(response) is response
    assert response.fields == MARKED


def test_response_of_a_thread_is_changed_there_so_that_it_can_be_given_back():
    deferred = changed_deferred(lambda: Response(200, []))
    assert deferred.lane == "lane"
    assert fields_of(deferred.blocking_respond()) == MARKED


def test_what_a_thread_left_to_the_loop_is_done_and_changed_by_the_loop():
    steps: list[str] = []

    def in_loop() -> Response:
        steps.append("loop")
        return Response(200, [])

    rest = changed_deferred(lambda: in_loop).blocking_respond()
    assert callable(rest)
    assert steps == []
    assert fields_of(rest()) == MARKED
    assert steps == ["loop"]


def test_chain_of_threads_and_loop_is_changed_at_its_end_and_once():
    last = Deferred(lambda: Response(200, []), "second")
    rest = changed_deferred(lambda: lambda: last).blocking_respond()
    assert callable(rest)
    second = rest()
    assert isinstance(second, Deferred)
    assert second.lane == "second"
    assert fields_of(second.blocking_respond()) == MARKED


def test_exception_of_a_thread_is_passed_on():
    def fail() -> Response:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        changed_deferred(fail).blocking_respond()


def test_intake_is_told_what_it_would_have_been_told_and_its_answers_are_changed():
    intake = Intake()
    receiving = changed(Receiving(intake, "disk", content_bytes_max=5))
    assert isinstance(receiving, Receiving)
    assert (receiving.lane, receiving.content_bytes_max) == ("disk", 5)
    assert receiving.intake.blocking_take(b"go on") is None
    assert fields_of(receiving.intake.blocking_take(b"stop")) == MARKED
    assert fields_of(receiving.intake.blocking_finish()) == MARKED
    receiving.intake.blocking_give_up()
    assert intake.calls == [b"go on", b"stop", "gave up"]


def test_fields_that_are_there_are_kept_however_they_are_spelled():
    response = Response(200, [(b"x-frame-options", b"ALLOWALL")])
    add_missing(response, [(b"X-Frame-Options", b"DENY"), (b"A", b"1")])
    assert response.fields == [(b"x-frame-options", b"ALLOWALL"), (b"A", b"1")]


def test_list_of_fields_that_the_handler_keeps_is_not_written_to():
    shared = [(b"A", b"1")]
    add_missing(Response(200, shared), [(b"B", b"2")])
    assert shared == [(b"A", b"1")]


def test_what_is_dropped_gives_back_what_it_holds():
    dropped: list[None] = []
    deferred = Deferred(lambda: Response(200, []), "lane", on_dropped=lambda: dropped.append(None))
    mapped = map_response(lambda request: deferred, lambda request, response: response)
    answer = mapped(None)  # type: ignore[arg-type]
    assert isinstance(answer, Deferred)
    assert answer.on_dropped is not None
    answer.on_dropped()
    assert dropped == [None]
