"""Conditions: how they are written, and when they hold."""

from __future__ import annotations

import pytest

from chute.errors import ConfigError
from chute.exchange import Answered, Request, Response, Reuse
from chute.variables.conditions import (
    EXAMPLE,
    Parsed,
    compile_conditions,
    compile_log_conditions,
    parse_condition,
)
from chute.variables.lookup import Phase
from chute.variables.names import Names
from routed import ENDS, request_of

PARSED = {
    "$a": Parsed("$a", "is set", ""),
    "!$a": Parsed("$a", "is not set", ""),
    "! $a": Parsed("$a", "is not set", ""),
    "  $a  ": Parsed("$a", "is set", ""),
    "$a$b": Parsed("$a$b", "is set", ""),
    "$a = b": Parsed("$a", "=", "b"),
    "$a   =   b c": Parsed("$a", "=", "b c"),
    "$a != b": Parsed("$a", "!=", "b"),
    "$a ~ b": Parsed("$a", "~", "b"),
    "$a ~* b": Parsed("$a", "~*", "b"),
    "$a !~ b": Parsed("$a", "!~", "b"),
    "$a !~* b": Parsed("$a", "!~*", "b"),
    '$a = ""': Parsed("$a", "=", ""),
    "$a = ''": Parsed("$a", "=", ""),
    '$a = "b c"': Parsed("$a", "=", "b c"),
    "$a = \"b'": Parsed("$a", "=", "\"b'"),
    "$a = $b": Parsed("$a", "=", "$b"),
    "$a:$b = c": Parsed("$a:$b", "=", "c"),
    "$a ~ ^(x|y) z$": Parsed("$a", "~", "^(x|y) z$"),
    "$a = =": Parsed("$a", "=", "="),
}


@pytest.mark.parametrize(("text", "parsed"), PARSED.items(), ids=PARSED.keys())
def test_notation_is_read(text: str, parsed: Parsed):
    assert parse_condition(text) == parsed


@pytest.mark.parametrize(
    "text", ["", "a", "a = b", "$a b", "$a == b", "= b", "$a => b", "!", "$a >"]
)
def test_what_is_no_condition_is_refused_with_an_example(text: str):
    with pytest.raises(ConfigError) as error:
        parse_condition(text)
    assert error.value.hint == EXAMPLE


@pytest.mark.parametrize("operator", ["=", "!=", "~", "~*", "!~", "!~*"])
def test_comparison_with_nothing_is_refused_and_told_how_to_write_it(operator: str):
    with pytest.raises(ConfigError, match="compares with nothing") as error:
        parse_condition(f"$a {operator}")
    assert error.value.hint == 'write "" for an empty value'


def names() -> Names:
    names = Names()
    names.add_set("mine")
    return names


def asked() -> Request:
    return request_of(b"/a?x=1&zero=0&empty=&word=Bot", (b"user-agent", b"some Bot 1.0"))


def holds(*texts: str) -> bool:
    condition = compile_conditions(texts, names())
    assert condition is not None
    return condition(asked())


HOLDING = {
    "$arg_x": True,
    "!$arg_x": False,
    "$arg_zero": False,
    "!$arg_zero": True,
    "$arg_empty": False,
    "$arg_missing": False,
    "!$arg_missing": True,
    "$arg_zero$arg_zero": True,
    "$request_method = GET": True,
    "$request_method = get": False,
    "$request_method != POST": True,
    "$request_method != GET": False,
    '$arg_empty = ""': True,
    '$arg_x != ""': True,
    "$arg_x = $arg_x": True,
    "$arg_x = $arg_zero": False,
    "$http_user_agent ~ Bot": True,
    "$http_user_agent ~ bot": False,
    "$http_user_agent ~* bot": True,
    "$http_user_agent !~ bot": True,
    "$http_user_agent !~* bot": False,
    "$http_user_agent ~ ^Bot": False,
    "$mine": False,
    '$mine = ""': True,
}


@pytest.mark.parametrize(("text", "expected"), HOLDING.items(), ids=HOLDING.keys())
def test_condition_holds(text: str, expected: bool):
    assert holds(text) is expected


def test_all_of_several_conditions_have_to_hold():
    assert holds("$arg_x", "$request_method = GET")
    assert not holds("$arg_x", "$request_method = POST")
    assert not holds("$request_method = POST", "$arg_x")


def test_no_conditions_are_none():
    assert compile_conditions([], names()) is None
    assert compile_log_conditions([], names()) is None


def test_groups_are_those_of_the_expression_that_was_tried_last_and_none_if_it_failed():
    request = asked()
    condition = compile_conditions(["$http_user_agent ~ (B)(ot)"], names())
    assert condition is not None
    assert condition(request)
    assert request.captures == (b"Bot", b"B", b"ot")
    other = compile_conditions(["$http_user_agent ~ (nothing)"], names())
    assert other is not None
    assert not other(request)
    assert request.captures == ()


def test_condition_that_is_looked_at_narrows_whether_or_not_it_holds():
    for text in ("$http_user_agent = nobody", "$http_user_agent ~ Bot", "!$http_user_agent"):
        request = asked()
        condition = compile_conditions([text], names())
        assert condition is not None
        condition(request)
        assert request.reuse is Reuse.BY_HEAD, text


@pytest.mark.parametrize("text", ["$nobody", "$uri = $nobody", "$status = 200", "$uri ~ ("])
def test_what_can_never_be_told_is_refused(text: str):
    with pytest.raises(ConfigError):
        compile_conditions([text], names())


def test_condition_on_the_answer_is_allowed_when_there_is_one():
    condition = compile_conditions(["$status ~ ^4"], names(), until=Phase.RESPONSE)
    assert condition is not None
    request = asked()
    request.response = Response(404, [])
    assert condition(request)


LOGGED = {
    "$status ~ ^[45]": True,
    "$status !~ ^[45]": False,
    "$status = 404": True,
    "$status != 404": False,
    "$status = $status": True,
    "$bytes_sent = 12": True,
    "$arg_x": True,
    "!$arg_x": False,
    "$arg_zero": False,
    "!$arg_zero": True,
    "$request_completion": False,
    "$http_user_agent ~* BOT": True,
    "$uri:$status = /a:404": True,
    '$uri = "$uri"': True,
}


@pytest.mark.parametrize(("text", "expected"), LOGGED.items(), ids=LOGGED.keys())
def test_log_condition_holds(text: str, expected: bool):
    condition = compile_log_conditions([text], names())
    assert condition is not None
    answered = Answered(
        asked().head,
        b"",
        404,
        2,
        0.0,
        b"buffer",
        is_complete=False,
        head_bytes=10,
        request=asked(),
        ends=ENDS,
    )
    assert condition(answered) is expected
    both = compile_log_conditions([text, "$status"], names())
    assert both is not None
    assert both(answered) is expected
