"""Redirects and fixed answers. A redirect is one field, and leads to no host that the configuration does not name."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chute.errors import ConfigError
from chute.exchange import Ends, Request, Response, Reuse
from chute.routing.answers import ALWAYS, make_redirect, make_respond
from chute.routing.options import RedirectOptions, RespondOptions
from chute.semantics.messages import RequestHead
from chute.variables.names import Names
from routed import request_of


def names() -> Names:
    names = Names()
    names.add_set("mine")
    names.add_captures(re.compile(b"(?P<part>x)"))
    return names


def location_for(to: str, request: Request, *, appends_query: bool = False) -> bytes:
    handler = make_redirect(RedirectOptions(to=to), names(), appends_query=appends_query)
    response = handler(request)
    assert isinstance(response, Response)
    ((name, value),) = response.fields
    assert name == b"Location"
    return value


@pytest.mark.parametrize(
    ("to", "location"),
    [
        ("/new/", b"/new/"),
        ("/new$uri", b"/new/a%20b"),
        ("$uri/", b"/a%20b/"),
        ("https://$host$request_uri", b"https://h/a%20b?x=1"),
        ("//other.example$uri", b"//other.example/a%20b"),
        ("$scheme://www.$host$uri$is_args$args", b"http://www.h/a%20b?x=1"),
        ("new", b"new"),
        ("/a?b=$uri", b"/a?b=/a%20b"),
    ],
)
def test_redirect_leads_where_it_says(to: str, location: bytes):
    assert location_for(to, request_of(b"/a%20b?x=1", path=b"/a b")) == location


@pytest.mark.parametrize(
    ("to", "target", "location"),
    [
        ("/n", b"/a?x=1", b"/n?x=1"),
        ("/n?y=2", b"/a?x=1", b"/n?y=2&x=1"),
        ("/n", b"/a", b"/n"),
        ("/n", b"/a?", b"/n"),
        ("/n", b"/a?\xff \\", b"/n?%FF%20%5C"),
    ],
)
def test_query_comes_behind_that_of_the_redirect(to: str, target: bytes, location: bytes):
    assert location_for(to, request_of(target), appends_query=True) == location


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_status_is_one_that_sends_elsewhere(status: int):
    response = make_redirect(RedirectOptions(to="/", status=status), names())(request_of())
    assert isinstance(response, Response)
    assert (response.status, response.pieces, response.validity) == (status, (), ALWAYS)


@pytest.mark.parametrize("status", [200, 300, 304, 305, 306, 309, 404, 0])
def test_status_that_sends_nobody_anywhere_is_refused(status: int):
    with pytest.raises(ConfigError, match="is no status of a redirect"):
        make_redirect(RedirectOptions(to="/", status=status), names())


def test_redirect_to_nowhere_is_refused():
    with pytest.raises(ConfigError, match="needs somewhere to lead to"):
        make_redirect(RedirectOptions(to=""), names())


ATTACKS = [
    b"//evil.example",
    b"/\\evil.example",
    b"\\\\evil.example",
    b"/%5cevil.example",
    b"https://evil.example",
    b"HTTPS:evil.example",
    b"javascript:alert(1)",
    b"\t//evil.example",
    b"\r\nSet-Cookie: a=1",
    b"%0d%0aSet-Cookie:%20a=1",
    b"\xe5\x98\x8d\xe5\x98\x8a",
    b"@evil.example",
    b".evil.example",
    b"",
]

LED = ["$uri", "$1", "$part", "$arg_x", "$args", "$http_x", "$cookie_c", "$request_uri", "${arg_x}/a",
       "/$1", "/$arg_x", "/$http_x", "//$1"]  # fmt: skip

WITHIN = re.compile(
    rb"/(?:[A-Za-z0-9._~!$&'()*+,;=:@?#%\[\]-][A-Za-z0-9._~!$&'()*+,;=:@/?#%\[\]-]*)?"
)
"""One slash, and no second one: a path of this host (RFC 3986, 4.2), whatever follows."""


def attacked(value: bytes, *, path: bytes | None = None) -> Request:
    """Return a request that brings `value` wherever a peer can put it."""
    request = request_of(
        b"/?x=" + value, (b"x", value), (b"cookie", b"c=" + value), path=path or b"/" + value
    )
    request.captures = (value, value)
    request.variables = {"part": value}
    return request


@pytest.mark.parametrize("to", [each for each in LED if not each.startswith("//")])
@pytest.mark.parametrize("value", ATTACKS, ids=ascii)
def test_t24_known_attacks_stay_within_the_host(to: str, value: bytes):
    assert WITHIN.fullmatch(location_for(to, attacked(value)))


@given(
    st.binary(max_size=40),
    st.sampled_from([each for each in LED if not each.startswith("//")]),
    st.booleans(),
)
def test_t24_no_value_leads_to_another_host_or_ends_the_field(
    value: bytes, to: str, appends_query: bool
):
    assert WITHIN.fullmatch(location_for(to, attacked(value), appends_query=appends_query))


@given(st.binary(max_size=40), st.sampled_from(["/a/", "/a?b=", "/a-"]), st.sampled_from(LED[:7]))
def test_t24_values_behind_a_path_stay_behind_it(value: bytes, before: str, place: str):
    location = location_for(before + place, attacked(value))
    assert location.startswith(before.encode())
    assert re.fullmatch(rb"/[A-Za-z0-9._~!$&'()*+,;=:@/?#%\[\]-]*", location)


@given(st.binary(max_size=40))
def test_t24_host_that_is_named_stays_the_host(value: bytes):
    """What follows the host begins with the slash of a path, which nobody can leave out."""
    for to in ("https://named.example$uri", "//named.example$uri", "https://named.example/$1"):
        location = location_for(to, attacked(value))
        assert re.match(rb"(?:https:)?//named\.example/", location)


@pytest.mark.parametrize(
    "target", [b"http://evil.example/x", b"http://evil.example?x", b"//evil.example"]
)
def test_t24_absolute_form_brings_no_second_host(target: bytes):
    location = location_for("https://$host$request_uri", request_of(target))
    assert re.match(rb"https://h/", location)
    assert b"http://" not in location


def test_redirect_depends_on_what_it_reads():
    for to, reuse in (
        ("/n$uri", Reuse.BY_KEY),
        ("/$http_x", Reuse.BY_HEAD),
        ("/$request_id", Reuse.NEVER),
    ):
        request = request_of()
        location_for(to, request)
        assert request.reuse is reuse, to


def test_redirect_tells_where_it_leads_to_whoever_wants_to_know():
    told: list[str] = []
    request = request_of(b"/", path=b"/\xff\r\n")
    request.trace = told.append
    location_for("$uri", request)
    assert told == ["redirects to /%FF%0D%0A (302)"]


# --------------------------------------------------------------------------- fixed answers


def respond(**options: object) -> Response:
    response = make_respond(RespondOptions(**options), names())(request_of(b"/a"))  # type: ignore[arg-type]
    assert isinstance(response, Response)
    return response


def test_text_is_the_content_with_its_type():
    response = respond(text="path $uri", media_type="text/x")
    assert (response.status, response.pieces) == (200, (b"path /a",))
    assert response.fields == [(b"Content-Type", b"text/x")]
    assert response.validity is ALWAYS


def test_text_that_comes_to_nothing_is_no_piece():
    assert respond(text="$mine").pieces == ()


def test_failure_with_a_text_keeps_it_and_has_no_page():
    response = respond(status=404, text="nothing")
    assert (response.explanation, response.pieces) == (None, (b"nothing",))


def test_failure_without_a_text_has_the_usual_page():
    assert respond(status=404).explanation == "There is nothing with this name."
    assert respond(status=451).explanation == "The server answers so by its rules."


@pytest.mark.parametrize("status", [200, 204, 304])
def test_success_without_a_text_has_no_content(status: int):
    response = respond(status=status)
    assert (response.status, response.pieces, response.explanation) == (status, (), None)


def test_fields_of_one_answer_are_not_those_of_the_next():
    handler = make_respond(RespondOptions(text="x"), names())
    first, second = handler(request_of()), handler(request_of())
    assert isinstance(first, Response)
    assert isinstance(second, Response)
    first.fields.append((b"A", b"1"))
    assert second.fields == [(b"Content-Type", b"text/plain; charset=utf-8")]


@pytest.mark.parametrize("status", [0, 100, 101, 199, 299, 499, 600, 999])
def test_status_that_nobody_answers_with_is_refused(status: int):
    with pytest.raises(ConfigError, match="is no status that can be answered with"):
        respond(status=status)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_without_somewhere_to_lead_to_is_refused(status: int):
    with pytest.raises(ConfigError, match="needs somewhere to lead to"):
        respond(status=status)


@pytest.mark.parametrize("status", [204, 304])
def test_text_where_there_can_be_no_content_is_refused(status: int):
    with pytest.raises(ConfigError, match="has no content"):
        respond(status=status, text="x")


@pytest.mark.parametrize(
    ("site", "address", "expected"),
    [
        (b"a.example", "198.51.100.1", b"https://a.example/evil.example/"),
        (b"*.example", "198.51.100.1", b"https://198.51.100.1/evil.example/"),
        (b"_", "2001:db8::1", b"https://[2001:db8::1]/evil.example/"),
        (b"", "/run/chute.sock", b"https://localhost/evil.example/"),
    ],
)
def test_t24_request_without_a_host_leads_to_no_host_that_it_names_itself(
    site: bytes, address: str, expected: bytes
):
    head = RequestHead(b"GET", b"/evil.example/", 0, [])
    request = Request(head, b"/evil.example/", None, b"", Ends("192.0.2.1", 1, address, 80))
    request.site = site
    redirect = make_redirect(RedirectOptions(to="https://$host$request_uri"), Names())
    assert dict(redirect(request).fields)[b"Location"] == expected


def test_location_is_a_url_whatever_was_written():
    redirect = make_redirect(RedirectOptions(to="/ü x/$uri"), Names())
    request = Request(RequestHead(b"GET", b"/", 1, []), b"/y z", None, b"h")
    assert dict(redirect(request).fields)[b"Location"] == b"/%C3%BC%20x//y%20z"
    nothing = make_redirect(RedirectOptions(to="$is_args$args"), Names())
    assert dict(nothing(request).fields)[b"Location"] == b"/"
