"""nginx as the oracle for the choice of a location: whole sets of locations, and many targets for each of them.

Both are given the same set, in the same notation. nginx is sent the target as it is; here it is decoded by
`decode_path` and looked for by `Locations.find`. Equal must be the name of the location, and the first group of the
regular expression that matched last; or else that there is none (404), or that the target is refused (400).

One difference is known, and compared as exactly as all else. nginx takes a literal location within a regular expression
into its configuration and never looks at it: `ngx_http_init_locations` splits the regular expressions off the list
that `ngx_http_init_static_location_trees` then makes trees of, so what is within them never gets one. chute finds such
a location; where there is one, nginx must answer as chute does without it.

Not drawn are targets that are no valid request line for chute (`#`, octets beyond ASCII, blanks), since those never
get as far as a location; and locations that nginx takes and `parse_match` refuses, those without a leading slash.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import strategies as st

from chute.errors import PeerError
from chute.exchange import Request
from chute.routing.locations import Entry, Kind, Locations, Match, parse_match
from chute.semantics.messages import RequestHead
from chute.semantics.target import decode_path, split_target
from nginx_locations import answering_nginx, answers, drawn, quoted
from oracle import NGINX

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

SITES = 340
TARGETS = 40

REQUEST = Request(RequestHead(b"GET", b"/", 1, []), b"/", None, b"")

REGEXES = (Kind.REGEX, Kind.REGEX_IGNORING_CASE)


class Place(NamedTuple):
    """A location, as both are told of it."""

    notation: str
    nested: tuple[Place, ...] = ()


class Site(NamedTuple):
    """A set of locations, and what is asked of it."""

    places: tuple[Place, ...]
    targets: tuple[bytes, ...]


# Few pieces, so that paths often begin with each other. The last two are two bytes in UTF-8, and one that is no UTF-8.
PIECES = ["a", "a", "b", "/", "/", "/a", "/b/", "A", ".php", "-", " ", "%", "\u00e9", "\udcff"]

# They mean the same to PCRE and to `re`.
PATTERNS = [
    r"\.php$", r"^/a", r"^/A", r"^/(a|b)/", r"/(a+)$", r"^/([^/]+)/?$", r"a", r"B$", r"^/a/(.*)$", r"(?:)", r"^$",
    r"/b(/.*)?$", r"^/a.b", r"\s", r"(a)|(b)", "\u00e9",
]  # fmt: skip

# A modifier that stands apart is a word of its own to nginx.
APART = re.compile(r"(=|\^~|~\*?) (.*)", re.DOTALL)

# A literal location may stand within a regular expression only where its path begins with the text of it.
PLAIN_PATTERNS = ["/a", "/b", "/a/", "/"]

TAILS = [
    b"", b"", b"", b"a", b"/", b"/a", b"b", b".php", b"/a.php", b"x/b", b"A", b"\n", b"/a b", b"?", b"#", b"%", b"..",
    b"\\",
]  # fmt: skip


def every_octet(path: bytes) -> bytes:
    return b"/" + b"".join(b"%%%02x" % octet for octet in path[1:])


def as_written(path: bytes) -> bytes:
    return quote_from_bytes(path, safe="/~!$&'()*+,;=:@").encode()


# What a target may look like. Most lead to the path that they were made of, and some to another, or nowhere.
DISGUISES = {
    "as written": as_written,
    "as written again": as_written,
    "every octet escaped": every_octet,
    "slashes doubled": lambda path: as_written(path).replace(b"/", b"//"),
    "slashes escaped": lambda path: b"/" + as_written(path[1:]).replace(b"/", b"%2f"),
    "with segments of one dot": lambda path: as_written(path).replace(b"/", b"/./"),
    "with a segment of one escaped dot at the end": lambda path: as_written(path) + b"/%2e",
    "back and forth": lambda path: b"/x/y/../.." + as_written(path),
    "back and forth, escaped": lambda path: b"/x/%2E%2e" + as_written(path),
    "one up at the end": lambda path: as_written(path) + b"/..",
    "with a query": lambda path: as_written(path) + b"?/a/../b.php",
    "escapes escaped": lambda path: as_written(as_written(path)),
    "above the root": lambda path: b"/x/../.." + as_written(path),
    "with a NUL": lambda path: as_written(path) + b"%00",
    "with half an escape": lambda path: as_written(path) + b"%4",
    "with no escape": lambda path: as_written(path) + b"%zz",
}


@st.composite
def literals(draw: st.DrawFn, beneath: str, modifiers: list[str]) -> str:
    path = beneath + "".join(draw(st.lists(st.sampled_from(PIECES), max_size=3)))
    # A blank at the end would be part of the path to nginx, which is given it in quotes.
    return draw(st.sampled_from(modifiers)) + path.rstrip(" ")


def same_place(notation: str) -> tuple[object, ...]:
    """Return what two locations must not have in common: nginx refuses duplicates."""
    match = parse_match(notation)
    return (match.kind if match.kind in (*REGEXES, Kind.EXACT) else Kind.PREFIX, match.text)


@st.composite
def levels(draw: st.DrawFn, within: Match | None, depth: int) -> tuple[Place, ...]:
    """Make the locations of one level, where nginx allows them."""
    kinds = [
        st.builds(
            str.__add__, st.sampled_from(["~ ", "~", "~* ", "~*"]), st.sampled_from(PATTERNS)
        ),
        st.builds(str.__add__, st.sampled_from(["~ ", "~* "]), st.sampled_from(PLAIN_PATTERNS)),
    ]
    beneath = "/" if within is None else within.text
    if beneath.startswith("/"):
        kinds += [
            literals(beneath, ["", "", "^~ ", "^~"]),
            literals(beneath, [""]),
            literals(beneath, ["= ", "="]),
        ]
    notations = draw(
        st.lists(
            st.one_of(kinds),
            min_size=1,
            max_size=8 if depth == 0 else 3,
            unique_by=same_place,
        )
    )
    places = []
    for notation in notations:
        match = parse_match(notation)
        nested: tuple[Place, ...] = ()
        if depth < 2 and match.kind is not Kind.EXACT and draw(st.integers(0, 2)) == 0:
            nested = draw(levels(match, depth + 1))
        places.append(Place(notation, nested))
    return tuple(places)


def literal_paths(places: tuple[Place, ...]) -> Iterator[bytes]:
    for place in places:
        match = parse_match(place.notation)
        if match.kind not in REGEXES or match.text in PLAIN_PATTERNS:
            yield match.text.encode("utf-8", "surrogateescape")
        yield from literal_paths(place.nested)


@st.composite
def sites(draw: st.DrawFn) -> Site:
    places = draw(levels(None, 0))
    known = sorted({b"/", b"/a", b"/a/b", b"/b/a/", *literal_paths(places)})
    target = st.builds(
        lambda path, tail, disguise: DISGUISES[disguise](path + tail),
        st.sampled_from(known),
        st.sampled_from(TAILS),
        st.sampled_from(list(DISGUISES)),
    )
    targets = draw(st.lists(target, min_size=TARGETS, max_size=TARGETS, unique=True))
    return Site(places, tuple(targets))


# --------------------------------------------------------------------------- the two renderings


def for_nginx(places: tuple[Place, ...], prefix: str = "L") -> str:
    """Return the locations as nginx has them; each answers with its name and the first group."""
    text = ""
    for index, (notation, nested) in enumerate(places):
        name = f"{prefix}.{index}"
        apart = APART.fullmatch(notation)
        words = [notation] if apart is None else [apart[1], apart[2]]
        shown = " ".join(quoted(word) for word in words)
        text += f'location {shown} {{ return 200 "{name} $1"; {for_nginx(nested, name)} }}\n'
    return text


def for_chute(
    places: tuple[Place, ...],
    prefix: str = "L",
    *,
    within_regex: bool = False,
    leaves_out: bool = True,
) -> Locations[str]:
    """Return the locations as chute has them; literal ones within regular expressions are left out, or not."""
    entries = []
    for index, (notation, nested) in enumerate(places):
        match = parse_match(notation)
        if within_regex and leaves_out and match.kind not in REGEXES:
            continue
        pattern = None
        if match.kind in REGEXES:
            flags = re.IGNORECASE if match.kind is Kind.REGEX_IGNORING_CASE else 0
            pattern = re.compile(match.text.encode("utf-8", "surrogateescape"), flags)
        name = f"{prefix}.{index}"
        within = for_chute(nested, name, within_regex=pattern is not None, leaves_out=leaves_out)
        entries.append(Entry(match, name, pattern=pattern, nested=within if nested else None))
    return Locations(entries)


def our_answer(locations: Locations[str], target: bytes) -> str | int:
    """Return what nginx must answer."""
    try:
        path = decode_path(split_target(b"GET", target).path)
    except PeerError:
        return 400
    found = locations.find(path, REQUEST)
    if found is None:
        return 404
    group = b""
    if found.match is not None and found.match.re.groups:
        group = found.match[1] or b""
    return f"{found.value} {group.decode('latin-1')}"


@pytest.fixture(scope="module")
def compared(
    tmp_path_factory: pytest.TempPathFactory,
) -> list[tuple[Site, bytes, str | int, str | int]]:
    """Every case: a set of locations, a target, their answer and ours."""
    place: Path = tmp_path_factory.mktemp("l")
    place.chmod(0o755)
    cases = list(dict.fromkeys(drawn(sites(), SITES)))
    listening = place / "s"
    servers = "".join(
        f"server {{ listen unix:{listening}; server_name s{number}; {for_nginx(site.places)} }}\n"
        for number, site in enumerate(cases)
    )
    found = []
    with answering_nginx(servers, place, listening):
        for number, site in enumerate(cases):
            requests = [
                b"GET %b HTTP/1.1\r\nHost: s%d\r\n\r\n" % (target, number)
                for target in site.targets
            ]
            theirs = answers(listening, requests)
            locations = for_chute(site.places)
            found += [
                (site, target, their_answer, our_answer(locations, target))
                for target, their_answer in zip(site.targets, theirs, strict=True)
            ]
    return found


def test_same_location_answers(compared: list[tuple[Site, bytes, str | int, str | int]]):
    assert len({(site.places, target) for site, target, _, _ in compared}) >= 10_000
    for site, target, theirs, ours in compared:
        shown = "" if ours == theirs else for_nginx(site.places)
        assert ours == theirs, (
            f"{target!r} in\n{shown.encode('ascii', 'backslashreplace').decode()}"
        )


def test_known_difference_still_is_one(compared: list[tuple[Site, bytes, str | int, str | int]]):
    """Literal locations within regular expressions are found by chute; that some were drawn is what this shows."""
    differing = 0
    whole: dict[Site, Locations[str]] = {}
    for site, target, theirs, _ in compared:
        if site not in whole:
            whole[site] = for_chute(site.places, leaves_out=False)
        differing += our_answer(whole[site], target) != theirs
    assert differing > 20


def test_cases_reach_every_kind_of_answer(
    compared: list[tuple[Site, bytes, str | int, str | int]],
):
    """What is compared must not be mostly nothing: every kind answers often, at every depth, with a group too."""
    reached: Counter[object] = Counter()
    for site, _, theirs, _ in compared:
        if isinstance(theirs, int):
            reached[theirs] += 1
            continue
        name, _, group = theirs.partition(" ")
        indexes = [int(each) for each in name.split(".")[1:]]
        place = Place("", site.places)
        for index in indexes:
            place = place.nested[index]
        reached[parse_match(place.notation).kind] += 1
        reached["depth", len(indexes)] += 1
        reached["group", bool(group)] += 1
    wanted = [400, 404, *(kind for kind in Kind if kind is not Kind.NAMED)]
    wanted += [("depth", 1), ("depth", 2), ("depth", 3), ("group", True)]
    assert {each: count for each in wanted if (count := reached[each]) < 100} == {}
