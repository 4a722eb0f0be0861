"""The variables that every request has: their values, and what reading them says about the answer."""

from __future__ import annotations

import re

import pytest

from chute.exchange import NOWHERE, Answered, Ends, Request, Response, Reuse
from chute.variables import lookup
from chute.variables.lookup import BUILT_IN, Phase, find_built_in, host_of
from routed import ENDS, request_of


def read(name: str, request: Request) -> bytes:
    variable = find_built_in(name)
    assert variable is not None, name
    assert variable.read is not None, name
    return variable.read(request)


def routed(target: bytes = b"/a%20b?x=1&y=%2F", **more: object) -> Request:
    request = request_of(target, *FIELDS, path=b"/a b", **more)  # type: ignore[arg-type]
    request.site, request.root = b"example.org", "/srv/www"
    request.response = Response(
        404, [(b"X-A", b"1"), (b"x-a", b"2"), (b"Content-Type", b"text/css")]
    )
    return request


FIELDS = (
    (b"user-agent", b"curl"),
    (b"x-two", b"1"),
    (b"x-two", b"2"),
    (b"cookie", b"a=1; session=x%20y; empty="),
    (b"cookie", b"later=z"),
    (b"content-type", b"text/plain"),
    (b"content-length", b"0"),
    (b"authorization", b"Basic dXNlcjpwYXNz"),
)

VALUES = {
    "args": b"x=1&y=%2F",
    "query_string": b"x=1&y=%2F",
    "is_args": b"?",
    "arg_x": b"1",
    "arg_X": b"1",
    "arg_y": b"%2F",
    "arg_z": b"",
    "uri": b"/a b",
    "document_uri": b"/a b",
    "request_uri": b"/a%20b?x=1&y=%2F",
    "request": b"GET /a%20b?x=1&y=%2F HTTP/1.1",
    "request_method": b"GET",
    "server_protocol": b"HTTP/1.1",
    "request_filename": b"/srv/www/a b",
    "document_root": b"/srv/www",
    "host": b"h",
    "server_name": b"example.org",
    "server_port": b"80",
    "server_addr": b"198.51.100.1",
    "remote_addr": b"192.0.2.1",
    "remote_port": b"50000",
    "remote_user": b"user",
    "scheme": b"http",
    "https": b"",
    "http_user_agent": b"curl",
    "http_x_two": b"1, 2",
    "http_missing": b"",
    "cookie_a": b"1",
    "cookie_session": b"x%20y",
    "cookie_empty": b"",
    "cookie_later": b"z",
    "cookie_ession": b"",
    "content_type": b"text/plain",
    "content_length": b"0",
    "status": b"404",
    "sent_http_x_a": b"1, 2",
    "sent_http_content_type": b"text/css",
    "sent_http_missing": b"",
}


@pytest.mark.parametrize(("name", "value"), VALUES.items(), ids=VALUES.keys())
def test_value_is_what_its_name_says(name: str, value: bytes):
    assert read(name, routed()) == value


def test_every_variable_of_a_request_can_be_read_for_the_poorest_request():
    request = Request(request_of(b"/").head, b"/", None, b"", NOWHERE)
    for name, variable in BUILT_IN.items():
        if variable.read is not None:
            assert isinstance(variable.read(request), bytes), name


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/a?b", b"/a?b"),
        (b"http://other.example/a?b", b"/a?b"),
        (b"HTTPS://other.example:80?b=//c", b"/?b=//c"),
        (b"http://other.example", b"/"),
        (b"*", b"*"),
    ],
)
def test_t24_request_uri_never_brings_a_host_of_its_own(target: bytes, expected: bytes):
    """`https://$host$request_uri` would otherwise lead to `https://other.examplehttp://other.example/`."""
    assert read("request_uri", request_of(target)) == expected


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        (b"H.Example", b"h.example"),
        (b"h.example.", b"h.example"),
        (b"h:8080", b"h"),
        (b"h.:80", b"h"),
        (b"[::1]:80", b"[::1]"),
        (b"[::1]", b"[::1]"),
        (b"", b""),
    ],
)
def test_host_has_no_port_no_capitals_and_no_dot_behind_it(authority: bytes, host: bytes):
    assert host_of(authority) == host


def test_request_without_a_host_has_the_name_of_the_site():
    request = routed(authority=b"")
    assert read("host", request) == b"example.org"


@pytest.mark.parametrize("credentials", [b"Basic !!", b"Bearer dXNlcjpwYXNz", b"Basic", b""])
def test_what_is_no_basic_credentials_names_no_user(credentials: bytes):
    assert read("remote_user", request_of(b"/", (b"authorization", credentials))) == b""


def test_argument_is_found_at_a_boundary_only_and_the_first_counts():
    assert read("arg_a", request_of(b"/?ba=1&a=2&a=3")) == b"2"
    assert read("arg_a", request_of(b"/?a")) == b""
    assert read("arg_a", request_of(b"/")) == b""


@pytest.mark.parametrize(
    ("name", "reuse"),
    [
        *((name, Reuse.BY_KEY) for name in ("args", "arg_x", "uri", "request_uri", "request")),
        *((name, Reuse.BY_KEY) for name in ("host", "http_host", "http_accept", "http_range")),
        *((name, Reuse.BY_KEY) for name in ("http_accept_encoding", "scheme", "server_port")),
        *((name, Reuse.BY_HEAD) for name in ("http_user_agent", "cookie_a", "content_type")),
        *((name, Reuse.BY_HEAD) for name in ("remote_user", "http_if_none_match")),
        *((name, Reuse.NEVER) for name in ("remote_addr", "remote_port", "server_addr")),
        *((name, Reuse.NEVER) for name in ("request_id", "msec", "time_local", "time_iso8601")),
    ],
)
def test_reading_says_for_which_requests_the_answer_is_right(name: str, reuse: Reuse):
    request = routed()
    read(name, request)
    assert request.reuse is reuse


def test_what_narrowed_an_answer_is_not_widened_by_what_is_read_next():
    request = routed()
    read("remote_addr", request)
    read("cookie_a", request)
    read("uri", request)
    assert request.reuse is Reuse.NEVER


def test_request_id_is_one_for_a_request_and_another_for_the_next():
    first, second = request_of(), request_of()
    one = read("request_id", first)
    assert re.fullmatch(rb"[0-9a-f]{32}", one)
    assert read("request_id", first) == one
    assert read("request_id", second) != one


def test_request_id_is_shared_with_the_request_for_an_error_page_asked_for_first_or_last():
    request = request_of()
    page = request.of(request.head, ENDS)
    assert read("request_id", page) == read("request_id", request)


def test_no_configuration_can_set_what_the_id_is_kept_under():
    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", lookup.REQUEST_ID) is None


@pytest.mark.parametrize("name", ["date", "server", "connection", "content_length"])
def test_fields_that_the_engine_adds_are_no_variables(name: str):
    assert find_built_in(f"sent_http_{name}") is None


@pytest.mark.parametrize("name", ["nothing", "http_", "arg_", "cookie_", "sent_http_", "", "Host"])
def test_what_no_request_has_is_not_found(name: str):
    assert find_built_in(name) is None


LOGGED = {
    "status": b"206",
    "body_bytes_sent": b"7",
    "bytes_sent": b"107",
    "request_time": b"1.500",
    "carried": b"sendfile",
    "request_completion": b"",
    "remote_addr": b"203.0.113.9",
    "remote_port": b"9",
}


@pytest.mark.parametrize(("name", "value"), LOGGED.items(), ids=LOGGED.keys())
def test_log_has_what_was_sent_and_to_whom(name: str, value: bytes):
    """The request may be that of the first client who asked: the answer was made once."""
    request = routed()
    ends = Ends("203.0.113.9", 9)
    answered = Answered(
        request.head,
        b"",
        206,
        7,
        1.5,
        b"sendfile",
        is_complete=False,
        head_bytes=100,
        request=request,
        ends=ends,
    )
    variable = BUILT_IN[name]
    assert variable.read_answered is not None
    assert variable.read_answered(answered) == value


def test_what_only_a_log_has_cannot_be_read_before():
    only = {name for name, variable in BUILT_IN.items() if variable.read is None}
    assert only == {
        "body_bytes_sent",
        "bytes_sent",
        "carried",
        "request_completion",
        "request_time",
    }
    assert all(BUILT_IN[name].phase is Phase.LOG for name in only)


@pytest.mark.parametrize(
    ("seconds", "local", "iso"),
    [
        (0, b"01/Jan/1970:00:00:00 +0000", b"1970-01-01T00:00:00+00:00"),
        (951_782_400, b"29/Feb/2000:00:00:00 +0000", b"2000-02-29T00:00:00+00:00"),
        (1_795_412_728, b"23/Nov/2026:05:45:28 +0000", b"2026-11-23T05:45:28+00:00"),
        (4_107_542_399, b"28/Feb/2100:23:59:59 +0000", b"2100-02-28T23:59:59+00:00"),
        (4_107_542_400, b"01/Mar/2100:00:00:00 +0000", b"2100-03-01T00:00:00+00:00"),
    ],
)
def test_time_is_that_of_the_calendar(
    seconds: int, local: bytes, iso: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lookup, "wall_ns", lambda: seconds * 1_000_000_000 + 999_000_000)
    request = request_of()
    assert read("time_local", request) == local
    assert read("time_iso8601", request) == iso
    assert read("msec", request) == b"%d.999" % seconds
