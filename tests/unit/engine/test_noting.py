"""Log lines of finished answers: made in advance where they repeat, and never somebody else's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from chute.engine import noting
from chute.engine.noting import NO_TIME_S, UNANSWERED, Noting
from chute.engine.tally import Tally
from chute.exchange import Ends, Journal, Request
from chute.middleware.access_log import AccessLog, CombinedFormat
from chute.middleware.journal import Entry, SiteJournal
from chute.middleware.log_template import TemplateFormat
from chute.plan.plan import KnownHead, Plan
from chute.routing.answers import ALWAYS
from chute.variables.conditions import compile_log_conditions
from chute.variables.maps import make_map
from chute.variables.names import Names
from routed import ENDS, StillClock, request_of

NOW_S = 50.0

OTHER = Ends("203.0.113.9", 9)


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noting, "monotonic_s", lambda: NOW_S)


class ListedFile:
    """A log file in memory."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, lines: bytes) -> None:
        self.lines += lines.splitlines()

    def close(self) -> None:
        pass


def names() -> Names:
    names = Names()
    names.add_set("mine")
    names.add_lazy("client", lambda: make_map("$remote_addr", {"192.0.2.1": "one"}, "other", names))
    return names


def log_of(template: str | None) -> tuple[AccessLog, ListedFile]:
    file = ListedFile()
    line_format = CombinedFormat() if template is None else TemplateFormat(template, names())
    return AccessLog(line_format, file), file  # type: ignore[arg-type]


def known_of(request: Request, *, is_reusable: bool = True, status: int = 200) -> KnownHead:
    plan = Plan(
        status,
        (b"before", b"after\r\n\r\n"),
        b"content",
        (),
        keeps_alive=True,
        validity=ALWAYS if is_reusable else None,
    )
    plan.request = request
    plan.render(0, b"-" * 29)
    return KnownHead(request.head, plan)


class Listener:
    """What one listener notes, as its connections do it."""

    def __init__(self, template: str | None = None, *, journal: Journal | None = None) -> None:
        self.log, self._file = log_of(template)
        self.clock = StillClock()
        self.tally = Tally()
        journal = journal or SiteJournal([Entry(self.log)], self.clock)
        self.noting = Noting(journal, self.clock, self.tally)

    def note(
        self,
        known: KnownHead,
        ends: Ends = ENDS,
        *,
        took_s: float = 0.0,
        is_complete: bool = True,
        carried: bytes = b"buffer",
    ) -> None:
        peer = self.noting.peer(ends)
        if known.log_extend is not None and took_s < NO_TIME_S and is_complete:
            self.noting.turn(self.clock.second)
            known.log_extend((peer, self.noting.moment, known.log_rest))
            return
        self.noting.note(
            ends,
            peer,
            known,
            NOW_S - took_s,
            known.plan.total_bytes,
            carried,
            is_complete=is_complete,
        )

    @property
    def lines(self) -> list[bytes]:
        self.log.flush()
        return self._file.lines


def test_line_that_repeats_is_made_once():
    listener, known = Listener(), known_of(request_of())
    listener.note(known)
    made = known.log_rest
    listener.note(known)
    listener.note(known, OTHER)
    assert made
    assert known.log_rest is made
    assert [line.split(b" ", 1)[0] for line in listener.lines] == [
        b"192.0.2.1",
        b"192.0.2.1",
        b"203.0.113.9",
    ]


@pytest.mark.parametrize(
    "template",
    ["$status $remote_addr", "$client", "$status $client", "$remote_addr $client", "$status $remote_port"],
)  # fmt: skip
def test_line_is_about_its_own_client_also_when_the_head_is_known(template: str):
    listener, known = Listener(template), known_of(request_of())
    for ends in (ENDS, ENDS, OTHER, OTHER, ENDS):
        listener.note(known, ends)
    lines = listener.lines
    assert lines[0] == lines[1] == lines[4]
    assert lines[2] == lines[3] != lines[0]


@pytest.mark.parametrize("variables", [None, {}, {"mine": b"1"}], ids=["none", "empty", "some"])
def test_id_in_the_log_alone_is_another_for_each_answer(variables: dict[str, bytes] | None):
    """The answer is used again, and with it the request that it was made for."""
    request = request_of()
    request.variables = variables
    listener, known = Listener("$request_id $mine"), known_of(request)
    for _ in range(5):
        listener.note(known)
    ids = {line.split()[0] for line in listener.lines}
    assert len(ids) == 5
    assert {line.split()[1] for line in listener.lines} == {b"1" if variables else b"-"}


def test_id_that_the_answer_has_is_the_one_in_the_log():
    request = request_of()
    request.variables = {" request_id": b"f" * 32}
    listener = Listener("$request_id")
    listener.note(known_of(request, is_reusable=False))
    assert listener.lines == [b"f" * 32]


def test_line_is_about_the_head_that_was_sent_and_not_the_one_the_answer_was_made_for():
    request = request_of(b"/a", (b"user-agent", b"first"))
    listener, known = Listener("$http_user_agent"), known_of(request)
    listener.note(known)
    second = KnownHead(request_of(b"/a", (b"user-agent", b"second")).head, known.plan)
    listener.note(second)
    listener.note(second)
    assert listener.lines == [b"first", b"second", b"second"]


@pytest.mark.parametrize(
    ("took_s", "is_complete", "carried"),
    [(2.0, True, b"buffer"), (0.0, False, b"buffer"), (0.0, True, b"copy:tls")],
    ids=["slow", "cut", "copied"],
)
def test_unusual_answer_has_a_line_of_its_own(took_s: float, is_complete: bool, carried: bytes):
    listener, known = Listener(), known_of(request_of())
    listener.note(known, took_s=took_s, is_complete=is_complete, carried=carried)
    assert known.log_extend is None
    listener.note(known)
    listener.note(known, took_s=took_s, is_complete=is_complete)
    unusual, usual, third = (line.split()[-3:] for line in listener.lines)
    assert usual == [b"0.000", b"buffer", b"complete"]
    assert unusual != usual
    if carried == b"buffer":
        assert third == unusual


def test_journal_of_the_site_is_written_to_and_not_that_of_the_listener():
    listener = Listener()
    log, file = log_of("mine $uri")
    request = request_of()
    request.journal = SiteJournal([Entry(log)], listener.clock)
    known = known_of(request)
    for _ in range(3):
        listener.note(known)
    log.flush()
    assert (listener.lines, file.lines) == ([], [b"mine /a"] * 3)
    assert known.log_extend is None, "its lines have another beginning"


def test_site_with_the_format_of_the_listener_and_a_log_of_its_own():
    line_format = CombinedFormat()
    files = [ListedFile(), ListedFile()]
    logs = [AccessLog(line_format, file) for file in files]  # type: ignore[arg-type]
    clock = StillClock()
    listener = Listener(journal=SiteJournal([Entry(logs[0])], clock))
    request = request_of()
    request.journal = SiteJournal([Entry(logs[1])], clock)
    known = known_of(request)
    for _ in range(3):
        listener.note(known)
    for log in logs:
        log.flush()
    assert [len(file.lines) for file in files] == [0, 3]


def conditional(log: AccessLog) -> Sequence[Entry]:
    return [Entry(log, compile_log_conditions(["$status = 404"], names()))]


def silent(_log: AccessLog) -> Sequence[Entry]:
    return []


@pytest.mark.parametrize(
    ("entries", "count"), [(conditional, 0), (silent, 0)], ids=["condition", "silent"]
)
def test_answer_that_is_not_to_be_noted_is_counted_and_not_noted(
    entries: Callable[[AccessLog], Sequence[Entry]], count: int
):
    log, file = log_of(None)
    listener = Listener(journal=SiteJournal(entries(log), StillClock()))
    known = known_of(request_of())
    listener.note(known)
    assert listener.tally.answers == 1
    listener.note(known)
    log.flush()
    assert len(file.lines) == count


def test_request_that_nobody_waited_for_is_noted_with_its_status():
    listener = Listener("$status $uri $request_time [$request_completion] $bytes_sent")
    listener.noting.note_unanswered(ENDS, request_of(), NOW_S - 3.0)
    assert UNANSWERED == 499
    assert listener.lines == [b"499 /a 3.000 [-] 0"]


def test_request_that_could_not_be_parsed_is_noted_with_what_there_was_of_it():
    listener = Listener("$remote_addr $status [$request] [$uri] [$http_user_agent] [$request_id]")
    plan = Plan(400, (b"", b""), b"", (), keeps_alive=False, validity=None)
    plan.render(0, b"-" * 29)
    known = KnownHead(None, plan)
    known.request_line = b'NON"SENSE'
    listener.note(known)
    assert listener.lines == [b"192.0.2.1 400 [NON\\x22SENSE] [-] [-] [-]"]


def test_request_refused_for_its_content_is_noted_with_what_its_head_says():
    """It was never routed, for its framing broke later: `refuse` is told its head."""
    listener = Listener("$status [$request] [$http_user_agent] $request_method")
    head = request_of(b"/up", (b"user-agent", b"curl"), method=b"PUT").head
    plan = Plan(413, (b"", b""), b"", (), keeps_alive=False, validity=None)
    plan.render(0, b"-" * 29)
    known = KnownHead(head, plan)
    known.request_line = b"bytes of the content"
    listener.note(known)
    assert listener.lines == [b"413 [PUT /up HTTP/1.1] [curl] PUT"]


def test_sent_bytes_are_told_apart_from_those_of_the_head():
    listener, known = Listener("$body_bytes_sent $bytes_sent"), known_of(request_of())
    listener.note(known)
    assert listener.lines == [b"7 %d" % known.plan.total_bytes]
    peer = listener.noting.peer(ENDS)
    cut = known.plan.head_bytes - 3
    listener.noting.note(ENDS, peer, known, NOW_S, cut, b"buffer", is_complete=False)
    assert listener.lines[1] == b"0 %d" % cut


def test_time_of_a_line_is_that_of_its_second(monkeypatch: pytest.MonkeyPatch):
    listener, known = Listener(), known_of(request_of())
    listener.note(known)
    listener.clock.second += 60
    listener.note(known, took_s=1.0)
    times = [line[line.index(b"[") : line.index(b"]")] for line in listener.lines]
    assert times == [b"[23/Nov/2026:05:45:28 +0000", b"[23/Nov/2026:05:46:28 +0000"]
