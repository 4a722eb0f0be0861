"""How the pages of a site for failures are written, and how one takes the place of a failure."""

from __future__ import annotations

import pytest

from chute.errors import ConfigError
from chute.exchange import Request, Response, failure
from chute.routing.answers import ALWAYS
from chute.routing.error_pages import (
    EXAMPLE,
    ErrorPage,
    as_failure,
    compile_pages,
    parse_page,
    parse_statuses,
    request_for_page,
)
from chute.semantics.messages import RequestHead
from routed import ENDS, request_of


@pytest.mark.parametrize(
    ("text", "statuses"),
    [("404", (404,)), ("502 503", (502, 503)), ("500  404   403", (500, 404, 403))],
)
def test_statuses_are_read(text: str, statuses: tuple[int, ...]):
    assert parse_statuses(text) == statuses


@pytest.mark.parametrize(
    "text", ["", "200", "304", "404,403", "40", "4040", "499", "599", "404 ", "4xx"]
)
def test_what_is_no_status_of_a_failure_is_refused(text: str):
    with pytest.raises(ConfigError) as error:
        parse_statuses(text)
    assert error.value.hint == EXAMPLE


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("/errors/404.html", ErrorPage(target=b"/errors/404.html")),
        ("/e?status=404", ErrorPage(target=b"/e?status=404")),
        ("/with a blank", ErrorPage(target=b"/with a blank")),
        ("@maintenance", ErrorPage(target=b"@maintenance")),
        ("Members only.", ErrorPage(sentence="Members only.")),
        ("@you: not here", ErrorPage(sentence="@you: not here")),
    ],
)
def test_page_is_read(text: str, page: ErrorPage):
    assert parse_page(text) == page


@pytest.mark.parametrize("text", ["", "404.html", "Sorry"])
def test_what_is_neither_path_nor_sentence_is_refused(text: str):
    with pytest.raises(ConfigError) as error:
        parse_page(text)
    assert error.value.hint == EXAMPLE


def test_pages_are_found_by_status():
    pages = compile_pages([(404, "/a"), (403, "b c")])
    assert pages == {404: ErrorPage(target=b"/a"), 403: ErrorPage(sentence="b c")}


def test_page_is_asked_for_without_conditions_and_range_and_with_everything_else():
    asked = request_of(
        b"/a?x=1",
        (b"range", b"bytes=0-1"),
        (b"if-none-match", b"*"),
        (b"if-match", b'"x"'),
        (b"if-modified-since", b"Mon, 23 Nov 2026 05:45:28 GMT"),
        (b"if-unmodified-since", b"Mon, 23 Nov 2026 05:45:28 GMT"),
        (b"if-range", b'"x"'),
        (b"accept-language", b"de"),
        (b"iffy", b"1"),
    )
    asked.site, asked.captures = b"s", (b"c",)
    page = request_for_page(asked)
    assert dict(page.head.fields) == {b"host": b"h", b"accept-language": b"de", b"iffy": b"1"}
    assert (page.site, page.captures, page.ends) == (b"s", (b"c",), ENDS)
    assert (page.path, page.query, page.head.request_target) == (b"/a", b"x=1", b"/a?x=1")
    assert asked.head.field_value(b"range") == b"bytes=0-1", "the request itself stays what it was"


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (b"GET", b"GET"),
        (b"HEAD", b"HEAD"),
        (b"POST", b"GET"),
        (b"DELETE", b"GET"),
        (b"get", b"GET"),
    ],
)
def test_page_is_asked_for_with_get(method: bytes, expected: bytes):
    assert request_for_page(request_of(method=method)).head.method == expected


def test_page_has_no_content_to_wait_for():
    head = RequestHead(
        b"POST", b"/", 1, [], content_length=5, is_chunked=True, expects_continue=True
    )
    page = request_for_page(Request(head, b"/", None, b"h"))
    assert not page.head.has_content
    assert not page.head.expects_continue


def test_failure_keeps_its_status_and_the_fields_that_explain_it():
    original = failure(405, "No.", [(b"Allow", b"GET"), (b"Cache-Control", b"no-store")])
    page = Response(
        200,
        [
            (b"Content-Type", b"text/html"),
            (b"cache-control", b"max-age=60"),
            (b"Content-Language", b"de"),
            (b"ETag", b'"x"'),
            (b"Last-Modified", b"Mon, 23 Nov 2026 05:45:28 GMT"),
            (b"Accept-Ranges", b"bytes"),
            (b"Content-Disposition", b"inline"),
        ],
        (b"page",),
        validity=ALWAYS,
    )
    answer = as_failure(page, original)
    assert (answer.status, answer.pieces) == (405, (b"page",))
    assert answer.fields == [
        (b"Allow", b"GET"),
        (b"Cache-Control", b"no-store"),
        (b"Content-Type", b"text/html"),
        (b"Content-Language", b"de"),
    ]


@pytest.mark.parametrize("of_page", [None, ALWAYS])
@pytest.mark.parametrize("of_original", [None, ALWAYS])
def test_failure_with_a_page_holds_as_long_as_both(of_page: object, of_original: object):
    original = failure(404, "No.")
    original.validity = of_original  # type: ignore[assignment]
    page = Response(200, [], (b"page",), validity=of_page)  # type: ignore[arg-type]
    both = ALWAYS if of_page and of_original else None
    assert as_failure(page, original).validity is both


def test_id_of_the_request_is_the_pages_too():
    asked = request_of()
    page = request_for_page(asked)
    assert page.variables is asked.variables
