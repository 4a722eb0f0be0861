"""The cost of regular expressions: what is refused, what is borne, and what nobody needs to think of."""

from __future__ import annotations

import re

import pytest

from chute.errors import ConfigError
from chute.variables.backtracking import EXPONENTIAL, Danger, find_danger

EXPONENTIAL_PATTERNS = {
    "repetition of a repetition": rb"(a+)+$",
    "twice the same alternative": rb"(a|a)*$",
    "anything, any number of times": rb"(.*)*x",
    "a class, any number of times": rb"([a-z]+)*$",
    "one alternative made of the others": rb"(a|b|ab)*c",
    "words with an optional space": rb"^(\w+\s?)*$",
    "one or two of the same": rb"^(?:a|aa)+$",
    "nothing in two ways, again and again": rb"^((a?)*b)*c",
    "two repetitions in one": rb"(x+x+)+y",
    "the same without greed": rb"^(?:a+?)+?$",
    "deep inside": rb"^/(?:x(?:y(a*)*)?)?$",
    "only in the other case": rb"(?i)^(?:a|AA)+$",
    "in a lookahead": rb"^(?=(?:a+)+$)",
    "behind a long beginning": rb"^/some/long/beginning/(?:[^/]+/?)+$",
    "optional pieces, counted": rb"(a?){30}a{30}",
    "optional pieces, written out": rb"^" + rb"a?" * 30 + rb"a" * 30 + rb"$",
    "alternatives, written out": rb"^" + rb"(?:a|aa)" * 30 + rb"$",
    "bounded within bounded": rb"^(?:[a-z]{1,8}){1,8}$",
    "an electronic address": rb"^([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}[a-z]+$",
}
POWERS = {
    "anything twice": (rb"^/(.*)/x/(.*)$", 2),
    "a split at an extension": (rb"^(.+\.php)(/.+)$", 2),
    "spaces at the end, from anywhere": (rb"\s+$", 2),
    "anything from anywhere": (rb".+\.jpg$", 2),
    "two of the same at the start": (rb"^a*a*$", 2),
    "a lookahead at each byte": (rb"^(?:(?=.*x)a)*$", 2),
    "anything three times": (rb"^/(.*)/(.*)/(.*)$", 3),
    "three of the same at the start": (rb"^a*a*a*$", 3),
    "two of the same from anywhere": (rb"a*a*$", 3),
    "bounded, but by much": (rb"^\w{1,99}\w{1,99}\w{1,99}$", 3),
    "hidden files of a folder": (rb"\..*/.*\.php$", 3),
    "a back reference, which could be anything": (rb"(a+)\1", 3),
    "four of the same": (rb"^.*.*.*.*$", 4),
    "loops that meet in one state only": (rb"^(?:ab)*a?(?:ba)*$", 2),
    "one chain is longer than the other": (rb"^(?:a*b*c*|a*a*a*)$", 3),
}
HARMLESS = {
    "a rest": rb"^/old/(.*)$",
    "an extension": rb"\.php$",
    "extensions": rb"\.(?:css|js|png|jpe?g|gif|ico|svg|woff2?)$",
    "two segments": rb"^/([^/]+)/([^/]+)/?$",
    "words": rb"(?i)bot|crawler|spider",
    "not followed by": rb"/\.(?!well-known)",
    "a host": rb"^(?P<sub>[a-z0-9-]+)\.example\.org$",
    "hosts": rb"^(([a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9])\.)+[a-z]{2,}$",
    "entry points": rb"^/(?:index|core/[a-z\d]+|ocs-provider/.+)\.php(?:$|/)",
    "folder and extension": rb"^/wp-content/uploads/.*\.(?:php|html?)$",
    "an address": rb"^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$",
    "segments": rb"^(?:/[^/]+)*/?$",
    "an identifier": rb"^/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{12}$",
    "hexadecimal digits, many times": rb"^/[0-9a-f]{64}/[0-9a-f]{64}$",
    "either alternative ends at something else": rb"^(?:a+b|a+c)$",
    "an end in the middle": rb"^(?:[a-z]+$|/)*$",
    "a start in a repetition": rb"^(?:^a*)+$",
    "a start that cannot be": rb"^(?:a^(?:b|b))*$",
    "a lookbehind": rb"(?<=/)x(?<!/y)",
    "nothing at all": rb"",
}


@pytest.mark.parametrize("pattern", EXPONENTIAL_PATTERNS.values(), ids=EXPONENTIAL_PATTERNS)
def test_pattern_that_doubles_with_each_repetition_is_found(pattern: bytes):
    danger = find_danger(pattern)
    assert danger is not None
    assert danger.degree == EXPONENTIAL
    assert danger.pump


@pytest.mark.parametrize(("pattern", "degree"), POWERS.values(), ids=POWERS)
def test_power_of_the_length_is_found(pattern: bytes, degree: int):
    danger = find_danger(pattern)
    assert danger is not None
    assert danger.degree == degree
    assert danger.pump


@pytest.mark.parametrize("pattern", HARMLESS.values(), ids=HARMLESS)
def test_pattern_that_reads_a_text_in_one_way_is_harmless(pattern: bytes):
    assert find_danger(pattern) is None


def test_pump_is_the_word_whose_repetition_costs():
    assert find_danger(rb"^(?:a+)+$") == Danger(EXPONENTIAL, b"a")
    assert find_danger(rb"^(?:xy|x|y)+$") in (
        Danger(EXPONENTIAL, b"xy"),
        Danger(EXPONENTIAL, b"yx"),
    )
    assert find_danger(rb"^-*[-0]*$") == Danger(2, b"-")


def test_flags_count():
    assert find_danger(rb"^(?:a|AA)+$") is None
    insensitive = find_danger(rb"^(?:a|AA)+$", re.IGNORECASE)
    assert insensitive is not None
    assert insensitive.degree == EXPONENTIAL
    # With each line a start, the search goes through the rest of the text from each of them.
    assert find_danger(rb"(?s)^.*x") is None
    assert find_danger(rb"(?s)^.*x", re.MULTILINE) is not None


def test_search_that_begins_less_often_costs_less():
    newline = 1 << ord("\n")
    assert find_danger(rb".+\.jpg$") is not None
    assert find_danger(rb".+\.jpg$", begins_after=newline) is None


@pytest.mark.parametrize(
    "pattern",
    [
        rb"^" + rb"[ab]" * 2000,
        rb"^" + rb"(?:" * 12 + rb"a" + rb"){4}" * 12,
        rb"^" + rb"(?:" * 30 + rb"){4}" * 30,
        rb"(?:" + rb"|".join(rb".{%d}x" % count for count in range(1, 30)) + rb")*",
    ],
    ids=["many bytes", "many times many", "many times many of nothing", "many alternatives"],
)
def test_analysis_is_bounded(pattern: bytes):
    with pytest.raises(ConfigError, match="too large to be checked") as caught:
        find_danger(pattern)
    assert caught.value.hint
