"""The search for a location, against the plainest one that there is.

Invariant: bisection and links are a shortcut and nothing else. For every set of locations, at every depth, with
conditions and with several locations of one path, `find` gives what is found by looking at all of them one after the
other; and a location whose condition does not hold is as good as none.

The plain search is nginx's, read off `ngx_http_core_find_location`; that nginx itself does the same is the subject of
tests/agreement.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from hypothesis import example, given, settings
from hypothesis import strategies as st

from chute.exchange import Request
from chute.routing.locations import Entry, Kind, Locations, Match, Note
from chute.semantics.messages import RequestHead

REQUEST = Request(RequestHead(b"GET", b"/", 1, []), b"/", None, b"")

HOLDS: dict[bool | None, Callable[[Request], bool] | None] = {
    None: None,
    True: lambda request: request is REQUEST,
    False: lambda request: request is not REQUEST,
}


class Place(NamedTuple):
    """A location, before it is compiled; `holds` is what its condition says, or None without one."""

    kind: Kind
    text: str
    holds: bool | None = None
    nested: tuple[Place, ...] = ()


# Two letters and a slash, so that most paths begin with others; and two that sort around the slash, and one beyond
# ASCII, which is two bytes.
texts = st.text(st.sampled_from("ab/!~\u00e9"), max_size=5).map("/".__add__)
patterns = st.sampled_from(["a", "^/a", "b$", "(a)(b)?", "//", "(/)$"])
conditions = st.sampled_from([None, None, None, True, False])
literals = st.sampled_from([Kind.EXACT, Kind.PREFIX, Kind.PREFIX, Kind.PREFIX_WITHOUT_REGEX])
literal_places = st.tuples(literals, texts, conditions)
regex_places = st.tuples(st.just(Kind.REGEX), patterns, conditions)
named_places = st.tuples(st.just(Kind.NAMED), st.just("@name"), conditions)
simple_places = st.one_of(literal_places, literal_places, regex_places, named_places).map(
    lambda parts: Place(*parts)
)


def with_nested(inner: st.SearchStrategy[Place]) -> st.SearchStrategy[Place]:
    return st.builds(
        lambda place, nested: place._replace(nested=tuple(nested)),
        simple_places,
        st.lists(inner, min_size=1, max_size=5),
    )


levels = st.lists(st.recursive(simple_places, with_nested, max_leaves=6), max_size=12).map(tuple)


def compiled(places: Sequence[Place], name: str = "") -> Locations[str]:
    return Locations(
        [
            Entry(
                Match(place.kind, place.text),
                f"{name}.{index}",
                pattern=re.compile(place.text.encode()) if place.kind is Kind.REGEX else None,
                nested=compiled(place.nested, f"{name}.{index}") if place.nested else None,
                condition=HOLDS[place.holds],
            )
            for index, place in enumerate(places)
        ]
    )


Answer = tuple[str, tuple[int, int] | None]


def plainly_found(
    places: Sequence[Place], path: bytes, name: str = ""
) -> tuple[Answer | None, bool]:
    """Return the name of the location and the span of its match; and whether no regular expression is to be tried."""
    known = [
        (place, place.text.encode(), f"{name}.{index}")
        for index, place in enumerate(places)
        if place.holds is not False
    ]
    for place, text, own_name in known:
        if place.kind is Kind.EXACT and text == path:
            return (own_name, None), True
    answer: Answer | None = None
    tries_patterns = True
    prefixes = [
        each
        for each in known
        if each[0].kind in (Kind.PREFIX, Kind.PREFIX_WITHOUT_REGEX) and path.startswith(each[1])
    ]
    if prefixes:
        place, _, own_name = max(prefixes, key=lambda each: len(each[1]))
        within, ends = plainly_found(place.nested, path, own_name)
        answer = within or (own_name, None)
        if ends:
            return answer, True
        tries_patterns = place.kind is Kind.PREFIX
    for place, text, own_name in known if tries_patterns else []:
        match = re.search(text, path) if place.kind is Kind.REGEX else None
        if match is not None:
            within, _ = plainly_found(place.nested, path, own_name)
            if within is None:
                return (own_name, match.span()), True
            return (within[0], within[1] or match.span()), True
    return answer, False


def found(locations: Locations[str], path: bytes, note: Note | None = None) -> Answer | None:
    answer = locations.find(path, REQUEST, note)
    return answer and (answer.value, None if answer.match is None else answer.match.span())


prefix = Kind.PREFIX


@settings(deadline=None, max_examples=400)
# The one before the path does not begin it, nor does the one before that: two links lead to the one that does.
@example((Place(prefix, "/a"), Place(prefix, "/aa!"), Place(prefix, "/aa!/")), ["/aab"])
# One that is passed over gives way to the next shorter one, and that to another of the same path.
@example(
    (Place(prefix, "/a", holds=False), Place(prefix, "/a"), Place(prefix, "/ab", holds=False)),
    ["/ab"],
)
# Within a prefix without regex, those of the level within are tried, and those beside it are not.
@example(
    (
        Place(Kind.PREFIX_WITHOUT_REGEX, "/a", nested=(Place(Kind.REGEX, "b$"),)),
        Place(Kind.REGEX, "a"),
    ),
    ["/ab", "/aa"],
)
@given(levels, st.lists(texts, min_size=1, max_size=8))
def test_search_finds_what_looking_at_all_finds(places: tuple[Place, ...], paths: list[str]):
    locations = compiled(places)
    asked = {path.encode() for path in paths}
    # Paths that begin like locations, or are one, are the interesting ones.
    for place in places:
        if place.kind not in (Kind.REGEX, Kind.NAMED):
            asked |= {place.text.encode(), place.text.encode() + paths[0].encode()}
            asked |= {place.text.encode()[:-1] or b"/"}
    for path in sorted(asked):
        assert found(locations, path) == plainly_found(places, path)[0], path


@settings(deadline=None, max_examples=200)
@given(st.lists(texts, unique=True, max_size=40), st.lists(texts, min_size=1, max_size=20))
def test_longest_prefix_is_found_among_many(prefixes: list[str], paths: list[str]):
    locations = compiled([Place(prefix, text) for text in prefixes])
    for path in [*paths, *prefixes]:
        beginning = [each for each in prefixes if path.startswith(each)]
        longest = max(beginning, key=len, default=None)
        expected = None if longest is None else f".{prefixes.index(longest)}"
        answer = locations.find(path.encode(), REQUEST)
        assert (answer and answer.value) == expected


@settings(deadline=None, max_examples=100)
@given(levels, texts)
def test_what_is_told_changes_nothing(places: tuple[Place, ...], path: str):
    locations = compiled(places)
    notes: list[str] = []
    answer = found(locations, path.encode(), notes.append)
    assert answer == found(locations, path.encode())
    assert answer is None or notes
