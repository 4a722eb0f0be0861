"""Lines of one's own: what is in them, how they are split, and that nobody can forge one."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chute.errors import ConfigError
from chute.exchange import Answered, Ends, Response
from chute.middleware.access_log import CombinedFormat
from chute.middleware.log_template import Escape, TemplateFormat
from chute.variables import lookup
from chute.variables.maps import make_map
from chute.variables.names import Names
from routed import ENDS, request_of

SECOND = 1_795_412_728


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "wall_ns", lambda: SECOND * 1_000_000_000)


def names() -> Names:
    names = Names()
    names.add_set("mine")
    names.add_lazy("mapped", lambda: make_map("$remote_addr", {}, "", names))
    return names


def format_of(template: str, escaping: Escape = "default") -> TemplateFormat:
    return TemplateFormat(template, names(), escaping)


def answered_of(*lines: tuple[bytes, bytes], target: bytes = b"/a", **more: object) -> Answered:
    request = request_of(target, *lines)
    request.response = Response(200, [(b"Content-Type", b"text/html")])
    facts: dict[str, object] = {
        "status": 200,
        "sent_bytes": 8,
        "duration_s": 0.0,
        "carried": b"buffer",
        "is_complete": True,
        "head_bytes": 100,
        "request": request,
        "ends": ENDS,
    }
    return Answered(request.head, b"", **{**facts, **more})  # type: ignore[arg-type]


def unparsed(line: bytes) -> Answered:
    return Answered(None, line, 400, 5, 0.0, b"buffer", is_complete=True, ends=ENDS)


def line_of(
    line_format: TemplateFormat | CombinedFormat, answered: Answered, ends: Ends | None = None
) -> bytes:
    ends = ends or answered.ends
    return line_format.peer(ends) + line_format.moment(SECOND) + line_format.rest(answered)


COMBINED = (
    '$remote_addr - - [$time_local] "$request" $status $body_bytes_sent '
    '"$http_referer" "$http_user_agent" $request_time $carried '
)

ALIKE = {
    "usual": answered_of((b"referer", b"http://r/"), (b"user-agent", b"curl/8")),
    "poor": answered_of(),
    "quotes": answered_of((b"user-agent", b'a "b" \\x \t \xff'), (b"referer", b'"')),
    "failed": answered_of(status=404, sent_bytes=0, duration_s=1.5),
    "sendfile": answered_of(carried=b"sendfile"),
    "query": answered_of(target=b"/a%20b?x=%22&y"),
    "another client": answered_of(ends=Ends("2001:db8::1", 9)),
    "unparsed": unparsed(b'NONSENSE "x" \xff'),
}


@pytest.mark.parametrize("answered", ALIKE.values(), ids=ALIKE.keys())
def test_combined_written_as_a_template_is_the_built_in_one(answered: Answered):
    built_in = line_of(CombinedFormat(), answered)
    assert line_of(format_of(COMBINED + "complete"), answered) == built_in


SPLIT = {
    "$remote_addr $remote_port [$time_local] $status": (
        b"192.0.2.1 50000",
        b" [23/Nov/2026:05:45:28 +0000",
        b"] 200\n",
    ),
    "$status $remote_addr": (b"", b"", b"200 192.0.2.1\n"),
    "[$time_iso8601] $remote_addr": (b"", b"[2026-11-23T05:45:28+00:00", b"] 192.0.2.1\n"),
    "$remote_addr $status $time_local": (
        b"192.0.2.1",
        b"",
        b" 200 23/Nov/2026:05:45:28 +0000\n",
    ),
    "ip=$remote_addr": (b"ip=192.0.2.1", b"", b"\n"),
    "constant": (b"", b"", b"constant\n"),
    "": (b"", b"", b"\n"),
    "$remote_addr $server_addr $remote_addr x": (b"192.0.2.1 198.51.100.1 192.0.2.1", b"", b" x\n"),
}


@pytest.mark.parametrize(("template", "parts"), SPLIT.items(), ids=SPLIT.keys())
def test_beginning_that_repeats_is_split_off(template: str, parts: tuple[bytes, bytes, bytes]):
    made = format_of(template)
    answered = answered_of()
    assert (made.peer(ENDS), made.moment(SECOND), made.rest(answered)) == parts


PLACES = ("$remote_addr", "$time_local", "$status", "$uri", "$mine", "$mapped", "$request_id", "x")


@given(st.lists(st.sampled_from(PLACES)))
def test_parts_come_to_the_whole_line_wherever_it_is_split(places: list[str]):
    """The three parts, in their order, against each variable on its own."""
    answered = answered_of()
    whole = line_of(format_of(" ".join(places)), answered)
    assert whole == b" ".join(
        [line_of(format_of(place), answered).removesuffix(b"\n") for place in places]
    ) + (b"\n")


REPEATABLE = {
    "$remote_addr [$time_local] $request $status": True,
    "$uri $args $http_x $cookie_a $arg_b $1": True,
    "$request_time $carried $bytes_sent": True,
    "$sent_http_etag $host $request_method": True,
    "$status $remote_addr": False,
    "$status $remote_port": False,
    "$status $server_addr": False,
    "$status $time_local": False,
    "$remote_addr $status $time_iso8601": False,
    "$msec": False,
    "$request_id": False,
    "$remote_addr $request_id": False,
    "$mapped": False,
}


@pytest.mark.parametrize(("template", "expected"), REPEATABLE.items(), ids=REPEATABLE.keys())
def test_line_is_made_in_advance_only_if_the_next_is_the_same(template: str, expected: bool):
    """A map may look up the client's address, and the same head comes from many clients."""
    assert format_of(template).is_repeatable is expected


VALUES = st.binary(max_size=40)
ALL_VALUES = (
    "$remote_addr $request $uri $args $arg_x $http_x $cookie_c $remote_user $mine $1 $request_uri"
)


@given(VALUES, st.sampled_from(["default", "json", "none"]), st.booleans())
def test_nothing_that_a_peer_sends_makes_a_second_line(
    value: bytes, escaping: Escape, is_parsed: bool
):
    line_format = format_of(ALL_VALUES, escaping)
    answered = answered_of((b"x", value), (b"cookie", b"c=" + value), target=b"/?x=" + value)
    assert answered.request is not None
    answered.request.path = value
    answered.request.captures = (value, value)
    answered.request.variables = {"mine": value}
    line = line_of(line_format, answered if is_parsed else unparsed(value))
    assert line.endswith(b"\n")
    assert not re.search(rb"[\r\n]", line[:-1])


@given(VALUES)
def test_quoted_value_stays_within_its_quotation_marks(value: bytes):
    """As in nginx's combined format: nothing in it ends it, and every octet is printable."""
    line = line_of(format_of('"$http_x" end'), answered_of((b"x", value)))
    assert re.fullmatch(rb'"(?:[ !#-\[\]-~]|\\x[0-9A-F]{2})*" end\n', line)


@given(VALUES)
def test_json_value_is_one_string_and_says_what_it_was(value: bytes):
    line = line_of(format_of('{"x": "$http_x"}', "json"), answered_of((b"x", value)))
    assert json.loads(line) == {"x": value.decode("utf-8", "backslashreplace")}


@pytest.mark.parametrize(
    ("escaping", "line"),
    [
        ("default", rb"a\x22b\x5C\x0A\xFF -" + b"\n"),
        ("json", rb"a\"b\\\n\\xff " + b"\n"),
        ("none", b'a"b\\ \xff \n'),
    ],
)
def test_values_are_escaped_and_an_empty_one_is_a_dash_in_the_usual_way(
    escaping: Escape, line: bytes
):
    answered = answered_of((b"x", b'a"b\\\n\xff'))
    assert line_of(format_of("$http_x $http_missing", escaping), answered) == line


def test_text_between_values_is_not_escaped():
    assert line_of(format_of('"\\ €$$'), answered_of()) == '"\\ €$\n'.encode()


def test_line_is_about_the_client_who_got_the_answer():
    made = format_of("$status $remote_addr:$remote_port")
    answered = answered_of(ends=Ends("203.0.113.9", 7))
    assert line_of(made, answered) == b"200 203.0.113.9:7\n"


def test_answer_is_known():
    made = format_of("$status $sent_http_content_type $bytes_sent $request_completion")
    assert line_of(made, answered_of()) == b"200 text/html 108 OK\n"
    assert line_of(made, answered_of(is_complete=False)) == b"200 text/html 108 -\n"


@pytest.mark.parametrize("template", ["$nobody", "$", "${uri"])
def test_template_that_can_never_be_meant_is_refused(template: str):
    with pytest.raises(ConfigError):
        format_of(template)
