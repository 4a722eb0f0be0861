"""The twin of chute.semantics.validators."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chute.semantics.validators import (
    ANY,
    EntityTag,
    entity_tag_for_file,
    parse_entity_tag,
    parse_entity_tag_list,
    strong_match,
    weak_match,
)

A = EntityTag(b"a")
WEAK_A = EntityTag(b"a", is_weak=True)
B = EntityTag(b"b")

GARBAGE = [
    pytest.param(b"", id="empty"),
    pytest.param(b"a", id="no quotation marks"),
    pytest.param(b'"a', id="not closed"),
    pytest.param(b'a"', id="not opened"),
    pytest.param(b'w/"a"', id="lower case weak mark"),
    pytest.param(b'W/ "a"', id="space within"),
    pytest.param(b'W"a"', id="half a weak mark"),
    pytest.param(b'"a b"', id="space in the opaque part"),
    pytest.param(b'"a"b"', id="quotation mark in the opaque part"),
    pytest.param(b'"a\x7f"', id="delete character"),
    pytest.param(b'"a"\n', id="line feed behind it"),
    pytest.param(b"${jndi:ldap://example.invalid/a}", id="jndi"),
]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b'"a"', A, id="strong"),
        pytest.param(b'W/"a"', WEAK_A, id="weak"),
        pytest.param(b'""', EntityTag(b""), id="empty opaque part"),
        pytest.param(b'"a,b"', EntityTag(b"a,b"), id="comma inside"),
        pytest.param(b'"\xe9"', EntityTag(b"\xe9"), id="obs-text"),
        pytest.param(b'"a\\"', EntityTag(b"a\\"), id="a backslash escapes nothing"),
    ],
)
def test_parse_entity_tag_reads_one_tag(value: bytes, expected: EntityTag) -> None:
    assert parse_entity_tag(value) == expected


@pytest.mark.parametrize("value", [*GARBAGE, pytest.param(b'"a", "b"', id="a list")])
def test_t20_parse_entity_tag_refuses_garbage(value: bytes) -> None:
    assert parse_entity_tag(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b'"a"', (A,), id="one"),
        pytest.param(b'"a", W/"a","b"', (A, WEAK_A, B), id="several in order"),
        pytest.param(b'"a"\t , \t"b"', (A, B), id="white space around the comma"),
        pytest.param(b', ,"a",, "b" ,', (A, B), id="empty members"),
        pytest.param(b'"a,b", "b"', (EntityTag(b"a,b"), B), id="comma inside a tag"),
    ],
)
def test_parse_entity_tag_list_reads_all_members(
    value: bytes, expected: tuple[EntityTag, ...]
) -> None:
    assert parse_entity_tag_list(value) == expected


def test_parse_entity_tag_list_knows_the_asterisk() -> None:
    assert parse_entity_tag_list(b"*") is ANY


@pytest.mark.parametrize(
    "value",
    [
        *GARBAGE,
        pytest.param(b", ,", id="only empty members"),
        pytest.param(b'"a", *', id="asterisk in a list"),
        pytest.param(b'"a" "b"', id="no comma"),
        pytest.param(b'"a", b', id="one bad member"),
        pytest.param(b" " * 100_000 + b"x", id="white space that invites backtracking"),
    ],
)
def test_t20_parse_entity_tag_list_refuses_garbage(value: bytes) -> None:
    assert parse_entity_tag_list(value) is None


@pytest.mark.parametrize(
    ("one", "other", "is_strong", "is_weak"),
    [
        pytest.param(WEAK_A, WEAK_A, False, True, id="both weak"),
        pytest.param(WEAK_A, EntityTag(b"b", is_weak=True), False, False, id="weak and different"),
        pytest.param(WEAK_A, A, False, True, id="first weak"),
        pytest.param(A, WEAK_A, False, True, id="second weak"),
        pytest.param(A, A, True, True, id="both strong"),
        pytest.param(A, B, False, False, id="different"),
    ],
)
def test_match_follows_the_table_of_the_rfc(
    one: EntityTag, other: EntityTag, is_strong: bool, is_weak: bool
) -> None:
    assert (strong_match(one, other), weak_match(one, other)) == (is_strong, is_weak)


@pytest.mark.parametrize(
    ("mtime_ns", "size", "expected"),
    [
        pytest.param(0, 0, b'"0-0"', id="epoch and empty"),
        pytest.param(255, 4096, b'"ff-1000"', id="hexadecimal"),
        pytest.param(-255, 16, b'"-ff-10"', id="before the epoch"),
        pytest.param(2**64, 2**40, b'"10000000000000000-10000000000"', id="far in the future"),
    ],
)
def test_t19_entity_tag_for_file_takes_any_time(mtime_ns: int, size: int, expected: bytes) -> None:
    assert entity_tag_for_file(mtime_ns, size).encoded == expected


def test_t19_entity_tag_tells_rewrites_within_one_second_apart() -> None:
    second_ns = 1_700_000_000 * 10**9
    tags = [entity_tag_for_file(second_ns + offset_ns, 10) for offset_ns in (0, 1, 79_000)]
    assert not any(weak_match(one, other) for one, other in pairwise(tags))


def test_encoded_marks_a_weak_tag() -> None:
    assert WEAK_A.encoded == b'W/"a"'


@given(st.integers(-(2**63), 2**63), st.integers(0, 2**63))
def test_entity_tag_for_file_survives_the_wire(mtime_ns: int, size: int) -> None:
    tag = entity_tag_for_file(mtime_ns, size)
    assert parse_entity_tag(tag.encoded) == tag


@given(st.binary(max_size=60))
def test_parse_entity_tag_list_agrees_with_parse_entity_tag(value: bytes) -> None:
    tag = parse_entity_tag(value)
    assert tag is None or parse_entity_tag_list(value) == (tag,)
