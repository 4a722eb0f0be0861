"""Fields by pattern: what a pattern is about, which rule wins, and what nobody may say."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chute.errors import ConfigError
from chute.static.rules import (
    FieldRule,
    Rules,
    compile_pattern,
    parse_cache_rule,
    parse_field_rule,
)

HTML, CSS = b"text/html; charset=utf-8", b"text/css; charset=utf-8"


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.css", b"/a.css", True),
        ("*.css", b"/deep/er/a.css", True),
        ("*.css", b"/a.css/b", False),
        ("*.css", b"/a.scss", False),
        ("/*.css", b"/a.css", True),
        ("/*.css", b"/deep/a.css", False),
        ("assets/*", b"/assets/a", True),
        ("assets/*", b"/assets/b/a", False),
        ("assets/**", b"/assets/b/a", True),
        ("/assets/**/*.js", b"/assets/a.js", True),
        ("/assets/**/*.js", b"/assets/b/c/a.js", True),
        ("/assets/**/*.js", b"/other/assets/a.js", False),
        ("**/a.js", b"/a.js", True),
        ("a?.js", b"/ab.js", True),
        ("a?.js", b"/a/.js", False),
        ("a[0-9].js", b"/a7.js", True),
        ("a[!0-9].js", b"/a7.js", False),
        ("a[!0-9].js", b"/a/.js", False),
        ("a[.js", b"/a[.js", True),
        ("a+(b).js", b"/a+(b).js", True),
        ("*", b"/line\nbreak", True),
        ("ü.css", "/ü.css".encode(), True),
        ("*.\udcff", b"/a.\xff", True),
    ],
)
def test_pattern_matches_what_a_shell_would(pattern: str, path: bytes, matches: bool):
    assert (compile_pattern(pattern).fullmatch(path) is not None) is matches


@pytest.mark.parametrize("pattern", ["", "folder/", "[z-a]"])
def test_pattern_that_can_match_nothing_is_refused(pattern: str):
    with pytest.raises(ConfigError):
        compile_pattern(pattern)


@given(st.text(alphabet="ab*?[]!-/.\\^+", min_size=1, max_size=20))
def test_any_pattern_is_read_or_refused(pattern: str):
    with contextlib.suppress(ConfigError):
        compile_pattern(pattern).fullmatch(b"/aaaaaaaaaaaaaaaaaaaa/b")


def test_page_is_confirmed_before_each_use():
    assert Rules([]).fields_for(b"index.html", HTML) == ((b"Cache-Control", b"no-cache"),)


def test_other_files_are_left_to_the_client():
    assert Rules([]).fields_for(b"a.css", CSS) == ()


@pytest.mark.parametrize(
    ("period", "value"),
    [
        ("90", b"max-age=90"),
        ("90s", b"max-age=90"),
        ("10m", b"max-age=600"),
        ("1h", b"max-age=3600"),
        ("30d", b"max-age=2592000"),
        ("2w", b"max-age=1209600"),
        ("1y", b"max-age=31536000"),
        ("immutable", b"max-age=31536000, immutable"),
        ("no-store", b"no-store"),
        ("public, s-maxage=60, stale-while-revalidate=30", None),
        ('private="Set-Cookie"', None),
    ],
)
def test_period_becomes_a_cache_control_value(period: str, value: bytes | None):
    rules = Rules([parse_cache_rule(f"*.css={period}")])
    assert rules.fields_for(b"a.css", CSS) == (
        (b"Cache-Control", period.encode() if value is None else value),
    )


@pytest.mark.parametrize("text", ["*.css", "=1h", "*.css=", "*.css=1 hour", "*.css=1h\r\nA: b"])
def test_cache_rule_that_cannot_be_meant_is_refused(text: str):
    with pytest.raises(ConfigError):
        parse_cache_rule(text)


def test_page_may_be_kept_when_a_rule_says_so():
    assert Rules([parse_cache_rule("*.html=5m")]).fields_for(b"a.html", HTML) == (
        (b"Cache-Control", b"max-age=300"),
    )


def test_page_is_never_immutable():
    assert Rules([parse_cache_rule("**=immutable")]).fields_for(b"a.html", HTML) == (
        (b"Cache-Control", b"no-cache"),
    )


def test_off_takes_the_field_away():
    assert Rules([parse_cache_rule("*=off")]).fields_for(b"a.html", HTML) == ()


def test_last_rule_that_matches_decides_each_field():
    rules = Rules(
        [
            FieldRule("*", "X-One", "1"),
            FieldRule("*", "X-Two", "2"),
            FieldRule("*.css", "x-one", "css"),
            FieldRule("*.js", "X-Two", "js"),
        ]
    )
    assert rules.fields_for(b"a.css", CSS) == ((b"x-one", b"css"), (b"X-Two", b"2"))


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "*=X-Robots-Tag",
        "*=: value",
        "*=X Y: value",
        "*=X-A: one\r\nX-B: two",
        "*=Content-Length: 5",
        "*=transfer-encoding: chunked",
    ],
)
def test_field_that_cannot_be_sent_is_refused(text: str):
    with pytest.raises(ConfigError):
        parse_field_rule(text)


def test_field_rule_is_read():
    assert parse_field_rule("/private/**=X-Robots-Tag: noindex, nofollow") == FieldRule(
        "/private/**", "X-Robots-Tag", "noindex, nofollow"
    )
