"""Pages about failures, in the form that the client would rather read."""

from __future__ import annotations

import json

import pytest

from chute.exchange import Response, failure
from chute.middleware.error_pages import with_page

WHY = "There is no file with this name."


def content_of(response: Response) -> bytes:
    (content,) = response.pieces
    assert isinstance(content, bytes)
    return content


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, b"text/html; charset=utf-8"),
        (b"*/*", b"text/html; charset=utf-8"),
        (b"text/html,application/xhtml+xml,*/*;q=0.8", b"text/html; charset=utf-8"),
        (b"application/json", b"application/json"),
        (b"application/json, text/html;q=0.9", b"application/json"),
        (b"text/plain", b"text/plain; charset=utf-8"),
        (b"text/*;q=0.5, application/json;q=0.4", b"text/html; charset=utf-8"),
        (b"image/png", b"text/html; charset=utf-8"),
        (b"\xff;;;,", b"text/html; charset=utf-8"),
    ],
)
def test_page_is_of_the_accepted_type(accept: bytes | None, content_type: bytes):
    response = with_page(failure(404, WHY), accept)
    assert dict(response.fields)[b"Content-Type"] == content_type


@pytest.mark.parametrize("accept", [b"text/html", b"text/plain"])
def test_page_says_what_and_why(accept: bytes):
    page = content_of(with_page(failure(404, WHY), accept)).decode()
    for part in ("404", "Not Found", WHY):
        assert part in page


def test_json_page_has_the_facts_by_name():
    page = json.loads(content_of(with_page(failure(404, WHY), b"application/json")))
    assert page == {"status": 404, "error": "Not Found", "detail": WHY}


def test_fields_of_the_failure_are_kept():
    response = with_page(failure(405, "No.", [(b"Allow", b"GET")]), b"application/json")
    assert response.status == 405
    assert response.fields == [(b"Content-Type", b"application/json"), (b"Allow", b"GET")]


@pytest.mark.parametrize(
    "response",
    [
        Response(200, [], (b"content",)),
        Response(304, []),
        Response(404, [], (b"a page of my own",)),
    ],
    ids=["content", "none", "own page"],
)
def test_other_responses_come_back_as_they_are(response: Response):
    assert with_page(response, b"text/html") is response


def test_unregistered_status_has_a_page_too():
    assert b"599" in content_of(with_page(failure(599, "Odd."), None))
