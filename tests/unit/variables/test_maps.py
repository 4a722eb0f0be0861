"""Maps: texts before regular expressions, the default at last; and groups that stay inside."""

from __future__ import annotations

import pytest

from chute.errors import ConfigError
from chute.exchange import Response, Reuse
from chute.variables.lookup import Phase, Variable
from chute.variables.maps import make_map, patterns_of
from chute.variables.names import Names
from routed import request_of


def names() -> Names:
    names = Names()
    names.add_set("mine")
    return names


def look_up(value: str, values: dict[str, str], default: str = "default") -> bytes:
    announced = names()
    for pattern in patterns_of(values):
        announced.add_captures(pattern)
    variable = make_map("$arg_x", values, default, announced)
    assert variable.read is not None
    return variable.read(request_of(b"/?x=" + value.encode()))


VALUES = {
    "one": "1",
    "Two": "2",
    "~^f(.)(.)": "$2$1",
    "~*^F": "case",
    "~(?P<last>.)$": "ends with $last",
    "\\~tilde": "tilde",
    "\\\\back": "back",
    "": "empty",
    "self": "$arg_x!",
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("one", b"1"),
        ("ONE", b"1"),
        ("two", b"2"),
        ("four", b"uo"),
        ("Four", b"case"),
        ("x", b"ends with x"),
        ("~tilde", b"tilde"),
        ("\\back", b"back"),
        ("", b"empty"),
        ("self", b"self!"),
        ("SELF", b"SELF!"),
    ],
)
def test_value_is_looked_up(value: str, expected: bytes):
    assert look_up(value, VALUES) == expected


def test_default_is_for_what_nothing_is_for_and_may_have_variables():
    assert look_up("x", {"y": "1"}) == b"default"
    assert look_up("x", {"y": "1"}, "") == b""
    assert look_up("x", {}, "is $arg_x") == b"is x"


def test_texts_come_before_regular_expressions_and_those_in_their_order():
    values = {"~a": "first", "~ab": "second", "ab": "text"}
    assert look_up("ab", values) == b"text"
    assert look_up("abc", values) == b"first"


def test_numbers_of_groups_mean_outside_what_they_meant_before():
    variable = make_map("$arg_x", {"~(.)": "$1"}, "", names())
    assert variable.read is not None
    request = request_of(b"/?x=inner")
    request.captures = (b"outer", b"o")
    assert variable.read(request) == b"i"
    assert request.captures == (b"outer", b"o")


@pytest.mark.parametrize(
    ("source", "values", "default"),
    [
        ("$nobody", {}, ""),
        ("$uri", {"a": "$nobody"}, ""),
        ("$uri", {}, "$nobody"),
        ("$uri", {"~(": "x"}, ""),
        ("$uri", {"a": "1", "A": "2"}, ""),
        ("$uri", {"\\a": "1", "a": "2"}, ""),
        ("$request_time", {}, ""),
        ("$uri", {"a": "$"}, ""),
    ],
)
def test_map_that_can_never_be_meant_is_refused(source: str, values: dict[str, str], default: str):
    with pytest.raises(ConfigError):
        make_map(source, values, default, names())


@pytest.mark.parametrize(
    ("source", "values", "phase"),
    [
        ("$uri", {"a": "b"}, Phase.REQUEST),
        ("$status", {"a": "b"}, Phase.RESPONSE),
        ("$uri", {"a": "$status"}, Phase.RESPONSE),
    ],
)
def test_map_has_a_value_as_soon_as_everything_in_it_has(
    source: str, values: dict[str, str], phase: Phase
):
    assert make_map(source, values, "", names()).phase is phase


def test_map_of_the_status_is_of_the_answer():
    variable = make_map("$status", {"~^4": "theirs", "~^5": "ours"}, "nobody's", names())
    assert variable.read is not None
    request = request_of()
    request.response = Response(404, [])
    assert variable.read(request) == b"theirs"


@pytest.mark.parametrize(
    ("source", "values", "reuse"),
    [
        ("$uri", {"/a": "x"}, Reuse.BY_KEY),
        ("$http_x", {"/a": "x"}, Reuse.BY_HEAD),
        ("$uri", {"/a": "$remote_addr"}, Reuse.NEVER),
        ("$uri", {"/other": "$remote_addr"}, Reuse.BY_KEY),
    ],
)
def test_only_what_was_read_narrows(source: str, values: dict[str, str], reuse: Reuse):
    """The value of another key was not read for this request, and is not for any other with its key."""
    variable = make_map(source, values, "", names())
    assert variable.read is not None
    request = request_of(b"/a")
    variable.read(request)
    assert request.reuse is reuse


def test_map_of_a_map_is_looked_up_through_both():
    both = names()
    both.add_lazy("inner", lambda: make_map("$arg_x", {"a": "A"}, "", both))
    both.add_lazy("outer", lambda: make_map("$inner", {"a": "found"}, "", both))
    variable: Variable = both.find("outer")
    assert variable.read is not None
    assert variable.read(request_of(b"/?x=a")) == b"found"
