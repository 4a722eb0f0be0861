"""Text with variables: how it is read, and what becomes of values where the text goes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chute.errors import ConfigError
from chute.exchange import Answered, Request, Response, Reuse
from chute.variables.lookup import Phase
from chute.variables.names import Names
from chute.variables.template import Purpose, Template, log_reader, split
from routed import ENDS, request_of


def names() -> Names:
    names = Names()
    names.add_set("mine")
    names.add_captures(re.compile(b"(?P<part>x)"))
    return names


def request() -> Request:
    made = request_of(b"/a%20b?x=1%202", (b"x-a", b"A"), path=b"/a b")
    made.captures = (b"all", b"one\r\n", b"two")
    made.variables = {"mine": b"m", "part": b"?&"}
    return made


def render(text: str, purpose: Purpose = Purpose.TEXT) -> bytes:
    return Template(text, names(), purpose=purpose).render(request())


RENDERED = {
    "": b"",
    "no variable": b"no variable",
    "€": "€".encode(),
    "\udcff": b"\xff",
    "$uri": b"/a b",
    "${uri}x": b"/a bx",
    "$uri$args": b"/a bx=1%202",
    "a$$b": b"a$b",
    "$$uri": b"$uri",
    "$$$uri": b"$/a b",
    "$1-$2-$3-$9": b"one\r\n-two--",
    "$11": b"one\r\n1",
    "${1}1": b"one\r\n1",
    "$http_x_a.txt": b"A.txt",
    "$mine/$part": b"m/?&",
    "$mine-": b"m-",
}


@pytest.mark.parametrize(("text", "expected"), RENDERED.items())
def test_text_is_rendered(text: str, expected: bytes):
    assert render(text) == expected


@pytest.mark.parametrize("text", ["$", "a$", "$ a", "$-", "$0", "${", "${}", "${a", "${a-b}", "$ä"])
def test_dollar_sign_that_stands_for_nothing_is_refused(text: str):
    with pytest.raises(ConfigError, match="begins no variable") as error:
        render(text)
    assert error.value.hint == "write $$ for a dollar sign"


@pytest.mark.parametrize("text", ["$nobody", "a ${nobody} b"])
def test_unknown_variable_is_refused(text: str):
    with pytest.raises(ConfigError, match=r"there is no variable \$nobody"):
        render(text)


@pytest.mark.parametrize(
    ("text", "until", "hint"),
    [
        ("$status", Phase.REQUEST, "it can be used in fields and access logs"),
        ("$sent_http_etag", Phase.REQUEST, "it can be used in fields and access logs"),
        ("$request_time", Phase.REQUEST, "it can be used in access logs"),
        ("$bytes_sent", Phase.RESPONSE, "it can be used in access logs"),
    ],
)
def test_what_is_not_known_yet_is_refused(text: str, until: Phase, hint: str):
    with pytest.raises(ConfigError, match="is not known") as error:
        Template(text, names(), until=until)
    assert error.value.hint == hint


def test_status_is_known_when_there_is_an_answer():
    asked = request()
    asked.response = Response(418, [])
    template = Template("$status $uri", names(), until=Phase.RESPONSE)
    assert (template.phase, template.render(asked)) == (Phase.RESPONSE, b"418 /a b")


@pytest.mark.parametrize(
    ("text", "constant"),
    [("plain", b"plain"), ("a$$b", b"a$b"), ("$$", b"$"), ("$uri", None), ("", b"")],
)
def test_text_without_variables_is_a_constant(text: str, constant: bytes | None):
    assert Template(text, names()).constant == constant


URLS = {
    "$uri": b"/a%20b",
    "$uri?$args": b"/a%20b?x=1%202",
    "/p?q=$uri": b"/p?q=/a%20b",
    "/p?q=$part": b"/p?q=%3F%26",
    "/$part": b"/%3F&",
    "/$1": b"/one%0D%0A",
    "/p?$1": b"/p?one%0D%0A",
    "$request_uri": b"/a%20b?x=1%202",
    "/p?q=$arg_x": b"/p?q=1%202",
}


@pytest.mark.parametrize(("text", "expected"), URLS.items(), ids=URLS.keys())
def test_url_has_what_was_decoded_encoded_and_what_was_not_as_it_is(text: str, expected: bytes):
    assert render(text, Purpose.URL) == expected


def test_path_has_decoded_values_as_they_are_and_its_query_has_them_encoded():
    assert render("$uri$part", Purpose.PATH) == b"/a b?&"
    assert render("/p?q=$uri$part", Purpose.PATH) == b"/p?q=/a%20b%3F%26"


VALUES = st.binary(max_size=30)
PLACES = (
    "$uri",
    "$1",
    "$part",
    "$mine",
    "$args",
    "$arg_x",
    "$http_x_a",
    "$cookie_c",
    "$remote_user",
)


def hostile(values: list[bytes]) -> Request:
    """Return a request with `values` in all places that a peer can write, and in some that it cannot."""
    path, query, group, field, mine = values
    asked = request_of(
        b"/?x=" + query, (b"x-a", field), (b"cookie", b"c=" + field), path=b"/" + path
    )
    asked.captures = (group, group)
    asked.variables = {"part": group, "mine": mine}
    return asked


@given(st.lists(VALUES, min_size=5, max_size=5), st.lists(st.sampled_from(PLACES), min_size=1))
def test_field_cannot_be_ended_by_any_value(values: list[bytes], places: list[str]):
    template = Template("a " + " ".join(places), names(), purpose=Purpose.FIELD)
    assert not set(template.render(hostile(values))) & (set(range(32)) - {9} | {127})


@given(st.lists(VALUES, min_size=5, max_size=5), st.lists(st.sampled_from(PLACES), min_size=1))
def test_t24_url_has_nothing_that_no_url_has(values: list[bytes], places: list[str]):
    template = Template(
        "/" + "/".join(places) + "?" + "&".join(places), names(), purpose=Purpose.URL
    )
    url = template.render(hostile(values))
    assert re.fullmatch(rb"/[A-Za-z0-9._~!$&'()*+,;=:@/?#%\[\]-]*", url)


@given(st.lists(VALUES, min_size=5, max_size=5))
def test_decoded_value_never_ends_a_parameter(values: list[bytes]):
    template = Template("/?q=$uri$1$part", names(), purpose=Purpose.URL)
    _, _, query = template.render(hostile(values)).partition(b"?")
    assert not set(query[2:]) & set(b"&#+;?")


@given(st.text())
def test_text_is_split_into_what_it_was_or_refused(text: str):
    try:
        parts = split(text)
    except ConfigError:
        assert "$" in text
        return
    if "$" not in text:
        assert b"".join(literal for literal, _ in parts) == text.encode("utf-8", "surrogateescape")


def test_rendering_narrows_for_whom_the_answer_is_right():
    asked = request()
    Template("$uri", names()).render(asked)
    assert asked.reuse is Reuse.BY_KEY
    Template("$uri$http_x_a", names()).render(asked)
    assert asked.reuse is Reuse.BY_HEAD


def test_log_reads_what_was_sent_and_nothing_of_a_request_that_was_never_routed():
    answered = Answered(None, b"NONSENSE", 400, 3, 0.0, b"buffer", is_complete=True, ends=ENDS)
    values = {
        name: log_reader(name, names())(answered)
        for name in ("request", "status", "remote_addr", "uri", "http_x_a", "mine", "request_id")
    }
    assert values == {
        "request": b"NONSENSE",
        "status": b"400",
        "remote_addr": b"192.0.2.1",
        "uri": b"",
        "http_x_a": b"",
        "mine": b"",
        "request_id": b"",
    }
