"""Sites as nginx and chute both know them: a model that Hypothesis fills, and the requests that are made of it.

The model is neither of the two notations: `nginx_routing_texts` writes it down for each server. What the two mean
differently on purpose is not in here; `test_nginx_routing_agrees` shows each such thing by itself, with both answers.
"""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st

Condition = tuple[str, str, str]
"""What is looked at, how, and what with; a variable alone has neither of the latter."""


class Rewrite(NamedTuple):
    regex: str
    to: str
    then: str


class Assign(NamedTuple):
    name: str
    value: str


class Answer(NamedTuple):
    """A status; with a text, which is where to for a redirect, and the content otherwise."""

    status: int
    text: str | None = None


class Break(NamedTuple):
    """Ends the steps, and the location that they are in answers."""


class Step(NamedTuple):
    condition: Condition | None
    act: Rewrite | Assign | Answer | Break


class Place(NamedTuple):
    """A location.

    Attributes:
        match: as both write it.
        steps: are taken first.
        answer: its echo (None), a status or a redirect, or `@name`, which tries a file that is not there first.
        is_internal: whether only the server leads there.
        pages: error pages of its own, by status.
        within: locations in it.
    """

    match: str
    steps: tuple[Step, ...] = ()
    answer: Answer | str | None = None
    is_internal: bool = False
    pages: tuple[tuple[int, str], ...] = ()
    within: tuple[Place, ...] = ()

    @property
    def tries_files(self) -> bool:
        return isinstance(self.answer, str) or any(place.tries_files for place in self.within)


class Site(NamedTuple):
    """A site; `shows_groups` tells whether `$1` is looked at, or else maps that have regular expressions."""

    kinds: tuple[str, ...]
    steps: tuple[Step, ...]
    places: tuple[Place, ...]
    pages: tuple[tuple[int, str], ...]
    shows_groups: bool

    @property
    def tries_files(self) -> bool:
        return any(place.tries_files for place in self.places)


class Asked(NamedTuple):
    """A request for a site; the host is one of those that such a name leads to, or nearly."""

    method: str
    version: str
    host: tuple[str, str]
    is_absolute: bool
    target: str
    lines: tuple[str, ...]


class Map(NamedTuple):
    source: str
    values: tuple[tuple[str, str], ...]
    default: str


# ------------------------------------------------------------------ what there is to choose from

STATUSES = (403, 404, 410, 503)
NAMES = {
    "exact": ("s{}.test", ("s{}.test", "S{}.Test", "s{}.test:8080", "s{}.test.")),
    "suffix": ("*.w{}.test", ("a.w{}.test", "a.b.W{}.test", "w{}.test")),
    "prefix": ("p{}.*", ("p{}.org", "P{}.co.uk", "p{}")),
    "both": (".d{}.test", ("d{}.test", "x.d{}.test", "xd{}.test")),
    "regex": (r"~^(?<who>[a-z]+)-(\d+)\.r{}\.test$", ("ab-12.r{}.test", "AB-1.R{}.test", "-1.r{}.test")),
}  # fmt: skip
"""The kinds of names of a site: how it is written for site number `{}`, and hosts that are asked for."""

REGEXES = (
    r"^/a/(.*)$", r"^/([^/]+)/(.*)$", r"^/(b+)(c)?$", r"^/", r"\.php$", r"^/a/(?<tail>[^/]*)",
    r"^/(?<head>[^/]*)/", r"(?i)^/C", r"/b/(.+)$", r"^/$", r" (.)",
)  # fmt: skip
PATHS = (
    "/a/$1", "/b/x.php", "/c", "/c?y=$1", "/b/$arg_x", "/a/b?", "/c?x=2&y=$v?", "/b/$tail", "/", "/a$uri",
    "/c/$1?u=$uri", "/n/$head", "/page", "/x$2-$1", "/a/$host?h=$host&q=$arg_y", "https://else.test/$1", "http://$host$uri?",
    "$scheme://else.test/?x=$arg_x",
)  # fmt: skip
TARGETS = (
    "/moved/$1", "/moved$uri?$args", "https://else.test$request_uri", "$scheme://$host/x", "/m?x=$arg_x", "/z?",
    "/z?$1", "/who/$who/$tail", "$uri", "$request_uri", "/m/$m0#part",
)  # fmt: skip
VALUES = (
    "$arg_x", "$1", "a", "$uri-$args", "${http_x_y}b", "$v$v", "$m0", "$m1", "$cookie_c", "$host", "", "$tail.$2",
    "$is_args$args", "0",
)  # fmt: skip
LEFTS = (
    "$arg_x", "$http_x_y", "$cookie_c", "$uri", "$request_method", "$v", "$w", "$m0", "$m1", "$host", "$args",
    "$request_uri", "$who",
)  # fmt: skip
RIGHTS = ("a", "POST", "1", "2", "/a/b", "x-1", "$arg_y", "$v", "ab")
PATTERNS = ("^a", "B", "^$", "(1)", "^/a/(.*)", "[0-9]$", "(?<tail>b.?)", r"x=([^&]*)")
TEXTS = ("said $uri", "said $1 $v", "said ${arg_x}.", "said $m0 $m1")
PAGES = ("/page", "@page", "/page?why=x", "/a/b", "@other", "/inner")
MATCHES = (
    "/", "/a", "/a/", "/a/b", "/a/b/", "/b", "= /c", "= /", "= /a/b", "^~ /a/b", "^~ /c", r"~ \.php$", "~* ^/C",
    "~ ^/b/(x.*)", "~ ^/(?<tail>[^/]+)/b", r"~* \.PHP$", "~ b$", "/c/", "~ ^/é", "= /a b",
)  # fmt: skip
WITHIN = {
    "": (
        "/",
        "/a/b",
        "/a/b/c",
        "= /a/b",
        "~ b$",
        r"~* \.Php",
        "^~ /a/b/",
        "/b/x",
        "~ ^/a/(.)",
        "/c/b",
        "= /b",
    ),
    "~": ("~ b$", r"~* \.PHP", "~ ^/a/(.)"),
}
SEGMENTS = (
    "/a", "/b", "/c", "/a/b", "/x.php", "/", "/%61", "/b%20c", "//a", "/./b", "/C", "/ab1", "/a/../b", "/%2e/b",
    "/a%2fb", "/%c3%a9", "/a+b", "/a;x", "/b%3fx", "/bb", "/b%26", "/%e9", "/a=%22",
)  # fmt: skip
ODD_PATHS = (
    "/..",
    "/a/../../b",
    "/%2e%2e/a",
    "/%zz",
    "/%",
    "/a/%00",
    "/a/b/c/d",
    "/inner",
    "/page",
    "/.",
)
QUERIES = (
    "", "", "?", "?x=a", "?x=1&y=2", "?X=B", "?y=%20&x=a%2Fb", "?ax=1", "?x", "?x=&x=2", "?z&x=0", "?z=b?c", "?&&x=1",
    "?x==&y=a", '?x="q"&y=%e9', "?y=a&x=a", "?y=/",
)  # fmt: skip
FIELDS = (
    (), (), ("X-Y: a",), ("X-Y: x-1", "Cookie: c=1"), ("Cookie: b=2; c=a; C=9",), ("Cookie: cc=1; c =B",),
    ("x-y:   B  ",), ("Cookie: d=1", "Cookie: c=ab"), ("X-Y: x-b", "Cookie: c=/a/b"), ("Cookie: c", "X-Y: 0"),
    ("X-Y:",),
)  # fmt: skip
KEYS = ("a", "B", "1", "POST", "ab", "x-1", "", "/a/b", "s1.test")
REGEX_KEYS = ("~^x-(?<part>.)", "~*b", "~^$", "~*^(A)(.)?")
MAPPED = ("mapped", "", "$arg_y", "to-$host", "$uri", "0", "a", "<$args>")
SOURCES = ("$arg_x", "$http_x_y", "$cookie_c", "$cookie_c$arg_x", "$host", "$uri", "$v")

MAPS = 8
"""So many texts are mapped; and so many maps more have regular expressions."""


# ------------------------------------------------------------------ how it is chosen


def _each(*values):  # noqa: ANN002, ANN202
    return st.sampled_from(values)


conditions = st.one_of(
    st.tuples(_each(*LEFTS), st.just(""), st.just("")),
    st.tuples(_each(*LEFTS), _each("=", "!="), _each(*RIGHTS)),
    st.tuples(_each(*LEFTS), _each("~", "~*", "!~", "!~*"), _each(*PATTERNS)),
)
CIRCLES = (Rewrite("^/(.*)$", "/a/$1", "last"), Rewrite("^", "/b$uri", ""), Rewrite("b$", "/a/b", "last"))  # fmt: skip
"""Rewrites that lead to where they are taken again, in many a site."""

rewrites = st.one_of(
    *[
        st.builds(Rewrite, _each(*REGEXES), _each(*PATHS), _each(then))
        for then in ("", "last", "last", "break", "redirect", "permanent")
    ],
    _each(*CIRCLES),
)
assigns = st.builds(Assign, _each("v", "w"), _each(*VALUES))
answers = st.one_of(
    st.builds(Answer, _each(*STATUSES, 204, 200), st.none()),
    st.builds(Answer, _each(301, 302, 303, 307, 308), _each(*TARGETS)),
    st.builds(Answer, _each(200, 404, 503), _each(*TEXTS)),
)
steps = st.one_of(
    st.builds(Step, st.one_of(st.none(), conditions), rewrites),
    st.builds(Step, st.one_of(st.none(), conditions), assigns),
    # What ends the steps in any case would hide all that comes after them.
    st.builds(Step, conditions, st.one_of(answers, answers, st.just(Break()))),
)
some_steps = st.lists(steps, max_size=3).map(tuple)
pages = st.one_of(
    st.just(()),
    st.just(()),
    st.tuples(*(st.tuples(st.just(status), _each(*PAGES)) for status in STATUSES)),
)


def _place(match: str, within: st.SearchStrategy[tuple[Place, ...]]) -> st.SearchStrategy[Place]:
    answer = st.one_of(st.none(), st.none(), st.none(), answers, _each("@page", "@other"))
    is_internal = _each(False, False, False, False, True)
    made = st.builds(Place, st.just(match), some_steps, answer, is_internal, pages, within)
    return made.map(_without_conditions)


def _without_conditions(place: Place) -> Place:
    """Take the conditions from a place that tries files: where an `if` of nginx holds, it forgets to try."""
    if not isinstance(place.answer, str):
        return place
    steps = tuple(
        step._replace(condition=None) for step in place.steps if not isinstance(step.act, Answer | Break)
    )  # fmt: skip
    return place._replace(steps=steps, within=())


def _may_be_within(match: str, outer: str) -> bool:
    modifier, _, path = match.rpartition(" ")
    return modifier.startswith("~") or path.startswith(outer.rpartition(" ")[2])


def _places(matches: tuple[str, ...], depth: int) -> st.SearchStrategy[tuple[Place, ...]]:
    """Return what makes locations for some of `matches`, and others within them."""

    def around(match: str) -> st.SearchStrategy[Place]:
        regex = "~" if match.startswith("~") else ""
        inner = tuple(each for each in WITHIN[regex] if regex or _may_be_within(each, match))
        is_outer = depth > 0 and inner and not match.startswith("=")
        return _place(match, _places(inner, depth - 1) if is_outer else st.just(()))

    count_max = 5 if depth == DEPTH else 2
    some = _each(*matches).flatmap(around)
    return st.lists(some, max_size=count_max, unique_by=_what_it_is_for).map(tuple)


def _what_it_is_for(place: Place) -> str:
    """Return what no two locations of a level may have in common."""
    return place.match.removeprefix("^~ ")


def _with_the_rest(places: tuple[Place, ...], has_the_rest: bool) -> tuple[Place, ...]:
    """Add a location for what the others are not for."""
    is_there = any(place.match == "/" for place in places)
    return places if is_there or not has_the_rest else (*places, Place("/"))


DEPTH = 2

sites = st.builds(
    Site,
    st.lists(_each(*NAMES), min_size=1, max_size=3, unique=True).map(tuple),
    some_steps,
    st.builds(_with_the_rest, _places(MATCHES, DEPTH), _each(True, True, True, False)),
    pages,
    st.booleans(),
)
plain_paths = st.lists(_each(*SEGMENTS), min_size=1, max_size=3).map("".join)
paths = _each(*[plain_paths] * 11, _each(*ODD_PATHS)).flatmap(lambda some: some)
targets = st.builds("{}{}".format, paths, _each(*QUERIES))
requests = st.builds(
    Asked,
    _each("GET", "GET", "GET", "GET", "POST", "HEAD"),
    _each("1.1", "1.1", "1.1", "1.1", "1.1", "1.1", "1.1", "1.0"),
    st.tuples(_each(*"abcde"), _each(*"abcd")),
    _each(False, False, False, False, False, False, True),
    targets,
    _each(*FIELDS),
)


def _key(pair: tuple[str, str]) -> str:
    return pair[0].lower()


regex_pairs = st.tuples(_each(*REGEX_KEYS), _each(*MAPPED, "r-$part", "$1-$2"))
maps = st.builds(
    Map,
    _each(*SOURCES),
    st.lists(st.tuples(_each(*KEYS), _each(*MAPPED)), max_size=4, unique_by=_key).map(tuple),
    _each(*MAPPED),
)
regex_maps = st.builds(
    lambda source, texts, regexes, default: Map(source, (*texts, *regexes), default),
    _each(*SOURCES[:5]),
    st.lists(st.tuples(_each(*KEYS), _each(*MAPPED)), max_size=1).map(tuple),
    st.lists(regex_pairs, min_size=1, max_size=3, unique_by=_key).map(tuple),
    _each(*MAPPED),
)
