"""Durations, sizes and rates as text and as numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chute.config.units import (
    DURATION_MAX_S,
    SIZE_MAX,
    parse_duration,
    parse_rate,
    parse_size,
    show_duration,
    show_rate,
    show_size,
)
from chute.errors import ConfigError


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        *(("75s", 75), ("1.5s", 1.5), ("500ms", 0.5), ("5m", 300), ("2h", 7200), ("1d", 86_400)),
        *(("1w", 604_800), ("1h30m", 5400), ("1h 30m", 5400), (" 1 h ", 3600), ("1m500ms", 60.5)),
        *(("0s", 0), ("0", 0), ("75", 75), ("0.25", 0.25), ("0.1s", 0.1), ("365d", 31_536_000)),
        *((75, 75), (1.5, 1.5), (0, 0), (31_536_000, 31_536_000)),
    ],
)
def test_duration_is_understood(written: str | float, seconds: float):
    assert parse_duration(written) == seconds
    assert type(parse_duration(written)) is float


@pytest.mark.parametrize(
    "written",
    [
        *(
            "",
            " ",
            "s",
            "1x",
            "1 year",
            "1y",
            "-1s",
            "+1s",
            "1h-1m",
            "1h30",
            "30 1h",
            "1,5s",
            ".5s",
        ),
        *("5.s", "1e3s", "nan", "inf", "nans", "infs", "366d", "53w", "1S", "1H", "1\u0663s"),
        *("9" * 400, "9" * 400 + "s", "1s\x00", "0x10"),
        *(-1, -0.5, float("nan"), float("inf"), 31_536_001, 10**400, True, False),
    ],
    ids=lambda written: repr(written)[:12],
)
def test_other_durations_are_refused(written: str | float):
    with pytest.raises(ConfigError) as caught:
        parse_duration(written)
    assert str(caught.value) == f"{written!r} is no duration"
    assert caught.value.hint == "write for example '75s', '500ms' or '1h30m'"


@pytest.mark.parametrize(
    ("written", "count"),
    [
        *(("10 MiB", 10 << 20), ("10MiB", 10 << 20), ("64K", 64 << 10), ("10M", 10 << 20)),
        *(("2G", 2 << 30), ("1T", 1 << 40), ("1.5 GiB", 3 << 29), ("512", 512), ("512 B", 512)),
        *(
            ("10 MB", 10**7),
            ("2 GB", 2 * 10**9),
            ("1KB", 1000),
            ("1 kB", 1000),
            ("3TB", 3 * 10**12),
        ),
        *(("64k", 64 << 10), ("1 miB", 1 << 20), ("0.5K", 512), (" 1 K ", 1024), ("0", 0)),
        *((512, 512), (0, 0), (SIZE_MAX, SIZE_MAX), (str(SIZE_MAX), SIZE_MAX)),
        ("1048576T", SIZE_MAX),
    ],
)
def test_size_is_understood(written: str | int, count: int):
    assert parse_size(written) == count
    assert type(parse_size(written)) is int


@pytest.mark.parametrize(
    "written",
    [
        *("", "K", "B", "10 Mb", "10 mb", "10 MIB", "10 Mi", "1 iB", "1 P", "1 KK", "-1", "+1"),
        *(
            "-1K",
            "1_000",
            "1,5K",
            "1.5",
            "0.3K",
            ".5K",
            "1.K",
            "1e3",
            "nan",
            "inf",
            "0x10",
            "\u0663",
        ),
        *("1048577T", str(SIZE_MAX + 1), "9" * 5000, "1.0000000000000000001", "1 K/s"),
        *(-1, SIZE_MAX + 1, 10**400, True, False),
    ],
    ids=lambda written: repr(written)[:12],
)
def test_other_sizes_are_refused(written: str | int):
    with pytest.raises(ConfigError) as caught:
        parse_size(written)
    assert str(caught.value) == f"{written!r} is no size"
    assert caught.value.hint == "write for example '512', '64K', '10 MiB' or '2 GB'"


@pytest.mark.parametrize(
    ("written", "count"),
    [
        *(("1 MiB/s", 1 << 20), ("500K/s", 500 << 10), ("1M", 1 << 20), ("1 MB/s", 10**6)),
        *(("512 /s", 512), ("0", 0), (1000, 1000)),
    ],
)
def test_rate_is_understood(written: str | int, count: int):
    assert parse_rate(written) == count


@pytest.mark.parametrize(
    "written", ["", "/s", "1K/m", "1K/s/s", "1Mb/s", "-1/s", "8 Mbit/s", -1, True, 1 << 61]
)
def test_other_rates_are_refused(written: str | int):
    with pytest.raises(ConfigError) as caught:
        parse_rate(written)
    assert str(caught.value) == f"{written!r} is no rate"
    assert caught.value.hint == "write for example '500K/s' or '1 MiB/s'"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        *((0, "0s"), (0.0, "0s"), (1, "1s"), (60, "1m"), (90, "90s"), (3600, "1h"), (5400, "90m")),
        *((86_400, "1d"), (604_800, "1w"), (0.5, "500ms"), (1.5, "1500ms"), (0.0001, "0.0001s")),
    ],
)
def test_duration_is_shown(seconds: float, shown: str):
    assert show_duration(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        *(
            (0, "0"),
            (1, "1"),
            (1000, "1000"),
            (1024, "1 KiB"),
            (1536, "1536"),
            (10 << 20, "10 MiB"),
        ),
        *((2 << 30, "2 GiB"), (1 << 40, "1 TiB"), ((1 << 20) + 1024, "1025 KiB")),
    ],
)
def test_size_is_shown(count: int, shown: str):
    assert show_size(count) == shown
    assert show_rate(count) == f"{shown}/s"


@given(
    st.one_of(
        st.floats(0, DURATION_MAX_S),
        st.integers(0, int(DURATION_MAX_S)),
        st.integers(0, 10**10).map(lambda milliseconds: milliseconds / 1000),
    )
)
def test_shown_duration_is_read_back(seconds: float):
    assert parse_duration(show_duration(seconds)) == seconds


@given(
    st.one_of(
        st.integers(0, SIZE_MAX),
        st.builds(
            int.__mul__, st.integers(0, 1 << 20), st.sampled_from([1 << 10, 1 << 30, 1 << 40])
        ),
    )
)
def test_shown_size_is_read_back(count: int):
    assert parse_size(show_size(count)) == count
    assert parse_rate(show_rate(count)) == count


@given(st.text("0123456789.smhdwKMGTiB/ +-e", max_size=12))
def test_any_text_is_a_number_within_bounds_or_refused(text: str):
    for parse, bound in (
        (parse_duration, DURATION_MAX_S),
        (parse_size, SIZE_MAX),
        (parse_rate, SIZE_MAX),
    ):
        try:
            value = parse(text)
        except ConfigError:
            continue
        assert 0 <= value <= bound
