"""Which location answers for a path: nginx's search, at a cost that does not depend on how many literal ones there are.

The order of preference on one level is nginx's (ngx_http_core_find_location): an exact match (`=`) ends the search;
else the longest prefix is found, and what is within it is searched first; if that finds nothing better and the prefix
is not `^~`, the regular expressions of the level are tried in their order, and what is within the first that matches
is searched; else the prefix it is.

Beyond nginx, a location may have a condition: while it does not hold, the location is passed over as if it were not
there, so several may have one path.

Exact matches are in a dictionary. The longest prefix is found by bisection: among sorted prefixes, all that begin a
path come before it or at it, and the longest of them is the nearest one before the path, or begins that one. So from
where bisection ends each step goes to the longest other prefix that begins the current one, until one begins the
path: the number of steps is the depth of nesting and not the number of prefixes.
"""

from __future__ import annotations

import functools
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from chute.errors import ConfigError
from chute.exchange import Request

T = TypeVar("T")

Condition = Callable[[Request], bool]
Note = Callable[[str], None]

EXAMPLE = (
    "for example '/images/', '= /', '^~ /assets/', '~ \\.php$', '~* \\.(png|jpg)$' or '@fallback'"
)

# The star is not given back: `~*` alone is no regular expression `*`.
_MATCH = re.compile(r"(?:(?P<modifier>=|\^~|~\*?+)\s*)?(?P<text>\S.*)", re.DOTALL)
_NAME = re.compile(r"@[A-Za-z0-9_.-]+")


class Kind(Enum):
    """How a location matches."""

    EXACT = "="
    PREFIX = ""
    PREFIX_WITHOUT_REGEX = "^~"
    REGEX = "~"
    REGEX_IGNORING_CASE = "~*"
    NAMED = "@"


_REGEXES = (Kind.REGEX, Kind.REGEX_IGNORING_CASE)


class Match(NamedTuple):
    """What a location is for.

    Attributes:
        kind: how it matches.
        text: the path, the regular expression, or the name with its `@`.
    """

    kind: Kind
    text: str

    @property
    def shown(self) -> str:
        """The match as people write it."""
        if self.kind in (Kind.PREFIX, Kind.NAMED):
            return self.text
        return f"{self.kind.value} {self.text}"


@functools.lru_cache(maxsize=4096)
def parse_match(text: str) -> Match:
    """Read what a location is for, in nginx's notation.

    Raises:
        ConfigError: it is no such notation.
    """
    stripped = text.strip()
    if stripped.startswith("@"):
        if _NAME.fullmatch(stripped) is None:
            raise ConfigError(f"{text!r} is no name of a location", hint=EXAMPLE)
        return Match(Kind.NAMED, stripped)
    match = _MATCH.fullmatch(stripped)
    if match is None:
        raise ConfigError("a location needs a path", hint=EXAMPLE)
    kind = Kind(match["modifier"] or "")
    path = match["text"]
    if kind not in _REGEXES and not path.startswith("/"):
        raise ConfigError(f"{text!r} is for no path, which begins with a slash", hint=EXAMPLE)
    return Match(kind, path)


class Entry(NamedTuple, Generic[T]):
    """One location of a level.

    Attributes:
        match: what it is for.
        value: what it leads to.
        pattern: the compiled regular expression, if it is one.
        nested: the level within it, or None.
        condition: or None.
    """

    match: Match
    value: T
    pattern: re.Pattern[bytes] | None = None
    nested: Locations[T] | None = None
    condition: Condition | None = None


class Found(NamedTuple, Generic[T]):
    """What a path leads to.

    Attributes:
        value: of the location.
        match: of its regular expression, if it has one.
        around: of those of the locations that it is in, outermost first: their named groups hold as well.
    """

    value: T
    match: re.Match[bytes] | None
    around: tuple[re.Match[bytes], ...] = ()


class _Prefix(Generic[T]):
    """The locations of one prefix, and the next shorter prefix that it begins with."""

    __slots__ = ("entries", "path", "shorter")

    def __init__(self, path: bytes) -> None:
        self.path = path
        self.entries: list[Entry[T]] = []
        self.shorter: _Prefix[T] | None = None


class Locations(Generic[T]):
    """The locations of one level."""

    def __init__(self, entries: Sequence[Entry[T]]) -> None:
        """Compile `entries`, whose order counts for regular expressions, and where conditions are.

        Named locations are none that a path leads to, and are passed over.
        """
        self._exact: dict[bytes, list[Entry[T]]] = {}
        prefixes: dict[bytes, _Prefix[T]] = {}
        self._patterns: list[Entry[T]] = []
        for entry in entries:
            kind, text = entry.match
            path = text.encode("utf-8", "surrogateescape")
            if kind is Kind.EXACT:
                self._exact.setdefault(path, []).append(entry)
            elif kind in _REGEXES:
                assert entry.pattern is not None, "a regular expression is compiled by the caller"
                self._patterns.append(entry)
            elif kind is not Kind.NAMED:
                prefixes.setdefault(path, _Prefix(path)).entries.append(entry)
        self._sorted = sorted(prefixes)
        self._prefixes = [prefixes[path] for path in self._sorted]
        _link(self._prefixes)

    def find(self, path: bytes, request: Request, note: Note | None = None) -> Found[T] | None:
        """Return what `path` leads to, or None.

        Args:
            path: decoded and normalised.
            request: what conditions look at.
            note: told in words what was considered, or None.
        """
        return self._find(path, request, note)[0]

    def _find(
        self, path: bytes, request: Request, note: Note | None
    ) -> tuple[Found[T] | None, bool]:
        """Return what `path` leads to, and whether nothing could be better: no regular expression is to be tried."""
        exact = _first(self._exact.get(path, ()), request, note)
        if exact is not None:
            if note is not None:
                note(f"location {exact.match.shown}: exactly this path, which ends the search")
            return Found(exact.value, None), True
        found: Found[T] | None = None
        is_final = False
        prefix = self._longest_prefix(path, request, note)
        if prefix is not None:
            found = Found(prefix.value, None)
            is_final = prefix.match.kind is Kind.PREFIX_WITHOUT_REGEX
            if note is not None:
                why = ", and keeps regular expressions out" if is_final else ""
                note(f"location {prefix.match.shown}: the longest prefix{why}")
            if prefix.nested is not None:
                within, ends = prefix.nested._find(path, request, note)  # noqa: SLF001 - its own kind
                found = within or found
                if ends:
                    return found, True
        if is_final:
            return found, False
        by_pattern = self._first_pattern(path, request, note)
        return (found, False) if by_pattern is None else (by_pattern, True)

    def _longest_prefix(self, path: bytes, request: Request, note: Note | None) -> Entry[T] | None:
        at = bisect_right(self._sorted, path) - 1
        prefix = self._prefixes[at] if at >= 0 else None
        while prefix is not None:
            if path.startswith(prefix.path):
                entry = _first(prefix.entries, request, note)
                if entry is not None:
                    return entry
            prefix = prefix.shorter
        return None

    def _first_pattern(self, path: bytes, request: Request, note: Note | None) -> Found[T] | None:
        for entry in self._patterns:
            assert entry.pattern is not None
            match = entry.pattern.search(path)
            if match is None:
                if note is not None:
                    note(f"location {entry.match.shown}: does not match")
                continue
            if _first((entry,), request, note) is None:
                continue
            if note is not None:
                note(f"location {entry.match.shown}: the first regular expression that matches")
            within = None
            if entry.nested is not None:
                within = entry.nested.find(path, request, note)
            if within is None:
                return Found(entry.value, match)
            # What is within has the groups of the outer one, unless it has groups of its own.
            if within.match is None:
                return Found(within.value, match)
            return within._replace(around=(match, *within.around))
        return None


def _first(entries: Sequence[Entry[T]], request: Request, note: Note | None) -> Entry[T] | None:
    """Return the first of `entries` whose condition holds."""
    for entry in entries:
        if entry.condition is None or entry.condition(request):
            return entry
        if note is not None:
            note(f"location {entry.match.shown}: passed over, for its condition does not hold")
    return None


def _link(prefixes: Sequence[_Prefix[T]]) -> None:
    """Link each of the sorted `prefixes` to the longest other one that it begins with."""
    open_ones: list[_Prefix[T]] = []
    for prefix in prefixes:
        while open_ones and not prefix.path.startswith(open_ones[-1].path):
            open_ones.pop()
        prefix.shorter = open_ones[-1] if open_ones else None
        open_ones.append(prefix)
