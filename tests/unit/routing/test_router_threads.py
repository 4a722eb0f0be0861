"""Answers that threads make, and the files of answers, on their way through a router."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chute.exchange import (
    Deferred,
    Handler,
    Outcome,
    Receiving,
    Redispatch,
    Request,
    Response,
    failure,
)
from chute.routing.error_pages import compile_pages
from chute.transfer.source import FileSpan, SharedFile
from routed import request_of
from routers import (
    fails,
    fields,
    finished,
    location,
    response_of,
    router,
    text_of,
    with_pages,
)


def test_answer_of_a_thread_gets_its_fields_there():
    answer = Response(200, [])
    handler = router(
        location("/", lambda request: Deferred(lambda: answer, "lane"), fields=fields(X="1"))
    ).handle
    deferred = handler(request_of())
    assert isinstance(deferred, Deferred)
    assert deferred.lane == "lane"
    assert deferred.blocking_respond() is answer
    assert answer.fields == [(b"X", b"1")]


def test_failure_of_a_thread_is_shown_by_the_loop():
    handler = with_pages(lambda request: Deferred(lambda: failure(404, "x"), 1), location("/page"))
    deferred = handler(request_of(b"/a"))
    assert isinstance(deferred, Deferred)
    rest = deferred.blocking_respond()
    assert callable(rest)
    assert text_of(rest()) == b"/page /page"


def test_redispatch_of_the_loop_behind_a_thread_is_routed():
    handler = router(
        location("/a", lambda request: Deferred(lambda: lambda: Redispatch(b"@b", None), 1)),
        location("@b"),
    ).handle
    assert text_of(finished(handler(request_of(b"/a")))) == b"@b /a"


def test_what_a_handler_wants_done_when_it_is_dropped_is_done():
    dropped: list[int] = []
    deferred = Deferred(lambda: Response(200, []), 1, on_dropped=lambda: dropped.append(1))
    outcome = router(location("/", lambda request: deferred)).handle(request_of())
    assert isinstance(outcome, Deferred)
    assert outcome.on_dropped is not None
    outcome.on_dropped()
    assert dropped == [1]


class Intake:
    """Takes a block, and answers early when it is told to stop."""

    def __init__(self) -> None:
        self.gave_up = 0

    def blocking_take(self, block: bytes) -> Response | None:
        return Response(413, []) if block == b"stop" else None

    def blocking_finish(self) -> Response:
        return Response(201, [])

    def blocking_give_up(self) -> None:
        self.gave_up += 1


def test_answers_of_an_intake_get_the_fields_of_the_location():
    intake = Intake()
    handler = router(
        location(
            "/",
            lambda request: Receiving(intake, "disk", content_bytes_max=9),
            fields=fields(X="$status"),
        )
    ).handle
    receiving = handler(request_of(method=b"PUT"))
    assert isinstance(receiving, Receiving)
    assert (receiving.lane, receiving.content_bytes_max) == ("disk", 9)
    assert receiving.intake.blocking_take(b"go on") is None
    assert response_of(receiving.intake.blocking_take(b"stop")).fields == [(b"X", b"413")]
    assert receiving.intake.blocking_finish().fields == [(b"X", b"201")]
    receiving.intake.blocking_give_up()
    assert intake.gave_up == 1


# --------------------------------------------------------------------------- files


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SharedFile]:
    """A file with one holder: the test."""
    (tmp_path / "file").write_bytes(b"content")
    shared = SharedFile(os.open(tmp_path / "file", os.O_RDONLY))
    yield shared
    shared.release()
    assert shared.fd == -1, "somebody holds it still"


def sends(file: SharedFile, status: int = 200) -> Handler:
    return lambda request: Response(status, [], (FileSpan(file, 0, 7),))


def deferred(handler: Handler) -> Handler:
    return lambda request: Deferred(lambda: response_of(handler(request)), "lane")


def after_thread(handler: Handler) -> Handler:
    return lambda request: Deferred(lambda: lambda: handler(request), "lane")


def sent_on(request: Request) -> Outcome:
    return Redispatch(b"/file", None)


@pytest.mark.parametrize("made", [None, deferred, after_thread], ids=["now", "thread", "loop"])
@pytest.mark.parametrize("path", [b"/file", b"/on", b"/failing"])
def test_file_of_an_answer_is_given_back_once_whatever_way_it_came(
    path: bytes, made: object, file: SharedFile
):
    sender = sends(file)
    handler = router(
        location("/file", made(sender) if callable(made) else sender),
        location("/on", sent_on),
        location("/failing", fails(), error_pages=compile_pages([(404, "/file")])),
    ).handle
    response = finished(handler(request_of(path)))
    assert file._holders == 2
    response.release()
    assert file._holders == 1


@pytest.mark.parametrize("made", [None, deferred, after_thread], ids=["now", "thread", "loop"])
def test_file_of_a_page_that_fails_is_given_back_or_sent(made: object, file: SharedFile):
    """A page with the status of a failure and content of its own."""
    sender = sends(file, 403)
    handler = with_pages(fails(), location("/page", made(sender) if callable(made) else sender))
    response = finished(handler(request_of(b"/a")))
    response.release()
    assert (response.status, file._holders) == (404, 1)


@pytest.mark.parametrize("path", [b"/file", b"/on", b"/failing"])
def test_answer_of_a_thread_that_nobody_waits_for_gives_its_file_back(
    path: bytes, file: SharedFile
):
    """As the engine does it: a response is released; what is left to do is not done."""
    handler = router(
        location("/file", deferred(sends(file))),
        location("/on", sent_on),
        location("/failing", fails(), error_pages=compile_pages([(404, "/file")])),
    ).handle
    outcome = handler(request_of(path))
    assert isinstance(outcome, Deferred)
    made = outcome.blocking_respond()
    if isinstance(made, Response):
        made.release()
    elif outcome.on_dropped is not None:
        outcome.on_dropped()
    assert file._holders == 1
