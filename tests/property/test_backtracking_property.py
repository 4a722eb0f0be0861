"""Properties of the analysis of regular expressions.

Invariant: whatever costs a matcher that goes back more than the analysis says is a mistake of the analysis. The matcher
below tries one way after the other, as `re` does, and counts the bytes that it looks at; no time is measured. And what
a pattern is given to make it cost less changes nothing of what it matches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from re import _constants as constants
from re import _parser as parser
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chute.errors import ConfigError
from chute.variables.backtracking import EXPONENTIAL, REPEATS, find_danger, set_of
from chute.variables.patterns import compile_pattern, find_lead

STEPS_MAX = 60_000

Then = Callable[[int], bool]
Nodes = Sequence[tuple[Any, Any]]


class TooManySteps(Exception):
    """The matcher looked at more bytes than it was allowed to."""


class CountingMatcher:
    """A matcher that goes back, as plainly as it can be written; `steps` are the bytes it looked at."""

    def __init__(self, pattern: bytes, *, always_fails: bool) -> None:
        self.nodes = parser.parse(pattern)
        self.always_fails = always_fails
        self.steps = 0
        self.text = b""

    def search(self, text: bytes) -> int | None:
        """Return the end of the first match; with `always_fails` every way is tried, and none is right."""
        self.text = text
        ends: list[int] = []

        def at_end(position: int) -> bool:
            ends.append(position)
            return not self.always_fails

        for start in range(len(text) + 1):
            if self.run(self.nodes, 0, start, at_end):
                return ends[-1]
        return None

    def run(self, nodes: Nodes, index: int, position: int, then: Then) -> bool:
        if index == len(nodes):
            return then(position)
        operation, argument = nodes[index]

        def rest(reached: int) -> bool:
            return self.run(nodes, index + 1, reached, then)

        reads = set_of(operation, argument, 0)
        if reads is not None:
            self.steps += 1
            if self.steps > STEPS_MAX:
                raise TooManySteps
            is_right = position < len(self.text) and reads >> self.text[position] & 1
            return bool(is_right) and rest(position + 1)
        if operation in REPEATS:
            return self.repeat(operation, argument, position, rest)
        if operation is constants.SUBPATTERN:
            return self.run(argument[3], 0, position, rest)
        if operation is constants.BRANCH:
            return any(self.run(inner, 0, position, rest) for inner in argument[1])
        return self.holds(operation, argument, position) and rest(position)

    def holds(self, operation: object, argument: Any, position: int) -> bool:  # noqa: ANN401
        if operation is constants.AT:
            is_start = argument is constants.AT_BEGINNING
            return position == (0 if is_start else len(self.text))
        is_ahead = self.run(argument[1], 0, position, lambda _: True)
        return is_ahead == (operation is constants.ASSERT)

    def repeat(
        self, operation: object, argument: tuple[int, int, Nodes], position: int, rest: Then
    ) -> bool:
        least, most, body = argument

        def again(count: int, begin: int, last: int | None) -> bool:
            if count < least:
                return self.run(body, 0, begin, lambda end: again(count + 1, end, last))

            def once_more() -> bool:
                # re does not repeat what has read nothing.
                return (
                    count < most
                    and begin != last
                    and self.run(body, 0, begin, lambda end: again(count + 1, end, begin))
                )

            if operation is constants.MIN_REPEAT:
                return rest(begin) or once_more()
            return once_more() or rest(begin)

        return again(0, position, None)


def steps_of(pattern: bytes, text: bytes) -> float:
    """Return how many bytes are looked at before every way through the pattern has failed."""
    matcher = CountingMatcher(pattern, always_fails=True)
    try:
        matcher.search(text)
    except TooManySteps:
        return EXPONENTIAL
    return matcher.steps


ATOM = st.sampled_from(["a", "b", "/", "[ab]", ".", "[^/]", "ab"])
REPEAT = st.sampled_from(["*", "+", "?", "*?", "{2}", "{1,3}", "{2,}", "{0,2}"])


def _compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, REPEAT).map(lambda parts: f"(?:{parts[0]}){parts[1]}"),
        st.tuples(ATOM, REPEAT).map(lambda parts: f"(?:{parts[0]}){parts[1]}"),
        st.lists(inner, min_size=2, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"(?={text})"),
        inner.map(lambda text: f"(?!{text})"),
    )


PATTERN = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "^"]),
    st.recursive(ATOM, _compound, max_leaves=6),
    st.sampled_from(["", "$"]),
)
WORD = st.text("ab/", min_size=1, max_size=3).map(str.encode)


@given(PATTERN, st.text("ab/", max_size=6).map(str.encode))
def test_counting_matcher_agrees_with_re(pattern: str, text: bytes) -> None:
    match = re.search(pattern.encode(), text)
    end = CountingMatcher(pattern.encode(), always_fails=False).search(text)
    assert end == (match.end() if match else None)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PATTERN, WORD)
@example("^(?:(?:a?)*b)*", b"b")
@example("^(?:a|ab)(?:ab|b)*", b"ab")
@example("(?=a*b)a*", b"a")
@example("^(?:(?:a|a))*", b"a")
def test_what_costs_much_is_found(pattern: str, word: bytes) -> None:
    """Twice the text may cost no power of two more than the degree allows, some way being left for small lengths."""
    danger = find_danger(pattern.encode())
    if danger is not None and danger.degree > 2:
        return
    degree = 1 if danger is None else danger.degree
    once = steps_of(pattern.encode(), word * (24 // len(word)))
    twice = steps_of(pattern.encode(), word * (48 // len(word)))
    assert twice < once * 2 ** (degree + 0.75) + 100


DOUBLING = {
    "repetition of a repetition": ("(a+)+", b""),
    "twice the same alternative": ("(a|a)*", b""),
    "anything, any number of times": ("(?:.*)*x", b""),
    "a class, any number of times": ("([a-z]+)*$", b""),
    "one alternative made of the others": ("(a|b|ab)*c", b""),
    "words with an optional space": (r"^(\w+\s?)*$", b""),
    "one or two of the same": ("^(?:a|aa)+$", b""),
    "nothing in two ways, again and again": ("^((a?)*b)*c", b""),
    "two repetitions in one": ("(x+x+)+y", b""),
    "the same without greed": ("^(?:a+?)+?$", b""),
    "in a lookahead": ("^(?=(?:a+)+$)", b""),
    "behind a long beginning": ("^/some/beginning/(?:[^/]+/?)+$", b"/some/beginning/"),
}


@pytest.mark.parametrize(("pattern", "prefix"), DOUBLING.values(), ids=DOUBLING)
def test_pump_of_an_exponential_pattern_doubles_what_it_costs(pattern: str, prefix: bytes) -> None:
    danger = find_danger(pattern.encode())
    assert danger is not None
    assert danger.degree == EXPONENTIAL
    few, more = (
        steps_of(pattern.encode(), prefix + danger.pump * count + b"\x00") for count in (4, 9)
    )
    assert more > few * 2**3


@given(PATTERN, st.text("ab/\n", max_size=14).map(str.encode))
@example(".*/a", b"b\n/a")
@example("a(.*)/(.*)b$", b"/aab//b")
@example("(?:ab)[ab]+/", b"bababab/")
@example("[ab]+?b/", b"/aab/")
@example("[ab/][ab/][ab]*a", b"ab/a")
@example(r"([ab])[ab]*/\1", b"ab/b")
def test_lead_changes_no_match(pattern: str, text: bytes) -> None:
    plain = re.compile(pattern.encode())
    lead = find_lead(plain.pattern, plain.flags)
    if lead is None:
        return
    led = re.search(b"%b(?:%b)" % (lead[0], plain.pattern), text)
    expected = plain.search(text)
    assert (led is None) == (expected is None)
    if led is not None and expected is not None:
        assert (led.regs[1:], led.end()) == (expected.regs[1:], expected.end())


@given(PATTERN, st.text("ab/\n", max_size=14).map(str.encode))
def test_what_both_spell_alike_is_translated_to_itself(pattern: str, text: bytes) -> None:
    try:
        compiled = compile_pattern(pattern)
    except ConfigError:
        return
    match, expected = compiled.search(text), re.search(pattern.encode(), text)
    assert (match and (match.regs[1:], match.end())) == (
        expected and (expected.regs[1:], expected.end())
    )
