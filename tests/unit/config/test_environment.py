"""What is put in for `${NAME}`, and what is left alone."""

from __future__ import annotations

import datetime as dt

import pytest

from chute.config.environment import expand

ENVIRON = {"HOME": "/home/x", "_A1": "a", "EMPTY": "", "NESTED": "${HOME}", "lower": "no"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        pytest.param("plain", "plain", id="nothing to do"),
        pytest.param("${HOME}", "/home/x", id="alone"),
        pytest.param("a${HOME}/b${_A1}", "a/home/x/ba", id="within text"),
        pytest.param("${_A1}${_A1}", "aa", id="side by side"),
        pytest.param("${EMPTY}", "", id="set to nothing"),
        pytest.param("${NOPE:-there}", "there", id="default"),
        pytest.param("${NOPE:-}", "", id="empty default"),
        pytest.param("${EMPTY:-there}", "there", id="default for what is empty, as in a shell"),
        pytest.param("${HOME:-there}", "/home/x", id="default that is not needed"),
        pytest.param("${NOPE:-a b:-$c\\}", "a b:-$c\\", id="default of odd characters"),
        pytest.param("${NESTED}", "${HOME}", id="what is put in is not looked at again"),
        pytest.param("${lower}", "${lower}", id="variable of the request"),
        pytest.param("${Home}", "${Home}", id="mixed case"),
        pytest.param("$HOME", "$HOME", id="no braces"),
        pytest.param("${}", "${}", id="no name"),
        pytest.param("${1A}", "${1A}", id="digit first"),
        pytest.param("${HOME", "${HOME", id="no end"),
        pytest.param("${HOME-x}", "${HOME-x}", id="no such notation"),
        pytest.param("$${HOME}", "$${HOME}", id="dollar sign of a template"),
        pytest.param("$$${HOME}", "$$/home/x", id="dollar sign of a template before it"),
        pytest.param("$$$${HOME}", "$$$${HOME}", id="two dollar signs of a template"),
        pytest.param("$${NOPE}", "$${NOPE}", id="left alone and not missed"),
        pytest.param("^/a$|${_A1}", "^/a$|a", id="regular expression"),
    ],
)
def test_text_is_expanded(text: str, expanded: str):
    assert expand(text, ENVIRON) == (expanded, [])


def test_values_of_every_kind_are_walked_and_keys_are_not():
    moment = dt.datetime(1979, 5, 27, tzinfo=dt.UTC)
    value = {"${HOME}": ["${_A1}", {"b": "${_A1}"}, 1, 1.5, True, moment], "c": {"d": "${HOME}"}}
    expected = {"${HOME}": ["a", {"b": "a"}, 1, 1.5, True, moment], "c": {"d": "/home/x"}}
    assert expand(value, ENVIRON) == (expected, [])


def test_value_that_is_given_stays_as_it_is():
    value = {"a": ["${HOME}"]}
    expand(value, ENVIRON)
    assert value == {"a": ["${HOME}"]}


def test_everything_that_is_not_set_is_reported_at_once():
    value = {"site": [{"name": "${NOPE}-${GONE}"}, {"name": "x"}, {"root": "a${NOPE}b"}]}
    expanded, unset = expand(value, ENVIRON)
    assert expanded == {"site": [{"name": "-"}, {"name": "x"}, {"root": "ab"}]}
    assert unset == [
        (("site", 0, "name"), "the environment variable NOPE is not set"),
        (("site", 0, "name"), "the environment variable GONE is not set"),
        (("site", 2, "root"), "the environment variable NOPE is not set"),
    ]


def test_path_of_what_is_given_comes_first():
    assert expand(["${NOPE}"], {}, ("include", 3))[1] == [
        (("include", 3, 0), "the environment variable NOPE is not set")
    ]
