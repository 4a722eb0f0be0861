"""Lines of the access log: right, on one line, and not to be forged."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chute.exchange import Answered, Ends, LineFormat
from chute.middleware import access_log
from chute.middleware.access_log import AccessLog, AccessLogs, CombinedFormat, JsonFormat
from chute.semantics.messages import RequestHead

SECOND = 1_795_412_728
"""23 November 2026, 05:45:28 UTC."""


def answered(
    target: bytes = b"/a",
    lines: tuple[tuple[bytes, bytes], ...] = (),
    *,
    status: int = 200,
    sent_bytes: int = 3,
    duration_s: float = 0.0,
    carried: bytes = b"buffer",
    is_complete: bool = True,
) -> Answered:
    head = RequestHead(b"GET", target, 1, list(lines))
    return Answered(head, b"", status, sent_bytes, duration_s, carried, is_complete)


def unparsed(request_line: bytes) -> Answered:
    return Answered(None, request_line, 400, 10, 0.0, b"buffer", is_complete=True)


def line_of(line_format: LineFormat, what: Answered, peer: str = "127.0.0.1") -> bytes:
    return line_format.peer(Ends(peer)) + line_format.moment(SECOND) + line_format.rest(what)


def test_combined_line_is_what_log_tools_know():
    lines = ((b"referer", b"http://x/"), (b"user-agent", b"curl/8"))
    line = line_of(CombinedFormat(), answered(b"/a?b=c", lines, duration_s=1.2345))
    assert line == (
        b'127.0.0.1 - - [23/Nov/2026:05:45:28 +0000] "GET /a?b=c HTTP/1.1" 200 3 '
        b'"http://x/" "curl/8" 1.234 buffer complete\n'
    )


def test_combined_line_tells_an_aborted_answer():
    what = answered(sent_bytes=70, carried=b"copy:off", is_complete=False)
    assert (
        CombinedFormat().rest(what) == b'GET /a HTTP/1.1" 200 70 "-" "-" 0.000 copy:off aborted\n'
    )


def test_combined_line_pads_the_day():
    assert CombinedFormat().moment(0) == b'01/Jan/1970:00:00:00 +0000] "'


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b'a"b', b"a\\x22b"),
        (b"a\\b", b"a\\x5Cb"),
        (b"\r\n127.0.0.1 - forged", b"\\x0D\\x0A127.0.0.1 - forged"),
        (b"\x1b[2J", b"\\x1B[2J"),
        (b"\t\0\x7f", b"\\x09\\x00\\x7F"),
        ("é".encode(), b"\\xC3\\xA9"),
        (b" ~!#[]", b" ~!#[]"),
    ],
    ids=["quote", "backslash", "line end", "escape", "control", "not ASCII", "printable"],
)
def test_combined_line_escapes_what_a_peer_sent(value: bytes, shown: bytes):
    rest = CombinedFormat().rest
    assert rest(answered(b"/" + value)).startswith(b"GET /" + shown + b' HTTP/1.1" 200 ')
    assert b' "' + shown + b'" "-" ' in rest(answered(lines=((b"referer", value),)))
    assert b' "-" "' + shown + b'" ' in rest(answered(lines=((b"user-agent", value),)))
    assert rest(unparsed(value)).startswith(shown + b'" 400 ')


def test_json_line_has_the_facts_by_name():
    lines = ((b"host", b"h"), (b"referer", b"r"), (b"user-agent", b"u"))
    line = line_of(JsonFormat(), answered(b"/a?b", lines, duration_s=0.5), peer="::1")
    assert json.loads(line) == {
        "remote_addr": "::1",
        "time": "2026-11-23T05:45:28+00:00",
        "method": "GET",
        "target": "/a?b",
        "protocol": "HTTP/1.1",
        "host": "h",
        "referer": "r",
        "user_agent": "u",
        "status": 200,
        "bytes_sent": 3,
        "duration_s": 0.5,
        "carried": "buffer",
        "complete": True,
    }


def test_json_line_of_what_could_not_be_parsed_shows_what_came():
    line = json.loads(line_of(JsonFormat(), unparsed(b'\x16\x03"\xff')))
    assert line["request"] == '\x16\x03"\\xff'
    assert line["status"] == 400
    assert "target" not in line


def test_json_line_says_null_for_fields_that_were_not_sent():
    line = json.loads(line_of(JsonFormat(), answered()))
    assert (line["host"], line["referer"], line["user_agent"]) == (None, None, None)


HOSTILE = st.one_of(
    st.binary(max_size=30), st.sampled_from([b"\r\n", b'"', b'", "status": 1, "', b"\\"])
)


@given(HOSTILE, HOSTILE, HOSTILE)
def test_no_peer_can_forge_a_line(target: bytes, referer: bytes, agent: bytes):
    lines = ((b"referer", referer), (b"user-agent", agent))
    for what in (answered(target, lines), unparsed(target)):
        for line in (line_of(CombinedFormat(), what), line_of(JsonFormat(), what)):
            assert line.index(b"\n") == len(line) - 1
            assert line[:-1].decode("ascii").isprintable()
        assert line_of(CombinedFormat(), what).count(b'"') == 6
        facts = json.loads(line_of(JsonFormat(), what))
        assert facts["status"] == what.status
        assert facts["remote_addr"] == "127.0.0.1"


class ListedFile:
    """Keeps what was written, as a `LogFile` would append it."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.is_closed = False

    def write(self, lines: bytes) -> None:
        assert not self.is_closed
        self.writes.append(lines)

    def close(self) -> None:
        self.is_closed = True


def log_to(file: ListedFile) -> AccessLog:
    return AccessLog(CombinedFormat(), file)


def test_lines_wait_for_a_flush_and_keep_their_order():
    file = ListedFile()
    log = log_to(file)
    log.extend((b"1", b"2", b"3\n"))
    log.extend((b"4", b"5", b"6\n"))
    log.flush_if_due()
    assert file.writes == []
    log.flush()
    assert file.writes == [b"123\n456\n"]


def test_flush_of_nothing_writes_nothing():
    file = ListedFile()
    log_to(file).flush()
    assert file.writes == []


def test_many_lines_are_flushed_before_the_second_is_over(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(access_log, "PARTS_MAX", 6)
    file = ListedFile()
    log = log_to(file)
    for line in (b"a\n", b"b\n", b"c\n"):
        log.extend((b"", b"", line))
        log.flush_if_due()
    assert file.writes == [b"a\nb\n"]


def test_lines_after_a_flush_go_through_the_same_bound_method():
    """The engine keeps `extend`, so a flush must not put another list behind it."""
    file = ListedFile()
    log = log_to(file)
    extend = log.extend
    extend((b"a\n",))
    log.flush()
    extend((b"b\n",))
    log.flush()
    assert file.writes == [b"a\n", b"b\n"]


def test_close_writes_what_is_pending_first():
    file = ListedFile()
    log = log_to(file)
    log.extend((b"last\n",))
    log.close()
    assert (file.writes, file.is_closed) == ([b"last\n"], True)


def test_logs_are_flushed_in_turns_and_all_of_them_every_second(monkeypatch: pytest.MonkeyPatch):
    """With a thousand of them, a batch of events cannot look at each."""
    monkeypatch.setattr(access_log, "PARTS_MAX", 1)
    monkeypatch.setattr(access_log, "FLUSHED_PER_BATCH", 2)
    logs = AccessLogs()
    files = [ListedFile() for _ in range(5)]
    for file in files:
        logs.add(log_to(file)).extend((b"line\n",))
    logs.flush_if_due()
    assert sum(len(file.writes) for file in files) == 2
    logs.flush_if_due()
    logs.flush_if_due()
    assert sum(len(file.writes) for file in files) == 5
    logs.close()
    assert all(file.is_closed for file in files)
