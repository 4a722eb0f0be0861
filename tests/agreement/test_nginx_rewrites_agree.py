"""nginx as the oracle for rewrites and variables: whole sites, and many requests for each of them, end to end.

Hypothesis makes sites: steps that rewrite, set, compare and return, before a location is looked for and within
locations. Each is written down for nginx and for chute, one after the other and not one from the other; both servers
run, and both are asked the same. An answer names the location that gave it, and every variable as it was by then.

What is known to differ, and is compared so that it does not matter:

- chute encodes a decoded value again when it becomes part of a query or a Location; nginx does so in some cases, and
  with fewer characters. So answers are compared unquoted.
- A Location never begins with two slashes in chute. Both are compared with one.
- A rewritten path is normalised in chute and not in nginx: no rewrite here makes a path that would change.
- In nginx a map with a regular expression changes what `$1` means in all that comes after it, in chute it does not. So
  sites that use such a map do not show their groups.
- nginx keeps the value of a map that was read once, even if a rewrite has changed what it was made of since; chute
  reads it anew. The maps here are made of what no rewrite changes.
- Files are only asked for with GET: chute answers any other method with 405, nginx looks for the file first.
- A folder without its slash leads to the same with a slash and the query: chute keeps the `?` of an empty one.
- Where an `if` of nginx holds, its location forgets `try_files`. So locations that try files have no conditions.
- A request that is refused is refused by both (400); what is said about it is not compared.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import strategies as st

from configured import Configured
from nginx_locations import answering_nginx, drawn
from oracle import NGINX
from running import Reply, Wire

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

SITES = 320
REQUESTS = 34

SHOWN = [
    "uri", "args", "is_args", "arg_x", "arg_y", "http_x_y", "cookie_c", "host", "request_method", "scheme",
    "server_name", "document_uri", "query_string", "request_uri", "server_protocol", "content_type", "v", "w", "m",
]  # fmt: skip


class Step(NamedTuple):
    """One step, as both are told of it: a condition, and what is done if it holds."""

    condition: tuple[str, str, str] | None
    verb: str
    words: tuple[str, ...]


class Place(NamedTuple):
    """A location: what it is for, its steps, and what answers: its name, the files, or what `tried` leads to."""

    match: str
    steps: tuple[Step, ...]
    kind: str
    is_internal: bool


class Site(NamedTuple):
    """Steps, locations, whether groups are shown, and what answers for what is missing."""

    steps: tuple[Step, ...]
    locations: tuple[Place, ...]
    shows_groups: bool
    page: str

    @property
    def has_files(self) -> bool:
        return any(place.kind != "name" for place in self.locations)


REGEXES = [
    r"^/a/(.*)$",
    r"^/([^/]+)/(.*)$",
    r"^/(b+)$",
    r"^/",
    r"\.php$",
    r"^/a/(?<named>[^/]*)",
    r"^/c",
    r"/b/(.+)$",
]
PATHS = [
    "/a/$1",
    "/b/x.php",
    "/c",
    "/c?y=$1",
    "/b/$arg_x",
    "/a/b?",
    "/c?x=2&y=$v?",
    "/b/$named",
    "/",
]
TARGETS = [
    "/moved/$1",
    "/moved$uri?$args",
    "https://other.test$request_uri",
    "$scheme://$host/x",
    "/m?x=$arg_x",
    "/z?",
]
VALUES = ["$arg_x", "$1", "a", "$uri-$args", "${http_x_y}b", "$v$v", "$m", "$cookie_c", "$host", ""]
LEFTS = [
    "$arg_x",
    "$http_x_y",
    "$cookie_c",
    "$uri",
    "$request_method",
    "$v",
    "$m",
    "$host",
    "$args",
]
RIGHTS = ["a", "POST", "1", "2", "/a/b", "x-1"]
PATTERNS = ["^a", "B", "^$", "(1)", "^/a/(.*)", "[0-9]$"]


def without_conditions(place: Place) -> Place:
    """Take the conditions from a place that tries files: nginx forgets about trying where an `if` holds."""
    if place.kind not in ("tried", "computed"):
        return place
    steps = [step._replace(condition=None) for step in place.steps if step.verb != "return"]
    return place._replace(steps=tuple(steps))


conditions = st.one_of(
    st.tuples(st.sampled_from(LEFTS), st.just(""), st.just("")),
    st.tuples(st.sampled_from(LEFTS), st.sampled_from(["=", "!="]), st.sampled_from(RIGHTS)),
    st.tuples(st.sampled_from(LEFTS), st.sampled_from(["~", "~*", "!~", "!~*"]), st.sampled_from(PATTERNS)),
)  # fmt: skip
acts = st.one_of(
    st.tuples(
        st.just("rewrite"),
        st.tuples(
            st.sampled_from(REGEXES),
            st.sampled_from(PATHS),
            st.sampled_from(["", "last", "last", "break", "redirect", "permanent"]),
        ),
    ),
    st.tuples(st.just("set"), st.tuples(st.sampled_from(["v", "w"]), st.sampled_from(VALUES))),
    st.tuples(
        st.just("return"),
        st.one_of(
            st.tuples(st.sampled_from(["403", "404", "410", "204", "503"])),
            st.tuples(st.sampled_from(["301", "302", "307"]), st.sampled_from(TARGETS)),
        ),
    ),
)
steps = st.builds(
    lambda condition, act: Step(condition, act[0], act[1]),
    st.one_of(st.none(), conditions, conditions),
    # What returns in any case would hide all that comes after it.
    acts,
).filter(lambda step: step.verb != "return" or step.condition is not None)
matches = st.sampled_from(
    ["/", "/a/", "/b", "= /c", "^~ /a/b", r"~ \.php$", "~* ^/C", "~ ^/b/(x.*)", "= /", "/a/b/"]
)
sites = st.builds(
    Site,
    st.lists(steps, max_size=3).map(tuple),
    st.lists(
        st.builds(
            Place,
            matches,
            st.lists(steps, max_size=3).map(tuple),
            st.sampled_from(["name", "name", "name", "files", "tried", "computed"]),
            st.sampled_from([False, False, False, False, True]),
        ),
        max_size=5,
        unique_by=lambda place: place.match,
    ).map(lambda places: tuple(map(without_conditions, places))),
    st.booleans(),
    st.sampled_from(["", "", "/page", "@page"]),
)

targets = st.builds(
    lambda path, query: "".join(path) + query,
    st.lists(
        st.sampled_from(
            ["/a", "/b", "/c", "/a/b", "/x.php", "/", "/%61", "/b%20c", "/bb", "/C", "/%e9", "//a", "/./b"]
        ),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from(["", "", "?", "?x=a", "?x=1&y=2", "?X=B", "?y=%20&x=a%2Fb", "?ax=1", "?x", "?x=&x=2", "?z&x=0"]),
)  # fmt: skip
fields = st.sampled_from(
    [
        "",
        "X-Y: a\r\n",
        "X-Y: x-1\r\nCookie: c=1\r\n",
        "Cookie: b=2; c=a; C=9\r\n",
        "Cookie: cc=1; c =B\r\n",
        "X-Y: B\r\n",
    ]
)
requests = st.tuples(st.sampled_from(["GET", "GET", "GET", "POST"]), targets, fields)


def shown(name: str, site: Site) -> str:
    """Return the text that an answer consists of."""
    names = [*SHOWN, *(["1", "2", "named"] if site.shows_groups else ["n"])]
    return f"{name}|" + "|".join(
        f"{each}=${{{each}}}" if not each.isdigit() else f"{each}=${each}" for each in names
    )


# ------------------------------------------------------------------ for nginx


def word(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def nginx_steps(steps: tuple[Step, ...]) -> str:
    lines = []
    for condition, verb, words in steps:
        if verb == "set":
            act = f"set ${words[0]} {word(words[1])};"
        elif verb == "return":
            act = f"return {' '.join(map(word, words))};"
        else:
            act = f"rewrite {word(words[0])} {word(words[1])} {words[2]};"
        if condition is not None:
            left, operator, right = condition
            inside = f"{left} {operator} {word(right)}" if operator else left
            act = f"if ({inside}) {{ {act} }}"
        lines.append(act)
    return "\n".join(lines)


def nginx_location(place: Place, name: str, site: Site) -> str:
    answer = {
        "name": f"return 200 {word(shown(name, site))};",
        "files": "",
        "tried": "try_files $uri $uri/ @tried;",
        "computed": "try_files /b$uri/$arg_x $uri.txt =410;",
    }[place.kind]
    modifier, _, path = place.match.rpartition(" ")
    internal = "internal;" if place.is_internal else ""
    return (
        f"location {modifier} {word(path)} {{ {internal} {nginx_steps(place.steps)} {answer} }}\n"
    )


def nginx_servers(made: list[Site], path: Path, root: Path) -> str:
    servers = [
        'map $cookie_c $m { default d; a mapped; 1 $http_x_y; b ""; }',
        'map $http_x_y $n { default ""; ~^x-(?<part>.) r-$part; ~*B big; a $uri; }',
    ]
    for number, site in enumerate(made):
        locations = "".join(
            nginx_location(place, f"L{index}", site) for index, place in enumerate(site.locations)
        )
        page = f"error_page 404 410 {site.page};" if site.page else ""
        servers.append(
            f"server {{ listen unix:{path}; server_name s{number}.test; absolute_redirect off;\n"
            f"root {root if site.has_files else path.with_name('none')}; {page}\n"
            'location = /page { return 200 "page"; } location @page { return 200 "at page"; }'
            f"location @tried {{ return 200 {word(shown('tried', site))}; }}\n"
            f'set $v ""; set $w ""; set $named ""; {nginx_steps(site.steps)}\n{locations} }}'
        )
    return "\n".join(servers)


# ------------------------------------------------------------------ for chute


def text(value: str) -> str:
    return json.dumps(value)


def chute_step(step: Step) -> str:
    keys = []
    if step.condition is not None:
        left, operator, right = step.condition
        keys.append(
            f"when = {text(f'{left} {operator} {chr(34)}{right}{chr(34)}' if operator else left)}"
        )
    if step.verb == "set":
        keys.append(f"set = {text(step.words[0])}, to = {text(step.words[1])}")
    elif step.verb == "return":
        status, *target = step.words
        keys.append(
            f"redirect = {{ to = {text(target[0])}, status = {status} }}"
            if target
            else f"respond = {status}"
        )
    else:
        regex, path, flag = step.words
        keys.append(f"match = {text(regex)}, to = {text(path)}")
        if flag:
            keys.append(f"then = {text(flag)}")
    return f"{{ {', '.join(keys)} }}"


def chute_steps(steps: tuple[Step, ...], last: str = "") -> str:
    written = [*map(chute_step, steps), *([last] if last else [])]
    return f"rewrite = [{', '.join(written)}]"


def chute_location(place: Place, name: str, site: Site) -> list[str]:
    lines = ["[[site.location]]", f"match = {text(place.match)}"]
    if place.is_internal:
        lines.append("internal = true")
    if place.kind == "name":
        # In nginx a return takes its turn among the rewrites.
        last = f"{{ respond = {{ text = {text(shown(name, site))} }} }}"
        return [*lines, "respond = 404", chute_steps(place.steps, last)]
    tried = {
        "files": [],
        "tried": ["$uri", "$uri/", "@tried"],
        "computed": ["/b$uri/$arg_x", "$uri.txt", "=410"],
    }
    if tried[place.kind]:
        lines.append(f"files = {{ try_files = {text(tried[place.kind])} }}")
    return [*lines, chute_steps(place.steps)]


def chute_config(made: list[Site], path: Path) -> str:
    lines = [
        f'[listener.main]\nbind = "unix:{path}"',
        '[defaults]\nlog = "off"\nfiles = { hidden = true, compress = false, sidecars = false }',
        '[map.m]\nsource = "$cookie_c"\ndefault = "d"\nvalues = { a = "mapped", 1 = "$http_x_y", b = "" }',
        '[map.n]\nsource = "$http_x_y"\nvalues = { "~^x-(?<part>.)" = "r-$part", "~*B" = "big", a = "$uri" }',
    ]
    unset = tuple(Step(None, "set", (name, "")) for name in ("v", "w"))
    for number, site in enumerate(made):
        lines.append(f'[[site]]\nnames = ["s{number}.test"]')
        if site.has_files:
            lines.append('root = "www"')
        if site.page:
            lines.append(f'error_pages = {{ "404 410" = "{site.page}" }}')
        lines.append(chute_steps((*unset, *site.steps)))
        for match, answer in (
            ("= /page", text("page")),
            ("@page", text("at page")),
            ("@tried", text(shown("tried", site))),
        ):
            lines.append(f"[[site.location]]\nmatch = {text(match)}\nrespond = {answer}")
        for index, place in enumerate(site.locations):
            lines.extend(chute_location(place, f"L{index}", site))
    return "\n".join(lines)


# ------------------------------------------------------------------ what they answer


def told(reply: Reply) -> bytes:
    """Return the content, unless it is what a server says of failures by itself."""
    return reply.body if reply.status == 200 or b"page" in reply.body[:7] else b""


def ask(path: Path, heads: list[bytes]) -> list[tuple[int, bytes]]:
    """Return status, and content of a 200 or Location of a redirect, of each answer in the order of `heads`."""
    found: list[tuple[int, bytes]] = []
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
                    for _ in part:
                        reply = wire.read_reply()
                        location = (reply.get("location") or "").encode("latin-1")
                        found.append(
                            (reply.status, reply.body if reply.status == 200 else location)
                        )
                except (EOFError, ConnectionError):
                    break
        assert len(found) > before, f"no answer to {heads[before]!r}"
    return found


def comparable(answer: tuple[int, bytes]) -> tuple[int, bytes]:
    status, value = answer
    if value.startswith(b"//"):
        value = b"/" + value.lstrip(b"/")
    return status, unquote_to_bytes(value.removesuffix(b"?"))


def head_of(number: int, site: Site, request: tuple[str, str, str]) -> bytes:
    method, target, lines = request
    if site.has_files:
        method = "GET"
    length = "Content-Length: 0\r\n" if method == "POST" else ""
    return f"{method} {target} HTTP/1.1\r\nHost: s{number}.test\r\n{lines}{length}\r\n".encode()


def write_files(root: Path) -> None:
    """Write files for some of the paths; nginx reads them as somebody else."""
    for name in ("a/b", "a/c.txt", "c", "x.php", "b/a/b/a", "b/c/1", "bb/index.html", "C.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"file {name}")
    for path in (root, *root.parents, *root.rglob("*")):
        if path.is_relative_to("/tmp"):
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))


@pytest.mark.timeout(180)
def test_rewrites_and_variables_mean_what_they_mean_to_nginx(tmp_path: Path):
    made = drawn(sites, SITES)
    asked = drawn(st.lists(requests, min_size=REQUESTS, max_size=REQUESTS), len(made))
    asked *= -(-len(made) // len(asked))
    heads = [
        head_of(number, site, request)
        for number, site in enumerate(made)
        for request in asked[number]
    ]
    assert len(heads) >= 10_000
    place = tmp_path / "nginx"
    place.mkdir()
    configured = Configured(tmp_path)
    write_files(configured.folder)
    with answering_nginx(
        nginx_servers(made, place / "sock", configured.folder), place, place / "sock"
    ):
        expected = ask(place / "sock", heads)
    configured.file.write_text(chute_config(made, tmp_path / "sock"))
    chute = configured.start()
    try:
        given = ask(tmp_path / "sock", heads)
    finally:
        assert chute.stop() == 0, chute.errors()
    differences = [
        f"{head!r}\n  nginx: {theirs}\n  chute: {ours}\n  {made[index // REQUESTS]}"
        for index, (head, theirs, ours) in enumerate(zip(heads, expected, given, strict=True))
        if comparable(theirs) != comparable(ours)
    ]
    assert not differences, f"{len(differences)} of {len(heads)}:\n" + "\n".join(differences[:8])
    statuses = {status for status, _ in given}
    assert {200, 204, 301, 302, 403, 404, 500} <= statuses, "not everything was tried"
