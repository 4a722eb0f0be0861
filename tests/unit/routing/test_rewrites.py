"""Steps: what they look at, what they change, and where they end."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chute.errors import ConfigError, PeerError
from chute.exchange import Request, Response
from chute.routing.options import RedirectOptions, RespondOptions, RewriteOptions
from chute.routing.rewrites import Ended, Steps, announce, describe
from chute.variables.names import Names
from routed import request_of


def steps_of(*options: RewriteOptions) -> Steps:
    names = Names()
    announce(options, names)
    return Steps(options, names)


def run(request: Request, *options: RewriteOptions) -> object:
    return steps_of(*options).run(request)


def step(match: str | None = None, to: str | None = None, **more: object) -> RewriteOptions:
    return RewriteOptions(match=match, to=to, **more)  # type: ignore[arg-type]


CHANGED, STAYS, UNCHANGED = Ended.CHANGED, Ended.STAYS, Ended.UNCHANGED


@pytest.mark.parametrize(
    ("options", "ended", "path"),
    [
        ([], UNCHANGED, b"/a/b"),
        ([step("^/x", "/y")], UNCHANGED, b"/a/b"),
        ([step("^/a/(.*)$", "/n/$1")], CHANGED, b"/n/b"),
        ([step(None, "/n")], CHANGED, b"/n"),
        ([step("^/a", "/n", then="last")], CHANGED, b"/n"),
        ([step("^/a", "/n", then="break")], STAYS, b"/n"),
        ([step("^/a", None, then="break")], UNCHANGED, b"/a/b"),
        ([step("^/a", None, then="last")], UNCHANGED, b"/a/b"),
        ([step("^/a", "/n"), step("^/n", "/m")], CHANGED, b"/m"),
        ([step("^/a", "/n", then="last"), step("^/n", "/m")], CHANGED, b"/n"),
        ([step("^/a", "/n", then="break"), step("^/n", "/m")], STAYS, b"/n"),
        ([step("^/a", "/n"), step("^/n", None, then="break")], STAYS, b"/n"),
        ([step("(?P<x>[b])", "/by/$x")], CHANGED, b"/by/b"),
        ([step("^/a", "/n//m/./o/../p")], CHANGED, b"/n/m/p"),
        ([step("^/a", "/a/b")], CHANGED, b"/a/b"),
    ],
)
def test_steps_change_the_path_until_one_ends_them(
    options: list[RewriteOptions], ended: Ended, path: bytes
):
    request = request_of(b"/a/b")
    assert run(request, *options) is ended
    assert (request.path, request.subpath) == (path, path)


@pytest.mark.parametrize(
    ("to", "target", "query"),
    [
        ("/n", b"/a?x=1", b"x=1"),
        ("/n?", b"/a?x=1", None),
        ("/n?y=2", b"/a?x=1", b"y=2&x=1"),
        ("/n?y=2?", b"/a?x=1", b"y=2"),
        ("/n?y=2", b"/a", b"y=2"),
        ("/n", b"/a", None),
        ("/n?y=$uri", b"/a", b"y=/a"),
        ("/n?y=$arg_x", b"/a?x=%20", b"y=%20&x=%20"),
    ],
)
def test_query_stays_behind_a_query_of_the_step_unless_it_ends_with_a_mark(
    to: str, target: bytes, query: bytes | None
):
    request = request_of(target)
    run(request, step("^/a", to))
    assert (request.path, request.query) == (b"/n", query)


def test_step_is_taken_only_if_all_of_its_conditions_hold():
    options = step("^/a", "/n", when=("$request_method = GET", "$arg_x"))
    for target, ended in ((b"/a?x=1", CHANGED), (b"/a?x=0", UNCHANGED), (b"/a", UNCHANGED)):
        assert run(request_of(target), options) is ended


def test_variable_is_set_and_known_to_the_next_step():
    request = request_of(b"/a/b")
    run(
        request,
        step("^/a/(.*)", "<$1>", variable="x"),
        step(None, "/$x", when=("$x",)),
    )
    assert request.variables == {"x": b"<b>"}
    assert request.path == b"/<b>"


def test_variable_that_is_set_last_ends_the_steps_without_changing_the_path():
    request = request_of(b"/a")
    options = [step(None, "1", variable="x", then="last"), step(None, "/n")]
    assert run(request, *options) is UNCHANGED
    assert request.path == b"/a"


@pytest.mark.parametrize(
    ("options", "status", "location"),
    [
        (step("^/a(.*)", "/n$1", then="redirect"), 302, b"/n/b?x=1"),
        (step("^/a(.*)", "/n$1", then="permanent"), 301, b"/n/b?x=1"),
        (step("^/a(.*)", "/n$1?", then="permanent"), 301, b"/n/b"),
        (step("^/a", "https://o.example$request_uri?"), 302, b"https://o.example/a/b?x=1"),
        (step("^/a", "$scheme://o.example$uri"), 302, b"http://o.example/a/b?x=1"),
        (step("^/a", "//o.example/"), 302, b"//o.example/?x=1"),
        (step("^/a", answer=RedirectOptions(to="/n", status=307)), 307, b"/n"),
    ],
)
def test_step_that_redirects_answers(options: RewriteOptions, status: int, location: bytes):
    response = run(request_of(b"/a/b?x=1"), options, step(None, "/never"))
    assert isinstance(response, Response)
    assert (response.status, response.fields) == (status, [(b"Location", location)])


def test_step_that_answers_is_the_last():
    response = run(request_of(), step(answer=RespondOptions(status=410)), step(None, "/n"))
    assert isinstance(response, Response)
    assert response.status == 410


@pytest.mark.parametrize("target", [b"/a?x=../../etc/passwd", b"/a?x=b/../../../c"])
def test_value_that_climbs_above_the_root_is_the_peers_fault(target: bytes):
    with pytest.raises(PeerError):
        run(request_of(target), step("^/a", "/n/$arg_x"))


@given(st.binary(max_size=30))
def test_path_is_always_a_path(value: bytes):
    """Whatever was put into it: one slash at its beginning, none doubled, and no dot segments."""
    request = request_of(b"/a?x=" + value.replace(b"&", b""), path=b"/a")
    try:
        ended = run(request, step("^/a", "$arg_x"))
    except PeerError:
        return
    assert ended is CHANGED
    assert re.fullmatch(rb"/(?:[^/]+/?)*", request.path, re.DOTALL)
    assert not {b".", b".."} & set(request.path.split(b"/"))


def test_decoded_value_never_becomes_a_second_parameter():
    request = request_of(b"/a", path=b"/a/x&admin=1 ?#+")
    run(request, step("^/a/(.*)$", "/n?name=$1"))
    assert request.query == b"name=x%26admin=1%20%3F%23%2B"


def test_question_mark_in_a_decoded_path_stays_in_the_path():
    request = request_of(b"/a%3Fb", path=b"/a?b")
    run(request, step("^/(.*)$", "/n/$1"))
    assert (request.path, request.query) == (b"/n/a?b", None)


@pytest.mark.parametrize(
    "options",
    [
        step("^/a"),
        step("^/a", "n"),
        step("^/a", "$nobody"),
        step("(", "/n"),
        step(None, "/n", when=("nonsense",)),
        step(None, "1", variable="uri"),
        step(None, "1", variable="a-b"),
        step("(?P<uri>x)", "/n"),
        step(answer=RespondOptions(status=204, text="x")),
        step(answer=RedirectOptions(to="")),
    ],
)
def test_step_that_can_never_be_meant_is_refused(options: RewriteOptions):
    with pytest.raises(ConfigError):
        steps_of(options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (step("^/a", "/n", then="last"), "^/a -> /n (last)"),
        (step(None, "1", variable="x", when=("$arg_a",)), "if $arg_a sets $x"),
        (step("^/a", then="break"), "^/a (break)"),
    ],
)
def test_step_is_told_in_words(options: RewriteOptions, words: str):
    assert describe(options) == words


def test_each_step_that_is_taken_is_told_and_no_other():
    told: list[str] = []
    request = request_of(b"/a")
    request.trace = told.append
    run(request, step("^/x", "/y"), step("^/a", "/n"))
    assert told == ["rewrite ^/a -> /n", "the path is now /n"]
