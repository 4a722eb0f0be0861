"""Locations: how they are written, and which of them answers for a path."""

from __future__ import annotations

import re

import pytest

from chute.errors import ConfigError
from chute.exchange import Request
from chute.routing.locations import Condition, Entry, Found, Kind, Locations, parse_match
from chute.semantics.messages import RequestHead

REQUEST = Request(RequestHead(b"GET", b"/", 1, []), b"/", None, b"")

NOTATIONS = {
    "/": (Kind.PREFIX, "/"),
    "/images/": (Kind.PREFIX, "/images/"),
    "= /x": (Kind.EXACT, "/x"),
    "=/x": (Kind.EXACT, "/x"),
    "=   /x": (Kind.EXACT, "/x"),
    "^~ /assets/": (Kind.PREFIX_WITHOUT_REGEX, "/assets/"),
    "^~/assets/": (Kind.PREFIX_WITHOUT_REGEX, "/assets/"),
    "~ \\.php$": (Kind.REGEX, "\\.php$"),
    "~\\.php$": (Kind.REGEX, "\\.php$"),
    "~* \\.PNG$": (Kind.REGEX_IGNORING_CASE, "\\.PNG$"),
    "~*\\.PNG$": (Kind.REGEX_IGNORING_CASE, "\\.PNG$"),
    "~^": (Kind.REGEX, "^"),
    "~ *": (Kind.REGEX, "*"),
    "~ /with blanks in it$": (Kind.REGEX, "/with blanks in it$"),
    "/with blanks in it": (Kind.PREFIX, "/with blanks in it"),
    "  /a  ": (Kind.PREFIX, "/a"),
    "/a=b~c^~d": (Kind.PREFIX, "/a=b~c^~d"),
    "@fallback": (Kind.NAMED, "@fallback"),
    "@a-b_c.1": (Kind.NAMED, "@a-b_c.1"),
    "/b\u00fccher/": (Kind.PREFIX, "/b\u00fccher/"),
}


@pytest.mark.parametrize(("notation", "expected"), NOTATIONS.items(), ids=NOTATIONS.keys())
def test_notation_is_read(notation: str, expected: tuple[Kind, str]):
    assert tuple(parse_match(notation)) == expected


@pytest.mark.parametrize("notation", NOTATIONS)
def test_what_is_shown_means_the_same(notation: str):
    match = parse_match(notation)
    assert parse_match(match.shown) == match


NONSENSE = {
    "nothing": "",
    "blanks": "   ",
    "no leading slash": "images/",
    "exact without a path": "=",
    "exact with blanks": "=  ",
    "exact without a leading slash": "= x",
    "prefix without a path": "^~",
    "prefix without a leading slash": "^~ x",
    "an unknown modifier": "== /x",
    "half a modifier": "^ /x",
    "a regular expression that is not there": "~",
    "one without case that is not there": "~*",
    "a name that is not there": "@",
    "a name with a blank": "@a b",
    "a name with a slash": "@a/b",
    "a modifier before a name": "= @a",
}


@pytest.mark.parametrize("notation", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_is_refused_with_an_example(notation: str):
    with pytest.raises(ConfigError) as error:
        parse_match(notation)
    assert "'= /'" in error.value.hint


# --------------------------------------------------------------------------- the search


def entry(
    notation: str, *nested: Entry[str], condition: Condition | None = None, value: str = ""
) -> Entry[str]:
    """Make a location whose value is how it is written, unless it is given another."""
    match = parse_match(notation)
    pattern = None
    if match.kind in (Kind.REGEX, Kind.REGEX_IGNORING_CASE):
        flags = re.IGNORECASE if match.kind is Kind.REGEX_IGNORING_CASE else 0
        pattern = re.compile(match.text.encode(), flags)
    within = Locations(nested) if nested else None
    return Entry(match, value or notation, pattern, within, condition)


def answer(path: str, *entries: Entry[str]) -> str | None:
    found = Locations(entries).find(path.encode(), REQUEST)
    return None if found is None else found.value


def holds(request: Request) -> bool:
    return request is REQUEST


def fails(request: Request) -> bool:
    return request is not REQUEST


# The example of nginx's own documentation, with a few more paths.
DOCUMENTED = ["= /", "/", "/documents/", "^~ /images/", "~* \\.(gif|jpg|jpeg)$"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "= /"),
        ("/index.html", "/"),
        ("/documents/document.html", "/documents/"),
        ("/images/1.gif", "^~ /images/"),
        ("/documents/1.jpg", "~* \\.(gif|jpg|jpeg)$"),
        ("/documents/1.JPG", "~* \\.(gif|jpg|jpeg)$"),
        ("/documents", "/"),
        ("/IMAGES/1", "/"),
    ],
)
def test_documented_example_is_kept(path: str, expected: str):
    assert answer(path, *map(entry, DOCUMENTED)) == expected
    assert answer(path, *map(entry, reversed(DOCUMENTED))) == expected, "their order does not count"


def test_nothing_is_found_where_nothing_is():
    assert answer("/a") is None
    assert answer("/a", entry("/b"), entry("= /"), entry("~ ^/ab")) is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/abx", "/ab"), ("/abcd", "/abc"), ("/b", "/"), ("/a!", "/a"), ("/abb/", "/abb"), ("/aba", "/ab")],
)  # fmt: skip
def test_longest_prefix_wins_wherever_it_sorts(path: str, expected: str):
    assert answer(path, *map(entry, ["/abc", "/", "/ab", "/abb", "/a", "/b!"])) == expected


def test_first_regex_that_matches_wins_in_the_order_of_writing():
    entries = [entry("~ x"), entry("~ ^/a"), entry("~ a$"), entry("/a")]
    assert answer("/aa", *entries) == "~ ^/a"
    assert answer("/aa", *reversed(entries)) == "~ a$"


def test_named_location_is_for_no_path():
    assert answer("/@a", entry("@a")) is None
    assert answer("@a", entry("@a")) is None


def test_bytes_are_compared_and_not_characters():
    entries = [entry("/b\u00fc"), entry("/b")]
    locations = Locations(entries)
    for path, expected in ((b"/b\xc3\xbcx", "/b\u00fc"), (b"/b\xc3", "/b"), (b"/b\xff", "/b")):
        found = locations.find(path, REQUEST)
        assert found is not None
        assert found.value == expected


def test_location_of_bytes_that_are_no_text_is_found():
    assert Locations([entry("/\udcff")]).find(b"/\xff1", REQUEST) == Found("/\udcff", None)


def test_match_is_handed_out_with_its_groups():
    found = Locations([entry("~ ^/(?P<name>[^/]+)/(.*)$")]).find(b"/a/b/c", REQUEST)
    assert found is not None
    assert found.match is not None
    assert found.match.groups() == (b"a", b"b/c")
    assert found.match["name"] == b"a"


@pytest.mark.parametrize("notation", ["= /a", "/a", "^~ /a"])
def test_literal_location_has_no_match(notation: str):
    found = Locations([entry(notation)]).find(b"/a", REQUEST)
    assert found == Found(notation, None)


# --------------------------------------------------------------------------- levels within levels

NESTED = {
    "prefix within prefix": ("/a/b/c", [entry("/a/", entry("/a/b/"))], "/a/b/"),
    "outer when nothing within it is for the path": ("/a/c", [entry("/a/", entry("/a/b/"))], "/a/"),
    "only the longest prefix is looked into": (
        "/a/b/c",
        [entry("/a/", entry("/a/b/c")), entry("/a/b/")],
        "/a/b/",
    ),
    "exact within": ("/a/b", [entry("/a/", entry("= /a/b")), entry("~ b$")], "= /a/b"),
    "regex within goes before regex beside": (
        "/a/b",
        [entry("~ b$"), entry("/a/", entry("~ ^/a"))],
        "~ ^/a",
    ),
    "regex beside goes before prefix within": (
        "/a/b",
        [entry("~ b$"), entry("/a/", entry("/a/b"))],
        "~ b$",
    ),
    "^~ outside keeps regex beside out": (
        "/a/b",
        [entry("~ b$"), entry("^~ /a/", entry("/a/b"))],
        "/a/b",
    ),
    "^~ outside does not keep regex within out": (
        "/a/b",
        [entry("~ b$"), entry("^~ /a/", entry("~ a"))],
        "~ a",
    ),
    "^~ within keeps regex within out, and not regex beside": (
        "/a/b",
        [entry("~ b$"), entry("/a/", entry("^~ /a/b"), entry("~ a"))],
        "~ b$",
    ),
    "regex within regex": ("/a/b", [entry("~ a", entry("~ b"))], "~ b"),
    "regex whose level has nothing for the path": ("/a/b", [entry("~ a", entry("~ x"))], "~ a"),
    "no way back out of a regex": ("/a/b", [entry("~ a", entry("~ x")), entry("~ b")], "~ a"),
    "literal within regex": ("/a/b", [entry("~ a", entry("/a/"))], "/a/"),
    "exact within regex": ("/a/b", [entry("~ a", entry("= /a/b"), entry("~ b"))], "= /a/b"),
    "three levels": ("/abc", [entry("/a", entry("/ab", entry("/abc"))), entry("/")], "/abc"),
    "nothing is within an exact one": ("/a", [entry("= /a", entry("~ a"))], "= /a"),
}


@pytest.mark.parametrize(("path", "entries", "expected"), NESTED.values(), ids=NESTED.keys())
def test_nested_level_is_searched(path: str, entries: list[Entry[str]], expected: str):
    assert answer(path, *entries) == expected


@pytest.mark.parametrize(
    ("inner", "expected"),
    [("/a", (b"a",)), ("~ b", ()), ("~ (b)", (b"b",))],
    ids=["literal within", "regex without groups within", "regex with groups within"],
)
def test_groups_are_those_of_the_regex_that_matched_last(inner: str, expected: tuple[bytes, ...]):
    found = Locations([entry("~ ^/(a)", entry(inner))]).find(b"/ab", REQUEST)
    assert found is not None
    assert found.value == inner
    assert found.match is not None
    assert found.match.groups() == expected


# --------------------------------------------------------------------------- conditions

CONDITIONS = {
    "one that holds": ([entry("/a", condition=holds)], "/a"),
    "one that fails": ([entry("/a", condition=fails)], None),
    "prefix gives way to the next shorter one": (
        [entry("/"), entry("/a", condition=fails), entry("/ab", condition=fails)],
        "/",
    ),
    "exact gives way to prefix": ([entry("= /ab", condition=fails), entry("/a")], "/a"),
    "regex gives way to the next": ([entry("~ a", condition=fails), entry("~ b")], "~ b"),
    "regex gives way to prefix": ([entry("~ a", condition=fails), entry("/a")], "/a"),
    "^~ that fails keeps nothing out": (
        [entry("^~ /ab", condition=fails), entry("/a"), entry("~ b")],
        "~ b",
    ),
    "first of several with one path": (
        [
            entry("/a", condition=fails, value="first"),
            entry("/a", condition=holds, value="second"),
            entry("/a", value="third"),
        ],
        "second",
    ),
    "first of several that are exact": (
        [entry("= /ab", condition=fails), entry("= /ab", value="second")],
        "second",
    ),
    "what is within one that fails": ([entry("/a", entry("/ab"), condition=fails)], None),
    "what is within a regex that fails": ([entry("~ a", entry("~ b"), condition=fails)], None),
    "^~ and not, of one path": (
        [entry("^~ /a", condition=fails), entry("/a", value="plain"), entry("~ b")],
        "~ b",
    ),
}


@pytest.mark.parametrize(("entries", "expected"), CONDITIONS.values(), ids=CONDITIONS.keys())
def test_location_whose_condition_fails_is_passed_over(
    entries: list[Entry[str]], expected: str | None
):
    assert answer("/ab", *entries) == expected


def test_conditions_are_asked_only_where_the_path_fits():
    asked: list[str] = []

    def asking(notation: str) -> Entry[str]:
        def condition(request: Request) -> bool:
            asked.append(notation)
            return False

        return entry(notation, condition=condition)

    answer("/ab", *map(asking, ["= /a", "= /ab", "/a", "/abc", "/b", "~ x", "~ b"]))
    assert asked == ["= /ab", "/a", "~ b"]


# --------------------------------------------------------------------------- in words

NOTES = {
    "exact": (
        "/a",
        [entry("= /a"), entry("/")],
        ["location = /a: exactly this path, which ends the search"],
    ),
    "longest prefix, and regex that does not match": (
        "/images/a",
        [entry("/"), entry("/images/"), entry("~ \\.php$")],
        ["location /images/: the longest prefix", "location ~ \\.php$: does not match"],
    ),
    "regex that matches": (
        "/a.php",
        [entry("/"), entry("~ \\.php$"), entry("~ a")],
        ["location /: the longest prefix", "location ~ \\.php$: the first regular expression that matches"],
    ),
    "^~": (
        "/images/a.php",
        [entry("^~ /images/"), entry("~ \\.php$")],
        ["location ^~ /images/: the longest prefix, and keeps regular expressions out"],
    ),
    "passed over": (
        "/a",
        [entry("= /a", condition=fails), entry("/a", condition=fails), entry("~ a", condition=fails)],
        [
            f"location {shown}: passed over, for its condition does not hold"
            for shown in ("= /a", "/a", "~ a")
        ],
    ),
    "within": (
        "/ab",
        [entry("/a", entry("/ab"))],
        ["location /a: the longest prefix", "location /ab: the longest prefix"],
    ),
    "within a regex": (
        "/ab",
        [entry("~ a", entry("~ c"))],
        ["location ~ a: the first regular expression that matches", "location ~ c: does not match"],
    ),
    "nothing": ("/a", [entry("/b")], []),
}  # fmt: skip


@pytest.mark.parametrize(("path", "entries", "expected"), NOTES.values(), ids=NOTES.keys())
def test_search_is_told_in_words(path: str, entries: list[Entry[str]], expected: list[str]):
    notes: list[str] = []
    Locations(entries).find(path.encode(), REQUEST, notes.append)
    assert notes == expected


# --------------------------------------------------------------------------- cost


class CountingPath(bytes):
    """A path that counts how often it is asked for its beginning."""

    asked = 0

    def startswith(self, *args: object) -> bool:  # type: ignore[override]
        CountingPath.asked += 1
        return super().startswith(*args)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [10, 10_000])
def test_cost_does_not_depend_on_the_number_of_prefixes(count: int):
    """Neighbours are no beginnings of each other, so one step leads from any of them to `/`."""
    locations = Locations([entry("/"), *(entry(f"/{number:05d}/") for number in range(count))])
    CountingPath.asked = 0
    for path in (b"/00005x", b"/0", b"/00003/a", b"/zzz"):
        assert locations.find(CountingPath(path), REQUEST) is not None
    assert CountingPath.asked <= 8


def test_cost_is_that_of_the_prefixes_that_begin_each_other():
    """Two hundred that begin each other are none of the business of a path beside them."""
    locations = Locations(
        [entry("/"), *(entry(f"/{'a' * count}") for count in range(1, 200)), entry("/b")]
    )
    CountingPath.asked = 0
    assert locations.find(CountingPath(b"/c"), REQUEST) == Found("/", None)
    assert CountingPath.asked == 2
