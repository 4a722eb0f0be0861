"""The twin of chute.semantics.dates."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chute.semantics.dates import format_http_date, parse_http_date

RFC_EXAMPLE_S = 784111777
FIRST_SECOND = -62135596800
LAST_SECOND = 253402300799
MIDDAY_2026 = 1782043200


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(0, b"Thu, 01 Jan 1970 00:00:00 GMT", id="epoch"),
        pytest.param(RFC_EXAMPLE_S, b"Sun, 06 Nov 1994 08:49:37 GMT", id="the example of the RFC"),
        pytest.param(-1, b"Wed, 31 Dec 1969 23:59:59 GMT", id="before the epoch"),
        pytest.param(2**31, b"Tue, 19 Jan 2038 03:14:08 GMT", id="beyond 2038"),
        pytest.param(2**32, b"Sun, 07 Feb 2106 06:28:16 GMT", id="beyond 32 bits"),
        pytest.param(951782400, b"Tue, 29 Feb 2000 00:00:00 GMT", id="leap day"),
        pytest.param(FIRST_SECOND, b"Mon, 01 Jan 0001 00:00:00 GMT", id="first of year 1"),
        pytest.param(LAST_SECOND, b"Fri, 31 Dec 9999 23:59:59 GMT", id="last of year 9999"),
        pytest.param(FIRST_SECOND - 1, None, id="before year 1"),
        pytest.param(LAST_SECOND + 1, None, id="after year 9999"),
        pytest.param(2**63, None, id="beyond any clock"),
    ],
)
def test_t19_format_gives_an_imf_fixdate_or_none(seconds: int, expected: bytes | None) -> None:
    assert format_http_date(seconds) == expected


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 GMT", id="IMF-fixdate"),
        pytest.param(b"Sunday, 06-Nov-94 08:49:37 GMT", id="rfc850-date"),
        pytest.param(b"Sun Nov  6 08:49:37 1994", id="asctime-date"),
        pytest.param(b"Mon, 06 Nov 1994 08:49:37 GMT", id="wrong but well spelt day name"),
    ],
)
def test_parse_reads_all_three_forms(value: bytes) -> None:
    assert parse_http_date(value) == RFC_EXAMPLE_S


def test_parse_reads_an_asctime_date_with_two_digits() -> None:
    assert parse_http_date(b"Wed Nov 16 08:49:37 1994") == RFC_EXAMPLE_S + 10 * 86400


def test_parse_folds_a_leap_second_into_the_next_minute() -> None:
    assert parse_http_date(b"Sat, 31 Dec 2016 23:59:60 GMT") == 1483228800


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"${jndi:ldap://example.invalid/a}", id="jndi"),
        pytest.param(b"784111777", id="a bare number"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37.123 GMT", id="fractional seconds"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 UTC", id="another name for GMT"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 +0000", id="numeric zone"),
        pytest.param(b"sun, 06 nov 1994 08:49:37 gmt", id="lower case"),
        pytest.param(b"Sun, 6 Nov 1994 08:49:37 GMT", id="one digit for the day"),
        pytest.param(b"Sun, 31 Feb 1994 08:49:37 GMT", id="a day that does not exist"),
        pytest.param(b"Sun, 00 Nov 1994 08:49:37 GMT", id="day zero"),
        pytest.param(b"Sun, 06 Nov 0000 08:49:37 GMT", id="year zero"),
        pytest.param(b"Sun, 06 Nov 1994 24:00:00 GMT", id="hour 24"),
        pytest.param(b"Sun, 06 Nov 1994 08:60:00 GMT", id="minute 60"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:61 GMT", id="second 61"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 GMT; length=5", id="something behind it"),
        pytest.param(b"Sun, 06 Nov 1994 08:49:37 GMT\n", id="line feed behind it"),
        pytest.param(b"Sunday, 31-Feb-94 08:49:37 GMT", id="rfc850 day that does not exist"),
        pytest.param(b"Sunda, 06-Nov-94 08:49:37 GMT", id="misspelt long day"),
        pytest.param(b"Sun Nov 6 08:49:37 1994", id="asctime without its padding"),
        pytest.param("Sun, ٠٦ Nov 1994 08:49:37 GMT".encode(), id="digits of another script"),
    ],
)
def test_t20_parse_refuses_garbage(value: bytes) -> None:
    assert parse_http_date(value) is None


@pytest.mark.parametrize(
    ("value", "now", "year"),
    [
        pytest.param(b"Sunday, 06-Nov-94 08:49:37 GMT", MIDDAY_2026, 1994, id="past century"),
        pytest.param(b"Sunday, 06-Nov-24 08:49:37 GMT", MIDDAY_2026, 2024, id="just past"),
        pytest.param(b"Sunday, 06-Nov-75 08:49:37 GMT", MIDDAY_2026, 2075, id="49 years ahead"),
        pytest.param(b"Sunday, 01-Jan-76 00:00:00 GMT", MIDDAY_2026, 2076, id="not quite 50 years"),
        pytest.param(b"Sunday, 06-Nov-76 08:49:37 GMT", MIDDAY_2026, 1976, id="just over 50 years"),
        pytest.param(b"Sunday, 06-Nov-77 08:49:37 GMT", MIDDAY_2026, 1977, id="51 years ahead"),
        pytest.param(b"Sunday, 01-Jan-00 00:00:00 GMT", 4102444799, 2100, id="turn of the century"),
        pytest.param(b"Sunday, 06-Nov-70 08:49:37 GMT", None, 1970, id="no clock, 70"),
        pytest.param(b"Sunday, 06-Nov-69 08:49:37 GMT", None, 2069, id="no clock, 69"),
    ],
)
def test_parse_applies_the_fifty_year_rule(value: bytes, now: int | None, year: int) -> None:
    seconds = parse_http_date(value, now=now)
    assert seconds is not None
    assert datetime.fromtimestamp(seconds, UTC).year == year


def test_parse_refuses_a_leap_day_in_a_century_without_one() -> None:
    assert parse_http_date(b"Monday, 29-Feb-00 00:00:00 GMT", now=4102444799) is None


@given(st.integers(FIRST_SECOND, LAST_SECOND))
def test_format_and_parse_are_inverse(seconds: int) -> None:
    rendered = format_http_date(seconds)
    assert rendered is not None
    assert parse_http_date(rendered) == seconds


@given(st.integers(FIRST_SECOND, LAST_SECOND))
def test_format_agrees_with_the_standard_library(seconds: int) -> None:
    moment = datetime.fromtimestamp(0, UTC).fromordinal(719163 + seconds // 86400)
    moment = moment.replace(tzinfo=UTC, hour=seconds % 86400 // 3600)
    moment = moment.replace(minute=seconds % 3600 // 60, second=seconds % 60)
    assert format_http_date(seconds) == format_datetime(moment, usegmt=True).encode()


@given(st.binary(max_size=64))
def test_parse_never_raises(value: bytes) -> None:
    assert parse_http_date(value) is None or len(value) >= 24
