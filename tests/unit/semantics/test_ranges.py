"""The twin of chute.semantics.ranges."""

from __future__ import annotations

import pytest

from chute.semantics.ranges import (
    RANGE_VALUE_BYTES_MAX,
    RANGES_MAX,
    IntRange,
    RangeSpec,
    Selected,
    Selection,
    SuffixRange,
    content_range,
    parse_ranges,
    select_ranges,
    unsatisfied_range,
)

IGNORED, UNSATISFIABLE = Selection.IGNORED, Selection.UNSATISFIABLE
HUNDRED_DIGITS = b"9" * 100

MALFORMED = [
    pytest.param(b"", id="empty"),
    pytest.param(b"bytes", id="only a unit"),
    pytest.param(b"bytes=", id="no range"),
    pytest.param(b"bytes=,", id="only empty members"),
    pytest.param(b"bytes = 0-1", id="space before the equals sign"),
    pytest.param(b" bytes=0-1", id="space before the unit"),
    pytest.param(b"bytes:0-1", id="colon"),
    pytest.param(b"items=0-1", id="another unit"),
    pytest.param(b"bytesize=0-1", id="a unit that begins alike"),
    pytest.param(b"bytes=5-4", id="last before first"),
    pytest.param(b"bytes=0-1,5-4", id="last before first in second place"),
    pytest.param(b"bytes=-", id="bare hyphen"),
    pytest.param(b"bytes=5", id="no hyphen"),
    pytest.param(b"bytes=--1", id="negative suffix"),
    pytest.param(b"bytes=+1-2", id="sign"),
    pytest.param(b"bytes=1_0-20", id="underscore that int() would take"),
    pytest.param(b"bytes=0 - 1", id="space within a range"),
    pytest.param(b"bytes=0-1\n", id="line feed behind it"),
    pytest.param(b"bytes=0-1;2-3", id="semicolon"),
    pytest.param(b"bytes=0x0-0x1", id="hexadecimal"),
    pytest.param(b"bytes=a-b", id="letters"),
    pytest.param(b"bytes=\xd9\xa0-\xd9\xa1", id="digits of another script"),
    pytest.param(b"bytes=0-1, bytes=2-3", id="repeated field lines, combined"),
]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"bytes=0-4", (IntRange(0, 4),), id="closed"),
        pytest.param(b"bytes=5-", (IntRange(5, None),), id="open"),
        pytest.param(b"bytes=-5", (SuffixRange(5),), id="suffix"),
        pytest.param(b"bytes=4-4", (IntRange(4, 4),), id="one byte"),
        pytest.param(b"BYTES=0-4", (IntRange(0, 4),), id="unit in upper case"),
        pytest.param(
            b"bytes=7-,-2,0-1", (IntRange(7, None), SuffixRange(2), IntRange(0, 1)), id="order kept"
        ),
        pytest.param(b"bytes=, 0-1 ,\t, -2,", (IntRange(0, 1), SuffixRange(2)), id="list rule"),
        pytest.param(b"bytes=" + b"0" * 200 + b"7-", (IntRange(7, None),), id="leading zeros"),
        pytest.param(b"bytes=" + b"0" * 200 + b"-", (IntRange(0, None),), id="only zeros"),
    ],
)
def test_parse_ranges_reads_well_formed_sets(value: bytes, expected: tuple[RangeSpec, ...]) -> None:
    assert parse_ranges(value) == expected


@pytest.mark.parametrize("value", MALFORMED)
def test_t15_parse_ranges_ignores_malformed_values(value: bytes) -> None:
    assert parse_ranges(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"bytes=0-0", ((0, 1),), id="first byte"),
        pytest.param(b"bytes=0-4", ((0, 5),), id="start"),
        pytest.param(b"bytes=3-6", ((3, 4),), id="middle"),
        pytest.param(b"bytes=9-9", ((9, 1),), id="last byte"),
        pytest.param(b"bytes=9-", ((9, 1),), id="from the last byte"),
        pytest.param(b"bytes=0-", ((0, 10),), id="everything"),
        pytest.param(b"bytes=5-99", ((5, 5),), id="last-pos behind the end"),
        pytest.param(b"bytes=-1", ((9, 1),), id="suffix of one"),
        pytest.param(b"bytes=-10", ((0, 10),), id="suffix of all"),
        pytest.param(b"bytes=-11", ((0, 10),), id="suffix longer than the file"),
        pytest.param(b"bytes=10-", UNSATISFIABLE, id="first-pos at the end"),
        pytest.param(b"bytes=10-12", UNSATISFIABLE, id="behind the end"),
        pytest.param(b"bytes=-0", UNSATISFIABLE, id="empty suffix"),
        pytest.param(b"bytes=-0,99-", UNSATISFIABLE, id="nothing of several"),
        pytest.param(b"bytes=18446744073709551616-", UNSATISFIABLE, id="2^64"),
        pytest.param(b"bytes=0-18446744073709551616", ((0, 10),), id="to 2^64"),
        pytest.param(b"bytes=-18446744073709551616", ((0, 10),), id="suffix of 2^64"),
        pytest.param(b"bytes=" + HUNDRED_DIGITS + b"-", UNSATISFIABLE, id="100 digits"),
        pytest.param(b"bytes=0-" + HUNDRED_DIGITS, ((0, 10),), id="to 100 digits"),
        pytest.param(b"bytes=-" + HUNDRED_DIGITS, ((0, 10),), id="suffix of 100 digits"),
        pytest.param(b"bytes=0-1,4-5", ((0, 2), (4, 2)), id="two parts"),
        pytest.param(b"bytes=8-9,0-1", ((8, 2), (0, 2)), id="in the order asked for"),
        pytest.param(b"bytes=0-1,2-3", ((0, 2), (2, 2)), id="adjacent parts stay apart"),
        pytest.param(b"bytes=0-4,2-6", ((0, 5), (2, 5)), id="overlap that adds up to the whole"),
        pytest.param(b"bytes=0-5,2-6", IGNORED, id="overlap that adds up to more"),
        pytest.param(b"bytes=0-,0-", IGNORED, id="the whole twice"),
        pytest.param(b"bytes=99-,2-3,-0", ((2, 2),), id="unsatisfiable members left out"),
    ],
)
def test_t15_select_ranges_of_ten_bytes(
    value: bytes, expected: tuple[Selected, ...] | Selection
) -> None:
    assert select_ranges(value, 10) == expected


@pytest.mark.parametrize("value", MALFORMED)
def test_t15_select_ranges_ignores_malformed_values(value: bytes) -> None:
    assert select_ranges(value, 10) is IGNORED


@pytest.mark.parametrize("value", [b"bytes=0-", b"bytes=-1", b"bytes=-0", b"bytes=5-", b"junk"])
def test_t15_select_ranges_ignores_everything_on_an_empty_representation(value: bytes) -> None:
    assert select_ranges(value, 0) is IGNORED


def test_t07_select_ranges_beyond_four_gigabytes() -> None:
    assert select_ranges(b"bytes=4294967290-", 5 * 2**30) == ((4294967290, 1073741830),)


@pytest.mark.parametrize(
    ("count", "is_ignored"),
    [
        pytest.param(RANGES_MAX, False, id="as many as allowed"),
        pytest.param(RANGES_MAX + 1, True, id="one too many"),
    ],
)
def test_t16_select_ranges_bounds_their_number(count: int, is_ignored: bool) -> None:
    value = b"bytes=" + b",".join(b"%d-%d" % (2 * i, 2 * i) for i in range(count))
    assert (select_ranges(value, 1000) is IGNORED) is is_ignored


@pytest.mark.parametrize(
    ("length", "is_ignored"),
    [
        pytest.param(RANGE_VALUE_BYTES_MAX, False, id="as long as allowed"),
        pytest.param(RANGE_VALUE_BYTES_MAX + 1, True, id="one byte too long"),
        pytest.param(100_000, True, id="100 KB"),
    ],
)
def test_t16_select_ranges_bounds_the_length_of_the_value(length: int, is_ignored: bool) -> None:
    value = b"bytes=0-1".ljust(length, b",")
    assert (select_ranges(value, 1000) is IGNORED) is is_ignored


def test_content_range_is_inclusive() -> None:
    assert content_range(0, 5, 10) == b"bytes 0-4/10"


def test_content_range_refuses_an_empty_part() -> None:
    with pytest.raises(AssertionError):
        content_range(5, 0, 10)


def test_unsatisfied_range_names_the_complete_length() -> None:
    assert unsatisfied_range(10) == b"bytes */10"
