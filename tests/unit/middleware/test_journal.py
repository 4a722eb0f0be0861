"""Which answers are noted, and where."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chute.exchange import Answered
from chute.middleware import journal
from chute.middleware.access_log import AccessLog, CombinedFormat
from chute.middleware.journal import Entry, SiteJournal
from chute.middleware.log_template import TemplateFormat
from chute.variables.conditions import compile_log_conditions
from chute.variables.names import Names
from routed import ENDS, StillClock, request_of


class ListedFile:
    """A log file in memory."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, lines: bytes) -> None:
        self.lines += lines.splitlines()

    def reopen(self) -> None:
        pass

    def close(self) -> None:
        pass


class Log:
    """A log whose lines are listed."""

    def __init__(self, template: str | None = "$status $uri") -> None:
        self.file = ListedFile()
        made = CombinedFormat() if template is None else TemplateFormat(template, Names())
        self.log = AccessLog(made, self.file)  # type: ignore[arg-type]

    @property
    def lines(self) -> list[bytes]:
        self.log.flush()
        return self.file.lines


def journal_of(*entries: Entry) -> SiteJournal:
    return SiteJournal(entries, StillClock())


def when(*texts: str) -> Callable[[Answered], bool] | None:
    return compile_log_conditions(texts, Names())


def answered(status: int = 200, target: bytes = b"/a") -> Answered:
    request = request_of(target)
    return Answered(
        request.head, b"", status, 1, 0.0, b"buffer", is_complete=True, request=request, ends=ENDS
    )


def test_journal_without_logs_is_silent():
    silent = journal_of()
    assert (silent.is_silent, silent.main) == (True, None)
    silent.note(answered())


def test_one_log_for_every_answer_is_the_main_one():
    log = Log()
    simple = journal_of(Entry(log.log))
    assert (simple.is_silent, simple.main) == (False, log.log)


@pytest.mark.parametrize(
    "entries",
    [
        lambda log: [Entry(log, when("$status = 404"))],
        lambda log: [Entry(log, sample=0.5)],
        lambda log: [Entry(log), Entry(log)],
    ],
    ids=["a condition", "a sample", "two logs"],
)
def test_nothing_else_is_as_simple_as_that(entries: Callable[[AccessLog], list[Entry]]):
    assert journal_of(*entries(Log().log)).main is None


def test_each_log_gets_its_own_lines():
    everything, failures = Log("all $status"), Log("failed $uri")
    both = journal_of(Entry(everything.log), Entry(failures.log, when("$status ~ ^[45]")))
    both.note(answered(200))
    both.note(answered(404, b"/missing"))
    assert everything.lines == [b"all 200", b"all 404"]
    assert failures.lines == [b"failed /missing"]


def test_two_logs_for_one_request_have_one_id():
    one, other = Log("$request_id"), Log("id $request_id")
    both = journal_of(Entry(one.log), Entry(other.log))
    both.note(answered())
    both.note(answered())
    assert [b"id " + line for line in one.lines] == other.lines
    assert len(set(one.lines)) == 2


def test_line_has_the_three_parts_of_its_format():
    log = Log(None)
    journal_of(Entry(log.log)).note(answered())
    line = b'192.0.2.1 - - [23/Nov/2026:05:45:28 +0000] "GET /a HTTP/1.1" 200 1 "-" "-" 0.000 buffer complete'
    assert log.lines == [line]


@pytest.mark.parametrize(
    ("sample", "chance", "status", "is_noted"),
    [
        (0.5, 0.4, 200, True),
        (0.5, 0.5, 200, False),
        (0.5, 0.6, 499, False),
        (0.5, 0.6, 500, True),
        (0.5, 0.6, 503, True),
        (0.0, 0.0, 404, False),
        (0.0, 0.9, 500, True),
        (1.0, 0.99, 200, True),
    ],
)
def test_sample_has_its_part_of_the_answers_and_all_of_our_faults(
    sample: float, chance: float, status: int, is_noted: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(journal.random, "random", lambda: chance)
    log = Log()
    journal_of(Entry(log.log, sample=sample)).note(answered(status))
    assert len(log.lines) == is_noted


def test_condition_holds_for_our_faults_too(monkeypatch: pytest.MonkeyPatch):
    log = Log()
    site = journal_of(Entry(log.log, when("$uri != /health"), sample=0.1))
    monkeypatch.setattr(journal.random, "random", lambda: 0.05)
    site.note(answered(500, b"/health"))
    site.note(answered(500, b"/x"))
    assert log.lines == [b"500 /x"]


def test_condition_looks_at_a_request_that_could_not_be_parsed():
    log = Log("$status $request")
    site = journal_of(Entry(log.log, when("!$http_user_agent")))
    site.note(Answered(None, b"NONSENSE", 400, 1, 0.0, b"buffer", is_complete=True, ends=ENDS))
    assert log.lines == [b"400 NONSENSE"]
