"""Which names a configuration may give to variables of its own, and what they mean then."""

from __future__ import annotations

import re

import pytest

from chute.errors import ConfigError
from chute.variables.lookup import Variable
from chute.variables.names import Names, remember_captures
from routed import request_of


def test_name_that_was_announced_is_empty_until_it_is_set():
    names = Names()
    names.add_set("x")
    request = request_of()
    read = names.find("x").read
    assert read is not None
    assert read(request) == b""
    request.variables = {"x": b"1"}
    assert read(request) == b"1"


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "a.b", "ä", "a\n", " request_id"])
def test_what_is_no_name_is_refused(name: str):
    with pytest.raises(ConfigError) as error:
        Names().add_set(name)
    assert error.value.hint == "use letters, digits and underscores"


@pytest.mark.parametrize("name", ["uri", "http_x", "arg_x", "cookie_x", "status", "content_type"])
def test_what_every_request_has_cannot_be_changed(name: str):
    for add in (Names().add_set, lambda name: Names().add_lazy(name, _never)):
        with pytest.raises(ConfigError, match="has a meaning already"):
            add(name)
    with pytest.raises(ConfigError, match="has a meaning already"):
        Names().add_captures(re.compile(b"(?P<%b>x)" % name.encode()))


def _never() -> Variable:
    raise AssertionError("nobody has looked it up")


def test_variable_may_be_set_in_many_places_and_mapped_in_one():
    names = Names()
    names.add_set("a")
    names.add_set("a")
    names.add_captures(re.compile(b"(?P<a>x)"))
    with pytest.raises(ConfigError, match="defined twice"):
        names.add_lazy("a", _never)
    names.add_lazy("b", _never)
    for again in (names.add_set, lambda name: names.add_lazy(name, _never)):
        with pytest.raises(ConfigError, match="defined twice"):
            again("b")


def test_lazy_variable_is_made_once_and_when_it_is_looked_up():
    made: list[Variable] = []

    def make() -> Variable:
        made.append(Variable(lambda request: b"made"))
        return made[-1]

    names = Names()
    names.add_lazy("m", make)
    assert made == []
    assert names.find("m") is names.find("m")
    assert len(made) == 1


def test_circle_is_refused_and_not_followed_for_ever():
    names = Names()
    names.add_lazy("a", lambda: names.find("b"))
    names.add_lazy("b", lambda: names.find("c"))
    names.add_lazy("c", lambda: names.find("a"))
    with pytest.raises(ConfigError, match=r"\$a is defined by itself"):
        names.find("a")


HINTS = {
    "cookie": "name what you mean, for example $http_user_agent, $arg_page or $cookie_session",
    "request_ur": "did you mean $request_uri?",
    "request_body": "the content of a request is not kept",
    "sent_http_date": "the server adds this field when the answer is on its way",
    "my_own_on": "did you mean $my_own_one?",
    "zzz": "set it, define a [map], or write $$ for a dollar sign",
}


@pytest.mark.parametrize(("name", "hint"), HINTS.items(), ids=HINTS.keys())
def test_unknown_name_is_refused_with_advice(name: str, hint: str):
    names = Names()
    names.add_set("my_own_one")
    with pytest.raises(ConfigError) as error:
        names.find(name)
    assert str(error.value).startswith(f"there is no variable ${name}")
    assert error.value.hint == hint


def test_captures_are_known_by_number_and_name_and_a_group_that_took_no_part_is_empty():
    request = request_of()
    match = re.match(rb"(?P<year>\d+)(-(?P<day>\d+))?(.*)", b"2026/x")
    assert match is not None
    remember_captures(request, match)
    assert request.captures == (b"2026/x", b"2026", b"", b"", b"/x")
    assert request.variables == {"year": b"2026", "day": b""}


def test_match_without_groups_takes_the_numbers_of_the_last_one_away_but_not_its_names():
    request = request_of()
    for pattern, text in ((rb"(?P<a>.)", b"x"), (rb"y", b"y")):
        match = re.match(pattern, text)
        assert match is not None
        remember_captures(request, match)
    assert request.captures == (b"y",)
    assert request.variables == {"a": b"x"}


def test_captures_are_decoded_and_what_is_set_is_not():
    names = Names()
    names.add_captures(re.compile(b"(?P<a>x)"))
    names.add_set("b")
    assert (names.find("a").is_decoded, names.find("b").is_decoded) == (True, False)
