r"""How long a regular expression can take, found out before it is ever run.

Python's `re` tries one way through a pattern after the other and remembers none that failed (as PCRE does, which has a
limit on its steps where `re` has none). What it can cost is therefore the number of ways in which a text can be read,
up to where each of them fails, and that is a property of the pattern alone.

Theory of operation. The pattern becomes Glushkov's automaton: one state for each place that reads a byte, and an edge
wherever one such place can follow another. An edge counts how many ways of not reading anything lie between the two
(`(a?)*b` has two before its `b`). Searching, that is beginning anywhere, is one more state before all others, which
reads anything. Then (Weber and Seidl, On the degree of ambiguity of finite automata, 1991):

- If a state comes back to itself by one word in two ways, every repetition of the word doubles the number of ways:
  the cost is EXPONENTIAL. Found among pairs of states that read the same word.
- Else, if a word leads from r to r, from r to s and from s to s, each repetition is one more place to change over. So
  the number of ways is a power of the length, whose exponent is the largest number of such changes one behind the
  other. Found among triples of states. Each way is walked along a text, which makes the exponent of the cost one more.

The answer may be too high and is never too low, within one limit: what only a bounded repetition can multiply is no
power of the length, and is counted along a few words instead (`_count_ways`). Too high it may be because these are let
through where they would stop a match: `\b`; the end of an atomic group or of a possessive repetition; what a
back reference repeats. A lookahead is one more way from where it stands; a lookbehind has a fixed width and costs
nothing that grows. A bounded repetition of some size is taken for an unbounded one.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from itertools import combinations, product
from operator import and_, itemgetter
from re import _constants as constants  # type: ignore[attr-defined] # the only parser that agrees with re
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final, NamedTuple

from chute.errors import ConfigError

EXPONENTIAL: Final = math.inf

STATES_MAX: Final = 1_000
PIECES_MAX: Final = 10_000
STEPS_MAX: Final = 200_000

# Bounded repetitions up to these counts are written out; longer ones count as unbounded.
_COPIES_MAX = 4
_COPIES_OF_ONE_BYTE_MAX = 256
_OPTIONAL_COPIES_MAX = 8

# Fewer choices than this, each made once, cannot multiply to what is worth counting.
_CHOICES_FREE = 10
_WORD_COUNTED = 48
_WAYS_MAX = 200_000

_EVERY_BYTE = (1 << 256) - 1
# What a `^` reads, as if it stood before the text.
_START = 1 << 256
_NEWLINE = 1 << ord("\n")
_LETTERS = sum(1 << code for code in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
# What an example should rather be made of, best first.
_READABLE = bytes(range(97, 123)) + b"/-._" + bytes(range(33, 127))
REPEATS: Final = {constants.MAX_REPEAT, constants.MIN_REPEAT, constants.POSSESSIVE_REPEAT}


@dataclass(frozen=True, slots=True)
class Danger:
    """Why a pattern can take long.

    Attributes:
        degree: the power of the text's length that the time grows with, from 2 on, or EXPONENTIAL.
        pump: the word whose repetition makes it so.
    """

    degree: float
    pump: bytes


def find_danger(
    pattern: bytes, flags: int = 0, *, begins_after: int = _EVERY_BYTE
) -> Danger | None:
    """Return how searching for `pattern` can take more than time in proportion to the text's length, or None.

    Args:
        pattern: one that `re` compiles.
        flags: those of `re`.
        begins_after: the bytes (a set of bits) after which the search begins anew; see `patterns.find_lead`.

    Raises:
        ConfigError: the pattern is too large to be checked.
    """
    parsed = parser.parse(pattern, flags)
    automaton = _Automaton()
    whole = automaton.sequence(parsed, parsed.state.flags)
    automaton.close(whole, begins_after)
    return _Search(automaton).find()


class _Part(NamedTuple):
    """A piece of the pattern: in how many ways it reads nothing, begins and ends; 2 stands for any more."""

    nothing: int
    first: dict[int, int]
    last: dict[int, int]


_NOTHING = _Part(1, {}, {})
_NEVER = _Part(0, {}, {})


class _Automaton:
    """The states of a pattern: the bytes that each reads, and which follow it in how many ways."""

    def __init__(self) -> None:
        self.reads: list[int] = []
        self.follow: list[dict[int, int]] = []
        self.start = -1
        self.choices = 0
        self._pieces = 0

    def close(self, whole: _Part, begins_after: int) -> None:
        """Add the search: the state that it begins in, and those that read what comes before a match."""
        self.start = self._add(0)
        free = {state: ways for state, ways in whole.first.items() if self.reads[state] != _START}
        first = whole.first
        while starting := {state: first[state] for state in first if self.reads[state] == _START}:
            first = {state: ways for state, ways in first.items() if state not in starting}
            for state, ways in starting.items():
                first = _sum(first, _times(self.follow[state], ways))
        self.follow[self.start] = dict(first)
        if free and begins_after:
            passing, beginning = self._add(_EVERY_BYTE), self._add(begins_after)
            for state in (self.start, passing):
                self.follow[state] |= {passing: 1, beginning: 1}
            self.follow[beginning] = free

    def sequence(self, nodes: Iterable[tuple[Any, Any]], flags: int) -> _Part:
        """Add pieces that follow each other."""
        whole = _NOTHING
        # Repeated pieces within repeated ones are many, even where they read nothing.
        self._pieces += 1
        if self._pieces > PIECES_MAX:
            raise _too_large()
        for operation, argument in nodes:
            whole = self._join(whole, self._node(operation, argument, flags))
        return whole

    def _add(self, reads: int) -> int:
        if len(self.reads) >= STATES_MAX:
            raise _too_large()
        self.reads.append(reads)
        self.follow.append({})
        return len(self.reads) - 1

    def _byte(self, reads: int) -> _Part:
        state = {self._add(reads): 1}
        return _Part(0, state, state)

    def _node(self, operation: Any, argument: Any, flags: int) -> _Part:  # noqa: ANN401 # re's own nodes
        reads = set_of(operation, argument, flags)
        if reads is not None:
            return self._byte(reads)
        if operation in REPEATS:
            return self._repeat(argument, flags)
        if operation is constants.SUBPATTERN:
            _, added, removed, inner = argument
            return self.sequence(inner, (flags | added) & ~removed)
        if operation is constants.BRANCH:
            self.choices += 1
            return self._either(self.sequence(inner, flags) for inner in argument[1])
        if operation is constants.GROUPREF_EXISTS:
            _, then, otherwise = argument
            return self._either(self.sequence(inner or (), flags) for inner in (then, otherwise))
        if operation in (constants.GROUPREF, constants.GROUPREF_IGNORE):
            # One way only, but as long as what it repeats.
            return self._loop(self._byte(_EVERY_BYTE))
        if operation is constants.ATOMIC_GROUP:
            return self.sequence(argument, flags)
        return self._assertion(operation, argument, flags)

    def _assertion(self, operation: Any, argument: Any, flags: int) -> _Part:  # noqa: ANN401
        if operation in (constants.ASSERT, constants.ASSERT_NOT):
            direction, inner = argument
            if direction < 0:
                return _NOTHING
            ahead = self.sequence(inner, flags)
            return _Part(1, ahead.first, {})
        if operation is not constants.AT:
            return _NEVER  # It is (?!), which re knows as a failure.
        if flags & re.MULTILINE and argument in (constants.AT_BEGINNING, constants.AT_END):
            return _NOTHING
        if argument in (constants.AT_BEGINNING, constants.AT_BEGINNING_STRING):
            return self._byte(_START)
        # Behind the end a newline can be read at most, and that costs nothing that grows.
        if argument in (constants.AT_END, constants.AT_END_STRING):
            return _NEVER
        return _NOTHING

    def _connect(self, last: dict[int, int], first: dict[int, int]) -> None:
        for state, ways in last.items():
            follow = self.follow[state]
            for later, further in first.items():
                # Nothing but another `^` can have come before a `^`.
                if self.reads[later] != _START or self.reads[state] == _START:
                    follow[later] = min(2, follow.get(later, 0) + ways * further)

    def _join(self, one: _Part, two: _Part) -> _Part:
        self._connect(one.last, two.first)
        return _Part(
            min(2, one.nothing * two.nothing),
            _sum(one.first, _times(two.first, one.nothing)),
            _sum(two.last, _times(one.last, two.nothing)),
        )

    def _either(self, parts: Iterable[_Part]) -> _Part:
        nothing, first, last = _NEVER
        for part in parts:
            nothing = min(2, nothing + part.nothing)
            first, last = _sum(first, part.first), _sum(last, part.last)
        return _Part(nothing, first, last)

    def _loop(self, body: _Part, *, times: int = 1) -> _Part:
        """Repeat `body` from none on; re goes round once more without reading anything, and then leaves."""
        again = {state: ways for state, ways in body.first.items() if self.reads[state] != _START}
        self._connect(body.last, _times(again, times))
        return _Part(min(2, 1 + body.nothing), body.first, _times(body.last, 1 + body.nothing))

    def _repeat(self, argument: tuple[int, Any, Any], flags: int) -> _Part:
        least, most, body = argument
        reads_one = only_set(body, flags) is not None
        is_unbounded = most is constants.MAXREPEAT
        copies_max = _COPIES_OF_ONE_BYTE_MAX if reads_one else _COPIES_MAX
        optional = 0 if is_unbounded else int(most - least)
        is_exact = least <= copies_max and (
            is_unbounded or most <= _COPIES_MAX or (reads_one and optional <= _OPTIONAL_COPIES_MAX)
        )
        if not is_exact:
            part = self.sequence(body, flags)
            # Bounded, a piece that may read nothing has a way for each choice of the times when it does.
            looped = self._loop(part, times=2 if part.nothing else 1)
            return looped if least == 0 else looped._replace(nothing=part.nothing)
        whole = _NOTHING
        for _ in range(least):
            whole = self._join(whole, self.sequence(body, flags))
        if is_unbounded:
            return self._join(whole, self._loop(self.sequence(body, flags)))
        self.choices += optional
        rest = _NOTHING
        for _ in range(optional):
            rest = self._either((_NOTHING, self._join(self.sequence(body, flags), rest)))
        return self._join(whole, rest)


class _Search:
    """The search of an automaton for words that can be read in many ways; it ends after STEPS_MAX steps."""

    def __init__(self, automaton: _Automaton) -> None:
        self._automaton = automaton
        self._reads = automaton.reads
        self._follow = automaton.follow
        self._steps = 0
        # For each state the set (of bits) of those that it leads to (Warshall, 1962).
        self._reached = [sum(1 << later for later in follow) for follow in self._follow]
        states = range(len(self._reached))
        for middle in states:
            onwards = self._reached[middle]
            for state in states:
                if self._reached[state] >> middle & 1:
                    self._reached[state] |= onwards
        self._used = [state for state in states if self._leads(automaton.start, state)]
        self._looping = [state for state in self._used if self._leads(state, state)]

    def find(self) -> Danger | None:
        """Return the danger, if there is any.

        Raises:
            ConfigError: it would take too long to find.
        """
        for pump in (*map(self._doubling, self._looping), self._multiplying()):
            if pump is not None:
                return Danger(EXPONENTIAL, _root(pump))
        return self._power()

    def _leads(self, one: int, two: int) -> bool:
        return bool(self._reached[one] >> two & 1)

    def _step(self) -> None:
        self._steps += 1
        if self._steps > STEPS_MAX:
            raise _too_large()

    def _together(self, seeds: dict[tuple[int, ...], bytes], goal: tuple[int, ...]) -> bytes | None:
        """Return a word that leads several states to their goals at once, after the word of the seed; or None."""
        seen = dict(seeds)
        waiting = deque(seeds)
        while waiting:
            states = waiting.popleft()
            if states == goal:
                return seen[states]
            options = [
                [later for later in self._follow[state] if self._leads(later, end)]
                for state, end in zip(states, goal, strict=True)
            ]
            for later in product(*options):
                self._step()
                shared = reduce(and_, map(self._reads.__getitem__, later))
                if shared and later not in seen:
                    seen[later] = seen[states] + bytes([_example(shared)])
                    waiting.append(later)
        return None

    def _doubling(self, state: int) -> bytes | None:
        """Return a word that leads a state back to itself in two ways."""
        reads = self._reads
        follow = [later for later in self._follow[state] if self._leads(later, state)]
        for later in follow:
            if self._follow[state][later] > 1:
                return self._together({(later,): bytes([_example(reads[later])])}, (state,))
        forks: dict[tuple[int, ...], bytes] = {
            (one, two): bytes([_example(reads[one] & reads[two])])
            for one, two in combinations(follow, 2)
            if reads[one] & reads[two]
        }
        return self._together(forks, (state, state))

    def _power(self) -> Danger | None:
        """Return the longest chain of loops that change over into each other, as a power; None for none."""
        # States that lead to each other lead to the same ones; and to fewer than what leads to them does.
        loops: dict[int, list[int]] = {}
        for state in sorted(self._looping, key=lambda state: self._reached[state].bit_count()):
            loops.setdefault(self._reached[state], []).append(state)
        chains: dict[int, tuple[int, bytes]] = {}
        for reached, states in loops.items():
            best = (0, b"")
            later_loops = [later for later in chains if reached >> loops[later][0] & 1]
            # The longest first: for one that could not make the chain longer nothing is searched.
            for later in sorted(later_loops, key=lambda later: -chains[later][0]):
                length, pump = chains[later]
                best = max(best, (length, pump), key=itemgetter(0))
                if length == best[0]:
                    changing = self._changing(states, loops[later])
                    if changing is not None:
                        best = length + 1, pump or changing
            chains[reached] = best
        degree, pump = max(chains.values(), default=(0, b""), key=itemgetter(0))
        return Danger(degree + 1, _root(pump)) if degree else None

    def _changing(self, one: list[int], two: list[int]) -> bytes | None:
        """Return a word that leads from a state of `one` to itself, to one of `two`, and that to itself."""
        for r, s in product(one, two):
            word = self._together({(r, r, s): b""}, (r, s, s))
            if word is not None:
                return word
        return None

    def _multiplying(self) -> bytes | None:
        """Return a word along which bounded choices multiply to too many ways, among the words that are tried.

        These are the repetitions of each byte that the pattern tells apart, and the word that takes, byte by byte, the
        one with the most ways.
        """
        if self._automaton.choices < _CHOICES_FREE:
            return None
        atoms = _atoms(self._reads[state] for state in self._used)
        for tried in (*([atom] for atom in atoms), atoms):
            ways = {self._automaton.start: 1}
            word = bytearray()
            while ways and len(word) < _WORD_COUNTED:
                read, ways = max(
                    ((atom, self._advance(ways, atom)) for atom in tried),
                    key=lambda option: sum(option[1].values()),
                )
                word.append(read)
                if sum(ways.values()) > _WAYS_MAX:
                    return bytes(word) if len(tried) > 1 else bytes([read])
        return None

    def _advance(self, ways: dict[int, int], read: int) -> dict[int, int]:
        """Return in how many ways each state is reached after one more byte."""
        after: dict[int, int] = {}
        for state, count in ways.items():
            for later, times in self._follow[state].items():
                self._step()
                if self._reads[later] >> read & 1:
                    after[later] = after.get(later, 0) + count * times
        return after


def set_of(operation: Any, argument: Any, flags: int) -> int | None:  # noqa: ANN401 # re's own nodes
    """Return the bytes (a set of bits) that a node reads one of, or None where it is no such node."""
    if operation is constants.LITERAL:
        return _folded(1 << argument, flags)
    if operation is constants.NOT_LITERAL:
        return _EVERY_BYTE & ~_folded(1 << argument, flags)
    if operation is constants.ANY:
        return _EVERY_BYTE if flags & re.DOTALL else _EVERY_BYTE & ~_NEWLINE
    if operation is not constants.IN:
        return None
    bits = 0
    is_negated = False
    for kind, value in argument:
        if kind is constants.NEGATE:
            is_negated = True
        elif kind is constants.RANGE:
            bits |= (1 << value[1] + 1) - (1 << value[0])
        else:
            bits |= 1 << value if kind is constants.LITERAL else _CATEGORIES[value]
    bits = _folded(bits, flags)
    return _EVERY_BYTE & ~bits if is_negated else bits


def only_set(body: Any, flags: int) -> int | None:  # noqa: ANN401 # re's own nodes
    """Return the bytes that a piece reads one of, where that is all it does, or None."""
    if len(body) != 1:
        return None
    operation, argument = body[0]
    if operation is constants.SUBPATTERN:
        _, added, removed, inner = argument
        return only_set(inner, (flags | added) & ~removed)
    return set_of(operation, argument, flags)


def _folded(bits: int, flags: int) -> int:
    """Return the set with the other case of its letters where case is ignored: those of ASCII, as `re` has it."""
    if not flags & re.IGNORECASE:
        return bits
    return bits | (bits & _LETTERS) << 32 | (bits >> 32 & _LETTERS)


# The node of a class, as re parses it, and what it matches.
_CATEGORIES = {
    parser.parse(text)[0][1][0][1]: sum(
        1 << code for code in range(256) if re.match(text, bytes([code]))
    )
    for text in (rb"\d", rb"\D", rb"\s", rb"\S", rb"\w", rb"\W")
}


def _example(bits: int) -> int:
    """Return a byte of a set, one that people can read if there is any."""
    return next((code for code in _READABLE if bits >> code & 1), (bits & -bits).bit_length() - 1)


def _root(word: bytes) -> bytes:
    """Return the shortest word that this one is a repetition of."""
    return word[: (word + word).index(word, 1)]


def _atoms(sets: Iterable[int]) -> list[int]:
    """Return one byte for each kind of bytes that these sets tell apart."""
    kinds = [_EVERY_BYTE]
    for bits in set(sets):
        kinds = [part for kind in kinds for part in (kind & bits, kind & ~bits) if part]
    return [_example(kind) for kind in kinds]


def _sum(one: dict[int, int], two: dict[int, int]) -> dict[int, int]:
    if not one or not two:
        return one or two
    total = dict(one)
    for state, ways in two.items():
        total[state] = min(2, total.get(state, 0) + ways)
    return total


def _times(one: dict[int, int], ways: int) -> dict[int, int]:
    if ways < 2:
        return one if ways else {}
    return dict.fromkeys(one, 2)


def _too_large() -> ConfigError:
    return ConfigError(
        "the pattern is too large to be checked", hint="make several smaller patterns of it"
    )
