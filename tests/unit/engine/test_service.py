"""From a raw head to the plan that answers it, remembered or new."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from chute.clock import Clock
from chute.engine.limits import RECEIVE_BYTES, Limits
from chute.engine.noting import NO_TIME_S
from chute.engine.pending import Pending
from chute.engine.service import REQUEST_LINE_LOGGED_MAX, Service
from chute.engine.taking import Taking
from chute.engine.tally import Tally
from chute.errors import PeerError
from chute.exchange import NOWHERE, Deferred, Ends, Receiving, Request, Response, failure
from chute.middleware.access_log import AccessLog, CombinedFormat
from chute.middleware.journal import Entry, SiteJournal
from chute.plan.plan import KnownHead

HEAD = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


class SetClock(Clock):
    """A clock that tests set."""

    def refresh(self) -> float:
        self.now_s, self.second = 100.0, 1_795_412_728
        return self.now_s


class Promise:
    """The validity of an answer; holds until a test breaks it."""

    def __init__(self) -> None:
        self.holds = True
        self.asked = 0
        self.valid_until_s = 101.0

    def still_holds(self, now_s: float) -> bool:
        self.asked += 1
        self.valid_until_s = now_s + 1
        return self.holds


class CountingHandler:
    """Answers with the number of the call, reusable if it was given a promise."""

    def __init__(self, promise: Promise | None = None) -> None:
        self.requests: list[Request] = []
        self._promise = promise

    def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        content = b"answer %d" % len(self.requests)
        return Response(200, [], (content,), validity=self._promise)


class ListedFile:
    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, lines: bytes) -> None:
        self.lines += lines.splitlines()

    def close(self) -> None:
        pass


def service_of(
    handler: Callable[[Request], Response],
    depends_on: frozenset[bytes] = frozenset({b"range"}),
    *,
    access_log: AccessLog | None = None,
    limits: Limits | None = None,
) -> Service:
    clock = SetClock()
    journal = None if access_log is None else SiteJournal([Entry(access_log)], clock)
    return Service(handler, depends_on, clock, limits or Limits(), journal, Tally())


def payload(service: Service, known: KnownHead) -> bytes:
    service.render(known.plan)
    return known.plan.payload


def find(service: Service, raw_head: bytes) -> KnownHead:
    """What a connection does with a whole head."""
    return service.recall(raw_head) or service.answer(raw_head, NOWHERE)


def test_answer_has_head_and_content_in_one():
    service = service_of(CountingHandler())
    answer = payload(service, service.answer(HEAD, NOWHERE))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nDate: Mon, 23 Nov 2026 05:45:28 GMT\r\n" in answer
    assert b"\r\nContent-Length: 8\r\n" in answer
    assert answer.endswith(b"\r\n\r\nanswer 1")


def test_answer_that_promises_nothing_is_made_each_time():
    handler = CountingHandler()
    service = service_of(handler)
    for _ in range(4):
        find(service, HEAD)
    assert len(handler.requests) == 4


def test_reusable_answer_is_remembered_from_the_second_sight_on():
    handler = CountingHandler(Promise())
    service = service_of(handler)
    for _ in range(10):
        find(service, HEAD)
    assert len(handler.requests) == 2
    assert service.recall(HEAD) is service.recall(HEAD)


def test_heads_that_differ_in_what_does_not_matter_share_a_plan():
    handler = CountingHandler(Promise())
    service = service_of(handler)
    for number in range(10):
        find(service, HEAD[:-2] + b"Cookie: %d\r\n\r\n" % number)
    assert len(handler.requests) == 2


@pytest.mark.parametrize(
    "other",
    [
        b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /b HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /a?q HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: i\r\n\r\n",
        b"GET /a HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1\r\n\r\n",
    ],
    ids=["method", "target", "query", "host", "version", "close", "range"],
)
def test_heads_that_differ_in_what_matters_share_nothing(other: bytes):
    handler = CountingHandler(Promise())
    service = service_of(handler)
    plans = [find(service, head).plan for head in (HEAD, HEAD, other, other)]
    assert plans[1] is not plans[3]
    assert len(handler.requests) == 4


def test_plan_is_confirmed_when_its_time_is_up_and_not_before():
    promise = Promise()
    service = service_of(CountingHandler(promise))
    find(service, HEAD)
    find(service, HEAD)
    service.clock.now_s = 100.9
    find(service, HEAD)
    assert promise.asked == 0
    service.clock.now_s = 101.5
    find(service, HEAD)
    find(service, HEAD)
    assert promise.asked == 1


def test_broken_promise_is_not_repeated():
    promise = Promise()
    handler = CountingHandler(promise)
    service = service_of(handler)
    for _ in range(3):
        find(service, HEAD)
    service.clock.now_s, promise.holds = 105.0, False
    assert service.recall(HEAD) is None
    assert payload(service, find(service, HEAD)).endswith(b"answer 3")


def test_new_rules_forget_every_answer():
    service = service_of(CountingHandler(Promise()))
    for _ in range(3):
        find(service, HEAD)
    service.change_rules(lambda request: failure(404, "Gone."), frozenset())
    assert service.recall(HEAD) is None
    assert find(service, HEAD).plan.status == 404


@pytest.mark.parametrize(
    "data",
    [
        HEAD[:-1],
        HEAD + HEAD,
        HEAD + b"x",
        b"\r\n" + HEAD,
        b"",
        b"x" * (RECEIVE_BYTES - 4) + b"\r\n\r\n",
    ],
    ids=["unfinished", "two", "more behind", "empty line before", "nothing", "a full read"],
)
def test_only_one_whole_head_takes_the_short_way(data: bytes):
    handler = CountingHandler()
    assert service_of(handler).look_at(data, NOWHERE) is None
    assert handler.requests == []


def test_short_way_gives_an_answer_of_this_second():
    service = service_of(CountingHandler(Promise()))
    known = service.look_at(HEAD, NOWHERE)
    assert known is not None
    assert known.plan.second == service.clock.second
    service.clock.second += 1
    known = service.look_at(HEAD, NOWHERE)
    assert known is not None
    assert b"05:45:29 GMT" in known.plan.payload


def test_fault_of_the_handler_is_a_500_and_logged(caplog: pytest.LogCaptureFixture):
    def fail(request: Request) -> Response:
        raise ValueError("a fault of our own")

    service = service_of(fail)
    with caplog.at_level(logging.ERROR):
        known = service.answer(HEAD, NOWHERE)
    assert known.plan.status == 500
    assert known.plan.keeps_alive
    assert "a fault of our own" in caplog.text
    assert b"a fault of our own" not in payload(service, known)


def test_peer_error_of_the_handler_is_answered_and_ends_the_connection():
    def refuse(request: Request) -> Response:
        raise PeerError("that is too much", status_hint=429)

    service = service_of(refuse)
    known = service.answer(HEAD, NOWHERE)
    assert (known.plan.status, known.plan.keeps_alive) == (429, False)
    assert b"That is too much." in payload(service, known)


def test_nonsense_is_refused_without_asking_the_handler():
    handler = CountingHandler()
    service = service_of(handler)
    known = service.answer(b"NONSENSE\r\n\r\n", NOWHERE)
    assert (known.head, known.plan.status, known.plan.keeps_alive) == (None, 400, False)
    assert not known.is_quick
    assert handler.requests == []


def test_refused_request_is_shown_shortened_to_its_first_line():
    service = service_of(CountingHandler())
    error = PeerError("too long", status_hint=414)
    assert service.refuse(error, b"BAD\r\nSecret: x\r\n").request_line == b"BAD"
    assert service.refuse(error, b"x" * 9000).request_line == b"x" * REQUEST_LINE_LOGGED_MAX


def test_content_that_nobody_wants_is_refused_beyond_the_limit():
    handler = CountingHandler()
    service = service_of(handler, limits=Limits(content_bytes_max=10))
    post = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
    assert service.answer(post % 10, NOWHERE).plan.status == 200
    known = service.answer(post % 11, NOWHERE)
    assert (known.plan.status, known.plan.keeps_alive) == (413, False)


def test_failure_with_content_beyond_the_limit_is_told_and_ends_the_connection():
    service = service_of(
        lambda request: failure(401, "Who are you?"), limits=Limits(content_bytes_max=10)
    )
    known = service.answer(b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n", NOWHERE)
    assert (known.plan.status, known.plan.keeps_alive) == (401, False)


@pytest.mark.parametrize("count", [10, 11])
def test_work_before_the_answer_may_lead_to_content_beyond_the_limit(count: int):
    """Whoever asks for a password first cannot know how much content the handler behind it takes."""
    receiving = Receiving(None, "lane", content_bytes_max=10)  # type: ignore[arg-type]
    service = service_of(
        lambda request: Deferred(lambda: lambda: receiving, "lane"),  # type: ignore[arg-type,return-value]
        limits=Limits(content_bytes_max=1),
    )
    raw_head = b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % count
    pending = service.answer(raw_head, NOWHERE)
    assert isinstance(pending, Pending)
    answer = service.complete(pending, pending.blocking_work())
    if count == 10:
        assert isinstance(answer, Taking)
    else:
        assert isinstance(answer, KnownHead)
        assert (answer.plan.status, answer.plan.keeps_alive) == (413, False)


def test_request_with_content_is_never_remembered():
    handler = CountingHandler(Promise())
    service = service_of(handler)
    head = b"GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n"
    for _ in range(4):
        assert not find(service, head).is_quick
    assert len(handler.requests) == 4


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 204),
        (b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n", 405),
    ],
)
def test_targets_that_are_no_resource_are_answered_here(head: bytes, status: int):
    handler = CountingHandler()
    assert service_of(handler).answer(head, NOWHERE).plan.status == status
    assert handler.requests == []


@pytest.mark.parametrize(
    ("line", "path", "query", "authority"),
    [
        (b"GET /a%20b/./c/../d?x=%20 HTTP/1.1", b"/a b/d", b"x=%20", b"h"),
        (b"GET http://i:8000/a HTTP/1.1", b"/a", None, b"i:8000"),
        (b"GET /? HTTP/1.1", b"/", b"", b"h"),
    ],
)
def test_handler_sees_a_decoded_path(
    line: bytes, path: bytes, query: bytes | None, authority: bytes
):
    handler = CountingHandler()
    service_of(handler).answer(line + b"\r\nHost: h\r\n\r\n", NOWHERE)
    (request,) = handler.requests
    assert (request.path, request.query, request.authority) == (path, query, authority)


def note(
    service: Service, known: KnownHead, *, took_s: float = 0.0, is_complete: bool = True
) -> None:
    from chute.engine import noting

    ends = Ends("peer")
    peer = service.noting.peer(ends)
    started_s = noting.monotonic_s() - took_s
    sent = known.plan.total_bytes
    service.noting.note(ends, peer, known, started_s, sent, b"buffer", is_complete=is_complete)


def test_log_line_of_a_usual_answer_is_made_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chute.engine.noting.monotonic_s", lambda: 100.0)
    file = ListedFile()
    log = AccessLog(CombinedFormat(), file)
    service = service_of(CountingHandler(), access_log=log)
    known = service.answer(HEAD, NOWHERE)
    service.render(known.plan)
    note(service, known)
    first = known.log_rest
    note(service, known)
    assert known.log_rest is first
    log.flush()
    line = b'peer - - [23/Nov/2026:05:45:28 +0000] "GET /a HTTP/1.1" 200 8 "-" "-" 0.000 buffer complete'
    assert file.lines == [line, line]


def test_log_line_of_an_unusual_answer_is_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chute.engine.noting.monotonic_s", lambda: 100.0)
    file = ListedFile()
    log = AccessLog(CombinedFormat(), file)
    service = service_of(CountingHandler(), access_log=log)
    known = service.answer(HEAD, NOWHERE)
    service.render(known.plan)
    note(service, known, took_s=2.0)
    note(service, known, is_complete=False)
    assert known.log_extend is None
    note(service, known, took_s=NO_TIME_S / 2)
    log.flush()
    assert [line.split()[-3:] for line in file.lines] == [
        [b"2.000", b"buffer", b"complete"],
        [b"0.000", b"buffer", b"aborted"],
        [b"0.000", b"buffer", b"complete"],
    ]


def test_log_line_carries_the_time_of_its_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chute.engine.noting.monotonic_s", lambda: 100.0)
    file = ListedFile()
    log = AccessLog(CombinedFormat(), file)
    service = service_of(CountingHandler(), access_log=log)
    known = service.answer(HEAD, NOWHERE)
    service.render(known.plan)
    service.clock.second += 60
    note(service, known)
    log.flush()
    assert b"[23/Nov/2026:05:46:28 +0000]" in file.lines[0]


def test_without_a_log_nothing_is_kept_for_it():
    service = service_of(CountingHandler())
    known = service.answer(HEAD, NOWHERE)
    service.render(known.plan)
    note(service, known)
