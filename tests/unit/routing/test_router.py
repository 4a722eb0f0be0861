"""The way of a request through a site, and what becomes of the answer on its way back."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pytest

from chute.exchange import (
    Deferred,
    Handler,
    Redispatch,
    Request,
    Response,
    Reuse,
    failure,
)
from chute.routing.answers import ALWAYS
from chute.routing.error_pages import compile_pages
from chute.routing.router import ROUNDS_MAX, Location
from routed import request_of
from routers import (
    fails,
    fields,
    finished,
    location,
    response_of,
    rewrite,
    router,
    text_of,
    with_pages,
)

# --------------------------------------------------------------------------- to a location


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        (b"/x", b"(none) /x"),
        (b"/a/x", b"/a/ /a/x"),
        (b"/moved", b"/a/ /a/moved"),
        (b"/stays/x", b"/stays/ /a/x"),
        (b"/goes/x", b"/a/ /a/x"),
        (b"/b.txt", b"~ txt$ /b.txt"),
    ],
)
def test_path_leads_to_a_location_and_may_be_changed_on_the_way(path: bytes, answer: bytes):
    handler = router(
        location("/a/"),
        location("/stays/", steps=rewrite("^/stays/(.*)", "/a/$1", "break")),
        location("/goes/", steps=rewrite("^/goes/(.*)", "/a/$1", "last")),
        location("~ txt$"),
        site_steps=rewrite("^/moved$", "/a/moved"),
    ).handle
    assert text_of(handler(request_of(path))) == answer


def test_location_tells_its_root_and_its_journal_and_the_site_its_name():
    request = request_of(b"/a/x")
    journal = object()
    router(location("/a/", root="/srv", journal=journal)).handle(request)
    assert (request.root, request.site, request.subpath) == ("/srv", b"s", b"/a/x")
    assert request.journal is journal


def test_location_for_one_file_has_it_whatever_the_path():
    seen: list[bytes] = []

    def handler(request: Request) -> Response:
        seen.append(request.subpath)
        return Response(200, [])

    router(location("= /a", handler, subpath=b"/other.txt")).handle(request_of(b"/a"))
    assert seen == [b"/other.txt"]


def test_groups_of_the_location_are_known_to_its_fields():
    handler = router(location("~ ^/(.)(.*)", fields=fields(X="$2-$1"))).handle
    assert response_of(handler(request_of(b"/abc"))).fields == [(b"X", b"bc-a")]


@pytest.mark.parametrize(
    ("lead", "answer"),
    [
        ({}, 404),
        ({"site_steps": rewrite("^/go$", "/in")}, 200),
        ({"rest": location("(none)", lambda request: Redispatch(b"/in", None))}, 200),
        ({"rest": location("(none)", fails(), error_pages=compile_pages([(404, "/in")]))}, 404),
    ],
    ids=["asked for", "rewritten", "sent on", "a page"],
)
def test_internal_location_answers_only_whom_the_server_leads_there(
    lead: Mapping[str, object], answer: int
):
    inside = location("= /in", is_internal=True)
    handler = router(inside, **lead).handle  # type: ignore[arg-type]
    response = response_of(handler(request_of(b"/go" if lead else b"/in")))
    assert response.status == answer
    assert text_of(response) == (b"= /in /in" if lead else b"")


# --------------------------------------------------------------------------- in circles


CIRCLES = {
    "a location to itself": {"locations": [location("/", steps=rewrite("^/", "/x"))]},
    "two to each other": {
        "locations": [
            location("/a", steps=rewrite("^/a", "/b")),
            location("/b", steps=rewrite("^/b", "/a")),
        ]
    },
    "sent on": {"locations": [location("/", lambda request: Redispatch(b"/x", ALWAYS))]},
    "sent on by name": {
        "locations": [
            location("/", lambda request: Redispatch(b"@x", ALWAYS)),
            location("@x", lambda request: Redispatch(b"@x", ALWAYS)),
        ]
    },
    "sent on and rewritten": {
        "locations": [
            location("/x", lambda request: Redispatch(b"/y", ALWAYS)),
            location("/y", steps=rewrite("^/y", "/x")),
        ]
    },
}


@pytest.mark.parametrize("circle", CIRCLES.values(), ids=CIRCLES.keys())
@pytest.mark.parametrize("page", [None, "/page"])
def test_circle_ends_with_500_and_one_line_that_names_it(
    circle: dict[str, list[Location]], page: str | None, caplog: pytest.LogCaptureFixture
):
    pages = compile_pages([(500, page)]) if page else {}
    locations = [each._replace(error_pages=pages) for each in circle["locations"]]
    with caplog.at_level(logging.ERROR):
        outcome = router(*locations).handle(request_of(b"/x" if "/x" in str(locations) else b"/a"))
    assert response_of(outcome).status == 500
    looped = [each for each in caplog.records if "goes round in circles" in each.getMessage()]
    assert len(looped) == 1
    assert f"after {ROUNDS_MAX} rounds" in looped[0].getMessage()


def test_longest_way_that_is_no_circle_is_gone():
    chain = [
        location(f"= /{number}", steps=rewrite("^", f"/{number + 1}"))
        for number in range(ROUNDS_MAX)
    ]
    handler = router(*chain, location(f"= /{ROUNDS_MAX}")).handle
    assert response_of(handler(request_of(b"/0"))).status == 200
    one_more = router(
        *chain,
        location(f"= /{ROUNDS_MAX}", steps=rewrite("^", f"/{ROUNDS_MAX + 1}")),
        location(f"= /{ROUNDS_MAX + 1}"),
    ).handle
    assert response_of(one_more(request_of(b"/0"))).status == 500


# --------------------------------------------------------------------------- fields


def test_fields_are_put_in_the_place_of_those_with_their_name_and_an_empty_one_takes_it_away():
    answer = Response(
        200, [(b"cache-control", b"a"), (b"Server-X", b"b"), (b"C", b"1"), (b"c", b"2")]
    )
    handler = router(
        location("/", lambda request: answer, fields=fields(**{"Cache-Control": "n", "server-x": "", "C": "3"}))
    ).handle  # fmt: skip
    assert response_of(handler(request_of())).fields == [(b"Cache-Control", b"n"), (b"C", b"3")]


def test_fields_see_the_answer_they_are_added_to():
    handler = router(
        location("/", fails(410, (b"A", b"1")), fields=fields(X="$status $sent_http_a"))
    ).handle
    assert response_of(handler(request_of())).fields == [(b"A", b"1"), (b"X", b"410 1")]


def test_fields_that_a_handler_keeps_are_not_written_to():
    kept = [(b"A", b"1")]
    router(location("/", lambda request: Response(200, kept), fields=fields(B="2"))).handle(
        request_of()
    )
    assert kept == [(b"A", b"1")]


@pytest.mark.parametrize(
    ("text", "is_reusable", "is_particular"),
    [
        ("$uri", True, False),
        ("$http_x", True, True),
        ("$cookie_x", True, True),
        ("$remote_addr", False, False),
        ("$request_id", False, False),
    ],
)
def test_what_a_field_reads_says_for_whom_else_the_answer_is(
    text: str, is_reusable: bool, is_particular: bool
):
    response = response_of(router(location("/", fields=fields(X=text))).handle(request_of()))
    assert (response.validity is not None, response.is_particular) == (is_reusable, is_particular)


class Promise:
    """The validity of a decision."""

    def __init__(self, until_s: float) -> None:
        self.valid_until_s = until_s
        self.holds = True

    def still_holds(self, now_s: float) -> bool:
        return self.holds


def test_answer_holds_as_long_as_every_decision_that_led_to_it():
    first, second = Promise(5.0), Promise(3.0)
    handler = router(
        location("/a", lambda request: Redispatch(b"/b", first)),
        location("/b", lambda request: Redispatch(b"@c", second)),
        location("@c"),
    ).handle
    validity = response_of(handler(request_of(b"/a"))).validity
    assert validity is not None
    assert validity.valid_until_s == 3.0
    assert validity.still_holds(0.0)
    second.holds = False
    assert not validity.still_holds(0.0)


def test_answer_behind_a_decision_that_holds_once_is_used_once():
    handler = router(
        location("/a", lambda request: Redispatch(b"/b", None)),
        location("/b"),
    ).handle
    request = request_of(b"/a")
    assert response_of(handler(request)).validity is None
    assert request.reuse is Reuse.NEVER


# --------------------------------------------------------------------------- pages for failures


@pytest.mark.parametrize("page", ["/page", "@page"])
def test_page_has_the_status_and_the_fields_of_the_failure(page: str):
    handler = with_pages(
        fails(401, (b"WWW-Authenticate", b"Basic")), location(page), page=page, status=401
    )
    response = response_of(handler(request_of(b"/a")))
    assert (response.status, response.explanation) == (401, None)
    assert response.fields == [(b"WWW-Authenticate", b"Basic")]
    assert text_of(response).startswith(page.encode())


def test_page_gets_the_fields_of_the_location_that_answers_it():
    page = location("/page", fields=fields(X="page $status"))
    assert response_of(with_pages(fails(), page)(request_of(b"/a"))).fields == [(b"X", b"page 404")]


def test_sentence_is_put_on_the_usual_page():
    response = response_of(with_pages(fails(), page="Not here.")(request_of(b"/a")))
    assert (response.status, response.explanation) == (404, "Not here.")


def test_page_for_another_status_is_not_shown():
    response = response_of(with_pages(fails(403), location("/page"))(request_of(b"/a")))
    assert (response.status, response.explanation) == (403, "It failed.")


def test_failure_with_content_of_its_own_keeps_it():
    handler = with_pages(lambda request: Response(404, [], (b"own",)), location("/page"))
    assert text_of(handler(request_of(b"/a"))) == b"own"


BROKEN_PAGES: dict[str, Handler] = {
    "missing": fails(404),
    "at fault": fails(500),
    "missing, in a thread": lambda request: Deferred(lambda: failure(404, "x"), "lane"),
    "missing, after a thread": lambda request: Deferred(lambda: lambda: failure(404, "x"), "lane"),
    "failing for ever": lambda request: Redispatch(b"/page", None),
}


@pytest.mark.parametrize("page", BROKEN_PAGES.values(), ids=BROKEN_PAGES.keys())
def test_page_that_fails_itself_leaves_the_usual_one(page: Handler):
    broken = location("/page", page, error_pages=compile_pages([(404, "/page"), (500, "/page")]))
    handler = with_pages(fails(404, (b"Allow", b"GET")), broken)
    response = finished(handler(request_of(b"/a")))
    assert (response.status, response.explanation) == (404, "It failed.")
    assert response.fields == [(b"Allow", b"GET")]


def test_page_may_be_a_failure_with_content_of_its_own():
    """`return 404 "gone"` in a location is an answer, as in nginx."""
    page = location("/page", lambda request: Response(410, [], (b"own",)))
    response = finished(with_pages(fails(404), page)(request_of(b"/a")))
    assert response.status == 404
    assert text_of(response) == b"own"


def test_page_that_redirects_does_so():
    page = location("/page", lambda request: Response(302, [(b"Location", b"/x")]))
    response = finished(with_pages(fails(404), page)(request_of(b"/a")))
    assert (response.status, response.fields) == (302, [(b"Location", b"/x")])


def test_usual_page_in_the_place_of_one_that_is_missing_is_not_kept():
    """It may be there the next time: `respond = 404` is for ever, and the lack of its page is not."""

    def for_ever(request: Request) -> Response:
        response = failure(404, "No.")
        response.validity = ALWAYS
        return response

    response = response_of(with_pages(for_ever, location("/page", fails()))(request_of(b"/a")))
    assert response.validity is None


def test_page_narrows_the_answer_as_the_failure_did():
    def fail(request: Request) -> Response:
        request.narrow(Reuse.BY_HEAD)
        response = failure(404, "No.")
        response.validity = ALWAYS
        return response

    response = response_of(with_pages(fail, location("/page"))(request_of(b"/a")))
    assert response.is_particular
    narrowing = location("/page", fields=fields(X="$remote_addr"))
    assert response_of(with_pages(fail, narrowing)(request_of(b"/a"))).validity is None


def test_request_id_is_that_of_the_request_and_the_response_is_known_to_its_log():
    request = request_of(b"/a")
    handler = with_pages(fails(), location("/page", fields=fields(X="$request_id")))
    response = response_of(handler(request))
    assert request.variables is not None
    assert response.fields == [(b"X", next(iter(request.variables.values())))]
    assert request.response is response


def test_page_is_noted_where_the_location_that_answers_it_says():
    request = request_of(b"/a")
    journal = object()
    with_pages(fails(), location("/page", journal=journal))(request)
    assert request.journal is journal
