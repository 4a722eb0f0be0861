"""nginx as the oracle for routing as a whole: which site, which location, which steps, and what every variable is then.

Hypothesis makes sites (`nginx_routing`): names of all kinds, locations within locations, steps before and in them,
maps, error pages. Each is written down for nginx and for chute, one independently of the other; one real nginx and one
real `chute run` serve all of them, and both are asked the same, end to end. An answer names the location that gave it
and tells every variable; a field of every answer, of redirects and failures too, tells some of them once more.

The invariant: both give the same status, Location, echo and field. What may differ is named in `EXPLANATIONS`, each
with what exactly is let through; and `ON_PURPOSE` shows, one by one and with both answers in full, what the two mean
differently, and what is therefore not generated.

`CHUTE_ROUTING_SITES=4000` covers more ground. `CHUTE_ROUTING_EXAMPLES=500` hunts instead: two servers for every
example, one site and its requests, so that what differs is shrunk to the least of it.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from configured import Configured
from nginx_locations import answering_nginx
from nginx_routing import MAPS, Asked, Map, Site, maps, regex_maps, requests, sites
from nginx_routing_texts import SEEN, VARIABLES, chute_text, head_of, nginx_text
from oracle import NGINX
from running import Reply, Wire

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

SITES = int(os.environ.get("CHUTE_ROUTING_SITES", "400"))
REQUESTS = 26
EXAMPLES = int(os.environ.get("CHUTE_ROUTING_EXAMPLES", "0"))

Case = tuple[Site, list[Asked]]


def drawn_apart(
    strategy: st.SearchStrategy, count: int, key: Callable[[Any], object] = lambda example: example
) -> list:
    """Return `count` examples, no two of them with the same key, and the same ones in every run.

    Within one run Hypothesis makes most examples by changing earlier ones a little: right for hunting, but of 400 sites
    only 133 were different. So there are many short runs.
    """
    found: dict[object, object] = {}

    def collect(example: object) -> None:
        found.setdefault(key(example), example)

    for number in range(count):
        apart = settings(
            max_examples=10,
            database=None,
            phases=[Phase.generate],
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        seed(number)(apart(given(strategy)(collect)))()
        if len(found) >= count:
            break
    return list(found.values())[:count]


# ------------------------------------------------------------------ both are asked


class Told(NamedTuple):
    """What a server answers; of its own pages, for failures and redirects, only that they are its own."""

    status: int
    location: str
    seen: str
    echo: str

    @property
    def texts(self) -> list[str]:
        return [self.location, *self.seen.split("|"), *self.echo.split("|")]


def told(reply: Reply) -> Told:
    body = reply.body.decode("latin-1")
    is_its_own = body[:6].lower() in ("<html>", "<!doct")
    location, seen = (reply.get(name) or "" for name in ("location", "x-seen"))
    return Told(reply.status, location, seen, "" if is_its_own else body)


def ask(path: Path, heads: Sequence[bytes]) -> list[Told]:
    """Return the answers in the order of `heads`; a server ends the connection after a refusal, and after HTTP/1.0."""
    found: list[Told] = []
    while len(found) < len(heads):
        before = len(found)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(str(path))
            wire = Wire(sock)
            for start in range(before, len(heads), 50):
                part = heads[start : start + 50]
                try:
                    wire.send(b"".join(part))
                    methods = [head.split(b" ", 1)[0].decode() for head in part]
                    found.extend(told(wire.read_reply(method)) for method in methods)
                except (EOFError, ConnectionError):
                    break
        assert len(found) > before, f"no answer to {heads[before]!r}"
    return found


def both_answer(
    place: Path,
    for_nginx: Callable[[Path], str],
    for_chute: Callable[[Path], str],
    heads: Sequence[bytes],
) -> list[tuple[Told, Told]]:
    """Start both servers in `place`, with what is written for a socket, and return what each answers."""
    nginx_place = place / "nginx"
    nginx_place.mkdir()
    nginx_socket, chute_socket = nginx_place / "sock", place / "sock"
    with answering_nginx(for_nginx(nginx_socket), nginx_place, nginx_socket):
        theirs = ask(nginx_socket, heads)
    configured = Configured(place)
    configured.file.write_text(for_chute(chute_socket))
    chute = configured.start()
    try:
        ours = ask(chute_socket, heads)
    finally:
        assert chute.stop() == 0, chute.errors()
    return list(zip(theirs, ours, strict=True))


# ------------------------------------------------------------------ what may differ


def _differ_in_escapes(theirs: str, ours: str) -> bool:
    """Whether two texts are the same but that an octet is itself in one and percent-encoded in the other."""
    at_theirs = at_ours = 0
    while at_theirs < len(theirs) and at_ours < len(ours):
        one, other = theirs[at_theirs], ours[at_ours]
        if one == other:
            at_theirs, at_ours = at_theirs + 1, at_ours + 1
        elif ours[at_ours : at_ours + 3].upper() == f"%{ord(one):02X}":
            at_theirs, at_ours = at_theirs + 1, at_ours + 3
        elif theirs[at_theirs : at_theirs + 3].upper() == f"%{ord(other):02X}":
            at_theirs, at_ours = at_theirs + 3, at_ours + 1
        else:
            return False
    return theirs != ours and (at_theirs, at_ours) == (len(theirs), len(ours))


def _is_refused(theirs: Told, ours: Told) -> bool:
    return theirs.status == ours.status == 400


def _differs_in_escapes(theirs: Told, ours: Told) -> bool:
    if theirs.status != ours.status or len(theirs.texts) != len(ours.texts):
        return False
    pairs = [pair for pair in zip(theirs.texts, ours.texts, strict=True) if pair[0] != pair[1]]
    return bool(pairs) and all(_differ_in_escapes(*pair) for pair in pairs)


def _begins_with_slashes(theirs: Told, ours: Told) -> bool:
    if not theirs.location.startswith("//"):
        return False
    with_one = theirs._replace(location="/" + theirs.location.lstrip("/"))
    return with_one == ours or _differs_in_escapes(with_one, ours)


def _is_named_page(theirs: Told, ours: Told) -> bool:
    if not (ours.status >= 400 and ours.echo.startswith("@")):
        return False
    echo, seen = theirs.echo.split("|"), theirs.seen.split("|")
    if len(echo) <= len(VARIABLES) or len(seen) <= len(SEEN):
        return False
    echo[1 + VARIABLES.index("request_method")] = seen[1 + SEEN.index("request_method")] = "GET"
    return theirs._replace(echo="|".join(echo), seen="|".join(seen)) == ours


def _is_failing_page(theirs: Told, ours: Told) -> bool:
    both_fail = theirs.status >= 400 and ours.status >= 400 and not theirs.echo
    return both_fail and theirs._replace(status=ours.status) == ours


EXPLANATIONS = {
    "a request that is refused is refused by both, and nginx dresses the refusal": _is_refused,
    "chute encodes what was decoded where it becomes part of a query or a Location": _differs_in_escapes,
    "a Location of chute begins with one slash": _begins_with_slashes,
    "chute asks for an error page with GET, nginx for one with a name by the method that there was": _is_named_page,
    "when an error page fails too, chute keeps the first status, and nginx takes the last": _is_failing_page,
}  # fmt: skip

RARE = 0.02
"""The part of the answers that each explanation may account for at most, but for refusals."""


def explanation(theirs: Told, ours: Told) -> str | None:
    """Return why two answers that differ may do so, or None."""
    return next((why for why, holds in EXPLANATIONS.items() if holds(theirs, ours)), None)


def differences(
    place: Path, cases: Sequence[Case], texts: Sequence[Map], regexes: Sequence[Map]
) -> tuple[list[str], Counter[str], list[Told]]:
    """Ask both; return what nothing explains, how often each explanation was good for one, and chute's answers."""
    made = [site for site, _ in cases]
    asked = [
        (site, head_of(number, site, each))
        for number, (site, some) in enumerate(cases)
        for each in some
    ]
    answered = both_answer(
        place,
        lambda path: nginx_text(made, texts, regexes, path),
        lambda path: chute_text(made, texts, regexes, path),
        [head for _, head in asked],
    )
    found: list[str] = []
    reasons: Counter[str] = Counter()
    for (site, head), (theirs, ours) in zip(asked, answered, strict=True):
        if theirs == ours:
            continue
        why = explanation(theirs, ours)
        if why is None:
            found.append(f"{head!r}\n  nginx: {theirs}\n  chute: {ours}\n  {site}")
        else:
            reasons[why] += 1
    return found, reasons, [ours for _, ours in answered]


# ------------------------------------------------------------------ what was made


@pytest.mark.timeout(600)
def test_sites_answer_as_they_do_with_nginx(tmp_path: Path):
    some_requests = st.lists(requests, min_size=REQUESTS, max_size=REQUESTS)
    cases = drawn_apart(st.tuples(sites, some_requests), SITES, lambda case: case[0])
    texts, regexes = drawn_apart(maps, MAPS), drawn_apart(regex_maps, MAPS)
    count = len(cases) * REQUESTS
    assert count >= min(10_000, SITES * REQUESTS)
    found, reasons, answers = differences(tmp_path, cases, texts, regexes)
    assert not found, f"{len(found)} of {count}:\n" + "\n".join(found[:5])
    refusals = next(iter(EXPLANATIONS))
    assert all(number <= RARE * count for why, number in reasons.items() if why != refusals), (
        reasons
    )
    # A generator that makes nothing but failures would agree about everything.
    statuses = Counter(answer.status for answer in answers)
    assert statuses[200] > count / 3, statuses
    assert all(statuses[status] for status in (204, 301, 302, 303, 307, 308, 400, 403, 404, 410, 500, 503))  # fmt: skip


@pytest.mark.skipif(not EXAMPLES, reason="CHUTE_ROUTING_EXAMPLES is not set")
@pytest.mark.timeout(0)
@settings(max_examples=EXAMPLES or 1, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    case=st.tuples(sites, st.lists(requests, min_size=1, max_size=200)),
    texts=st.lists(maps, min_size=MAPS, max_size=MAPS),
    regexes=st.lists(regex_maps, min_size=MAPS, max_size=MAPS),
)
def test_one_site_answers_as_it_does_with_nginx(case: Case, texts: list[Map], regexes: list[Map]):
    with tempfile.TemporaryDirectory() as place:
        found, _, _ = differences(Path(place), [case], texts, regexes)
    assert not found, "\n".join(found)


# ------------------------------------------------------------------ what is meant differently


class Difference(NamedTuple):
    """A difference on purpose: what is written for each, the request, and both answers."""

    for_nginx: str
    for_chute: str
    request: str
    theirs: tuple[int, str, str]
    ours: tuple[int, str, str]


NGINX_ANYWHERE = 'location / { return 200 "$uri|$args"; }'
CHUTE_ANYWHERE = '[[site.location]]\nmatch = "/"\nrespond = "$uri|$args"'

ON_PURPOSE = {
    # A line break in a path would end the field, and begin another (T24).
    "decoded path in a redirect": Difference(
        'return 302 "/to$uri";',
        'rewrite = [{ redirect = "/to$uri" }]',
        "GET /a%20%0d%0aX-Evil:%20b",
        (302, "/to/a", ""),
        (302, "/to/a%20%0D%0AX-Evil:%20b", ""),
    ),
    "decoded path in a query": Difference(
        f'location /a {{ rewrite "^" "/b?u=$uri" last; }} {NGINX_ANYWHERE}',
        '[[site.location]]\nmatch = "/a"\nrewrite = [{ to = "/b?u=$uri", then = "last" }]\nrespond = 404\n'
        + CHUTE_ANYWHERE,
        "GET /a%26x=1?y",
        (200, "", "/b|u=/a&x=1&y"),
        (200, "", "/b|u=/a%26x=1&y"),
    ),
    # A browser takes what follows for a host (T24).
    "two slashes before a Location": Difference(
        'return 302 "$request_uri";',
        'rewrite = [{ redirect = "$request_uri" }]',
        "GET //else.test/a",
        (302, "//else.test/a", ""),
        (302, "/else.test/a", ""),
    ),
    "a redirect that the client leads": Difference(
        'return 302 "$arg_to";',
        'rewrite = [{ redirect = "$arg_to" }]',
        "GET /?to=https://else.test/",
        (302, "https://else.test/", ""),
        (302, "/https://else.test/", ""),
    ),
    "two slashes in a rewritten path": Difference(
        f'rewrite "^/a/(.*)$" "/b//$1"; {NGINX_ANYWHERE}',
        f'rewrite = [{{ match = "^/a/(.*)$", to = "/b//$1" }}]\n{CHUTE_ANYWHERE}',
        "GET /a/c",
        (200, "", "/b//c|"),
        (200, "", "/b/c|"),
    ),
    "dot segments in a rewritten path": Difference(
        f'rewrite "^/a$" "/b/c/$arg_x?"; {NGINX_ANYWHERE}',
        f'rewrite = [{{ match = "^/a$", to = "/b/c/$arg_x?" }}]\n{CHUTE_ANYWHERE}',
        "GET /a?x=../d",
        (200, "", "/b/c/../d|"),
        (200, "", "/b/d|"),
    ),
    "a rewritten path that climbs above the root": Difference(
        f'rewrite "^/a$" "/b/$arg_x?"; {NGINX_ANYWHERE}',
        f'rewrite = [{{ match = "^/a$", to = "/b/$arg_x?" }}]\n{CHUTE_ANYWHERE}',
        "GET /a?x=../../c",
        (200, "", "/b/../../c|"),
        (400, "", ""),
    ),
    # nginx decodes what it redirects to once more, and loses what is no escape.
    "percent sign in a redirect by rewrite": Difference(
        'rewrite "^/a/(.*)$" "/b$uri" redirect;',
        'rewrite = [{ match = "^/a/(.*)$", to = "/b$uri", then = "redirect" }]',
        "GET /a/%25/c",
        (302, "/b/a//c", ""),
        (302, "/b/a/%25/c", ""),
    ),
    "question mark within the path of a redirect": Difference(
        'rewrite "^/a$" "/b/$arg_x" redirect;',
        'rewrite = [{ match = "^/a$", to = "/b/$arg_x", then = "redirect" }]',
        "GET /a?x=c?d",
        (302, "/b/c?d?x=c?d", ""),
        (302, "/b/c?d&x=c?d", ""),
    ),
    # A field that is a list may come in several lines (RFC 9110, 5.3).
    "a field in two lines": Difference(
        'location / { return 200 "$http_x_y"; }',
        '[[site.location]]\nmatch = "/"\nrespond = "$http_x_y"',
        "GET /\nX-Y: a\nX-Y: b",
        (200, "", "a"),
        (200, "", "a, b"),
    ),
    "groups of a map": Difference(
        'location ~ "^/(.*)" { set $v "$mapped"; return 200 "$mapped $1"; }',
        '[[site.location]]\nmatch = "~ ^/(.*)"\nrewrite = [{ set = "v", to = "$mapped" }]\nrespond = "$mapped $1"',
        "GET /a\nX-Y: bc",
        (200, "", "<c> c"),
        (200, "", "<c> a"),
    ),
    # Without `volatile` nginx looks once, and a rewrite that changes what was looked up changes nothing.
    "a map after a rewrite": Difference(
        'set $v "$by_path"; rewrite "^/a$" /b; location / { return 200 "$v $by_path"; }',
        'rewrite = [{ set = "v", to = "$by_path" }, { match = "^/a$", to = "/b" }]\n'
        '[[site.location]]\nmatch = "/"\nrespond = "$v $by_path"',
        "GET /a",
        (200, "", "first first"),
        (200, "", "first second"),
    ),
    "an own query that is empty": Difference(
        f'rewrite "^/a$" "/b?$arg_x"; {NGINX_ANYWHERE}',
        f'rewrite = [{{ match = "^/a$", to = "/b?$arg_x" }}]\n{CHUTE_ANYWHERE}',
        "GET /a?y=1",
        (200, "", "/b|&y=1"),
        (200, "", "/b|y=1"),
    ),
    "the method of a named error page": Difference(
        'error_page 404 @page; location @page { return 404 "$request_method"; } location / { return 404; }',
        'error_pages = { 404 = "@page" }\n[[site.location]]\nmatch = "@page"\n'
        'respond = { status = 404, text = "$request_method" }\n'
        '[[site.location]]\nmatch = "/"\nrespond = 404',
        "POST /\nContent-Length: 0",
        (404, "", "POST"),
        (404, "", "GET"),
    ),
    "an error page that fails": Difference(
        "error_page 403 /page; location = /page { return 410; } location / { return 403; }",
        'error_pages = { 403 = "/page" }\n[[site.location]]\nmatch = "= /page"\nrespond = 410\n'
        '[[site.location]]\nmatch = "/"\nrespond = 403',
        "GET /",
        (410, "", ""),
        (403, "", ""),
    ),
}  # fmt: skip

NGINX_MAPS = """
map $http_x_y $mapped { volatile; default ""; "~b(.)" "<$1>"; }
map $uri $by_path { default first; /b second; }
"""
CHUTE_MAPS = """
[map.mapped]
source = "$http_x_y"
values = { "~b(.)" = "<$1>" }
[map.by_path]
source = "$uri"
default = "first"
values = { "/b" = "second" }
"""


def test_what_is_meant_differently_is_meant_so(tmp_path: Path):
    rows = list(ON_PURPOSE.values())
    heads = []
    for number, row in enumerate(rows):
        request_line, *lines = row.request.split("\n")
        head = [f"{request_line} HTTP/1.1", f"Host: s{number}.test", *lines, "", ""]
        heads.append("\r\n".join(head).encode())
    answered = both_answer(
        tmp_path,
        lambda path: (
            NGINX_MAPS
            + "".join(
                f"server {{ listen unix:{path}; server_name s{number}.test; absolute_redirect off; {row.for_nginx} }}\n"
                for number, row in enumerate(rows)
            )
        ),
        lambda path: (
            f'{CHUTE_MAPS}\n[listener.main]\nbind = "unix:{path}"\n[defaults]\nlog = "off"\n'
            + "".join(
                f'[[site]]\nnames = ["s{number}.test"]\n{row.for_chute}\n'
                for number, row in enumerate(rows)
            )
        ),
        heads,
    )
    told_apart = {
        name: tuple((each.status, each.location, each.echo) for each in pair)
        for name, pair in zip(ON_PURPOSE, answered, strict=True)
    }
    assert told_apart == {name: (row.theirs, row.ours) for name, row in ON_PURPOSE.items()}
