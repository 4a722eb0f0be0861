"""The twin of chute.semantics.preconditions."""

from __future__ import annotations

import pytest

from chute.semantics.messages import RequestHead
from chute.semantics.preconditions import Outcome, evaluate, if_range_allows
from chute.semantics.validators import EntityTag

TAG = EntityTag(b"now")
MODIFIED_S = 784111777
BEFORE = b"Sun, 06 Nov 1994 08:49:36 GMT"
EQUAL = b"Sun, 06 Nov 1994 08:49:37 GMT"
AFTER = b"Sun, 06 Nov 1994 08:49:38 GMT"
FAR_FUTURE = b"Fri, 31 Dec 9999 23:59:59 GMT"

PROCEED, NOT_MODIFIED, FAILED = Outcome.PROCEED, Outcome.NOT_MODIFIED, Outcome.FAILED

GARBAGE = [
    pytest.param(b"", id="empty"),
    pytest.param(b"${jndi:ldap://example.invalid/a}", id="jndi"),
    pytest.param(b"Sun, 06 Nov 1994 08:49:37.500 GMT", id="fractional seconds"),
    pytest.param(b"now", id="tag without quotation marks"),
]


def request_head(*field_lines: tuple[bytes, bytes], method: bytes = b"GET") -> RequestHead:
    return RequestHead(method, b"/", 1, [(b"host", b"example.test"), *field_lines])


def outcome_of(*field_lines: tuple[bytes, bytes], method: bytes = b"GET") -> Outcome:
    head = request_head(*field_lines, method=method)
    return evaluate(head, entity_tag=TAG, modified_s=MODIFIED_S)


def test_evaluate_proceeds_without_preconditions() -> None:
    assert outcome_of((b"accept", b"*/*"), (b"range", b"bytes=0-1")) is PROCEED


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"*", PROCEED, id="asterisk"),
        pytest.param(b'"now"', PROCEED, id="the tag"),
        pytest.param(b'"old", "now"', PROCEED, id="the tag in a list"),
        pytest.param(b'"old"', FAILED, id="another tag"),
        pytest.param(b'W/"now"', FAILED, id="weak tags never match strongly"),
    ],
)
def test_evaluate_if_match(method: bytes, value: bytes, expected: Outcome) -> None:
    assert outcome_of((b"if-match", value), method=method) is expected


@pytest.mark.parametrize(
    ("value", "for_get", "for_put"),
    [
        pytest.param(b"*", NOT_MODIFIED, FAILED, id="asterisk"),
        pytest.param(b'"now"', NOT_MODIFIED, FAILED, id="the tag"),
        pytest.param(b'W/"now"', NOT_MODIFIED, FAILED, id="the tag marked weak"),
        pytest.param(b'"old", "now"', NOT_MODIFIED, FAILED, id="the tag in a list"),
        pytest.param(b'"old"', PROCEED, PROCEED, id="another tag"),
        pytest.param(b'"nownow"', PROCEED, PROCEED, id="a longer tag"),
    ],
)
def test_evaluate_if_none_match(value: bytes, for_get: Outcome, for_put: Outcome) -> None:
    outcomes = [
        outcome_of((b"if-none-match", value), method=method)
        for method in (b"GET", b"HEAD", b"PUT", b"DELETE")
    ]
    assert outcomes == [for_get, for_get, for_put, for_put]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(BEFORE, PROCEED, id="modified afterwards"),
        pytest.param(EQUAL, NOT_MODIFIED, id="same second"),
        pytest.param(AFTER, NOT_MODIFIED, id="not modified afterwards"),
        pytest.param(FAR_FUTURE, NOT_MODIFIED, id="a date in the future is a date"),
        pytest.param(b"Thu, 01 Jan 1970 00:00:00 GMT", PROCEED, id="1970"),
        pytest.param(b"Sunday, 06-Nov-94 08:49:37 GMT", NOT_MODIFIED, id="rfc850-date"),
    ],
)
def test_evaluate_if_modified_since(value: bytes, expected: Outcome) -> None:
    assert outcome_of((b"if-modified-since", value)) is expected


def test_evaluate_uses_the_clock_for_two_digit_years() -> None:
    head = request_head((b"if-modified-since", b"Sunday, 06-Nov-60 08:49:37 GMT"))
    century_ago = evaluate(head, entity_tag=TAG, modified_s=MODIFIED_S, now=MODIFIED_S)
    assert century_ago is PROCEED


def test_evaluate_ignores_if_modified_since_for_other_methods() -> None:
    assert outcome_of((b"if-modified-since", AFTER), method=b"PUT") is PROCEED


@pytest.mark.parametrize("method", [b"GET", b"PUT"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(BEFORE, FAILED, id="modified afterwards"),
        pytest.param(EQUAL, PROCEED, id="same second"),
        pytest.param(AFTER, PROCEED, id="not modified afterwards"),
    ],
)
def test_evaluate_if_unmodified_since(method: bytes, value: bytes, expected: Outcome) -> None:
    assert outcome_of((b"if-unmodified-since", value), method=method) is expected


@pytest.mark.parametrize(
    ("field_lines", "expected"),
    [
        pytest.param(
            [(b"if-modified-since", AFTER), (b"if-none-match", b'"old"')],
            PROCEED,
            id="If-None-Match silences If-Modified-Since",
        ),
        pytest.param(
            [(b"if-modified-since", AFTER), (b"if-none-match", b"garbage")],
            PROCEED,
            id="even when malformed",
        ),
        pytest.param(
            [(b"if-unmodified-since", BEFORE), (b"if-match", b'"now"')],
            PROCEED,
            id="If-Match silences If-Unmodified-Since",
        ),
        pytest.param(
            [(b"if-none-match", b'"now"'), (b"if-match", b'"old"')],
            FAILED,
            id="If-Match comes before If-None-Match",
        ),
        pytest.param(
            [(b"if-none-match", b'"now"'), (b"if-match", b'"now"')],
            NOT_MODIFIED,
            id="both may hold",
        ),
        pytest.param(
            [(b"if-modified-since", AFTER), (b"if-unmodified-since", BEFORE)],
            FAILED,
            id="If-Unmodified-Since comes before If-Modified-Since",
        ),
        pytest.param(
            [(b"if-none-match", b'"old"'), (b"if-none-match", b'"now"')],
            NOT_MODIFIED,
            id="repeated lines are one list",
        ),
        pytest.param(
            [(b"if-modified-since", AFTER), (b"if-modified-since", AFTER)],
            PROCEED,
            id="a repeated date is malformed",
        ),
    ],
)
def test_evaluate_follows_the_order_of_the_rfc(
    field_lines: list[tuple[bytes, bytes]], expected: Outcome
) -> None:
    assert outcome_of(*field_lines) is expected


@pytest.mark.parametrize(
    "name", [b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"]
)
@pytest.mark.parametrize("value", GARBAGE)
def test_t20_evaluate_ignores_garbage_on_retrieval(name: bytes, value: bytes) -> None:
    assert outcome_of((name, value)) is PROCEED


@pytest.mark.parametrize("value", GARBAGE)
def test_evaluate_fails_a_malformed_if_match_on_change(value: bytes) -> None:
    """Carrying on could overwrite an update the client meant to guard against."""
    assert outcome_of((b"if-match", value), method=b"PUT") is FAILED


@pytest.mark.parametrize("method", [b"OPTIONS", b"TRACE", b"CONNECT"])
def test_evaluate_ignores_preconditions_of_methods_without_a_representation(method: bytes) -> None:
    assert outcome_of((b"if-match", b'"old"'), method=method) is PROCEED


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        pytest.param(b"if-match", b'"now"', FAILED, id="no tag matches"),
        pytest.param(b"if-match", b"*", PROCEED, id="but there is a representation"),
        pytest.param(b"if-none-match", b'"now"', PROCEED, id="so none matches"),
        pytest.param(b"if-none-match", b"*", NOT_MODIFIED, id="yet the asterisk does"),
        pytest.param(b"if-modified-since", AFTER, PROCEED, id="no date to compare"),
        pytest.param(b"if-unmodified-since", BEFORE, PROCEED, id="no date to fail"),
    ],
)
def test_evaluate_without_validators(name: bytes, value: bytes, expected: Outcome) -> None:
    outcome = evaluate(request_head((name, value)), entity_tag=None, modified_s=None)
    assert outcome is expected


@pytest.mark.parametrize("modified_s", [0, -1, 2**31, 2**40])
def test_t19_evaluate_survives_odd_modification_times(modified_s: int) -> None:
    head = request_head((b"if-modified-since", b"Wed, 31 Dec 1969 23:59:58 GMT"))
    assert evaluate(head, entity_tag=None, modified_s=modified_s) is PROCEED


def test_if_range_allows_when_absent() -> None:
    assert if_range_allows(request_head(), entity_tag=TAG, modified_s=MODIFIED_S) is True


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b'"now"', True, id="the tag"),
        pytest.param(b'"old"', False, id="stale tag"),
        pytest.param(b'W/"now"', False, id="weak tag"),
        pytest.param(b'"nownow"', False, id="superset of the tag"),
        pytest.param(b'"now", "old"', False, id="a list is malformed here"),
        pytest.param(b"*", False, id="asterisk is malformed here"),
        pytest.param(EQUAL, True, id="the date"),
        pytest.param(b"Sun Nov  6 08:49:37 1994", True, id="the date in another form"),
        pytest.param(BEFORE, False, id="earlier date"),
        pytest.param(AFTER, False, id="later date"),
        *[pytest.param(case.values[0], False, id=f"garbage, {case.id}") for case in GARBAGE],
    ],
)
def test_t18_if_range_allows_only_what_is_there_now(value: bytes, expected: bool) -> None:
    head = request_head((b"if-range", value))
    allows = if_range_allows(head, entity_tag=TAG, modified_s=MODIFIED_S, now=MODIFIED_S + 1)
    assert allows is expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param(MODIFIED_S - 60, False, id="dated in the future"),
        pytest.param(MODIFIED_S, False, id="the second is not over"),
        pytest.param(MODIFIED_S + 1, True, id="the second is over"),
        pytest.param(None, True, id="no clock"),
    ],
)
def test_t18_if_range_distrusts_a_date_whose_second_is_not_over(
    now: int | None, expected: bool
) -> None:
    head = request_head((b"if-range", EQUAL))
    allows = if_range_allows(head, entity_tag=TAG, modified_s=MODIFIED_S, now=now)
    assert allows is expected


@pytest.mark.parametrize("value", [b'"now"', EQUAL, b""])
def test_t18_if_range_allows_nothing_without_validators(value: bytes) -> None:
    head = request_head((b"if-range", value))
    assert if_range_allows(head, entity_tag=None, modified_s=None) is False


def test_t18_if_range_refuses_a_weak_current_tag() -> None:
    head = request_head((b"if-range", b'W/"now"'))
    weak = EntityTag(b"now", is_weak=True)
    assert if_range_allows(head, entity_tag=weak, modified_s=MODIFIED_S) is False
