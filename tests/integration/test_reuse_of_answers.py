"""A cache may change when we answer, never what we answer.

The invariant: whatever rules a site has, and in whatever order requests come, a service with its caches answers each
of them as one does that has just been started. Rules and requests are generated; what they look at is what an answer
must not be shared over: fields, cookies, addresses, arguments, maps of them, conditions on them. Files appear, change
and vanish in between, and time passes.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chute.exchange import Ends
from routed import Answer, Routed, head_of
from trees import descriptors

MAIN = '[listener.main]\nbind = "127.0.0.1:0"\n'

MAPS = """
[map.by_field]
source = "$http_x"
values = { "1" = "one", "~^(?<rest>[0-9])" = "digit $rest $arg_a" }
default = "other"
[map.by_address]
source = "$remote_addr"
values = { "192.0.2.1" = "near $http_x" }
default = "far"
[map.by_path]
source = "$uri"
values = { "/r" = "$cookie_c", "~^/f" = "$by_field" }
default = "-"
"""

VARIABLES = [
    "uri", "args", "arg_a", "host", "request_uri", "request_method", "http_x", "http_accept", "http_host",
    "http_user_agent", "cookie_c", "remote_addr", "remote_port", "remote_user", "by_field", "by_address", "by_path",
    "mine", "1", "is_args", "http_range", "http_accept_encoding", "server_protocol", "http_connection",
    "content_type", "http_if_none_match",
]  # fmt: skip

texts = st.lists(st.sampled_from(VARIABLES), min_size=1, max_size=2).map(
    lambda names: " ".join(f"${name}" for name in names)
)

conditions = st.sampled_from(
    [
        "$http_x = 1",
        "$cookie_c",
        "!$cookie_c",
        "$arg_a = 1",
        "$remote_addr = 192.0.2.1",
        "$by_field ~ (one|digit)",
        "$by_address = far",
        "$http_user_agent ~* ^(b)ot",
        "$request_method = HEAD",
        "$http_accept ~ html",
    ]
)


def quoted(text: str) -> str:
    return f"'{text}'"


@st.composite
def rewrites(draw: st.DrawFn, table: str) -> str:
    lines = [f"[[{table}.rewrite]]"]
    if draw(st.booleans()):
        lines.append(f"when = {quoted(draw(conditions))}")
    if draw(st.booleans()):
        lines.append(f"match = {quoted(draw(st.sampled_from(['^/(f)', '^/(.)', '^/r$'])))}")
    kind = draw(st.sampled_from(["set", "to", "redirect", "respond"]))
    if kind == "set":
        lines += ['set = "mine"', f"to = {quoted(draw(texts))}"]
    elif kind == "to":
        to = draw(st.sampled_from(["/f.txt", "/by/$http_x.txt", "/r?b=$arg_a", "/e/$cookie_c"]))
        lines += [
            f"to = {quoted(to)}",
            f"then = {quoted(draw(st.sampled_from(['last', 'break'])))}",
        ]
    elif kind == "redirect":
        lines += [f"redirect = {quoted('/to/' + draw(texts).replace(' ', '/'))}"]
    else:
        lines += [f"respond = {quoted(draw(texts))}"]
    return "\n".join(lines) + "\n"


TRIES = [
    '["$uri", "=404"]',
    '["$uri", "@named"]',
    '["/by/$http_x.txt", "$uri", "@named"]',
    '["/by/$cookie_c.txt", "/f.txt"]',
    '["$uri", "/by/$by_address.txt", "=404"]',
]

PAGES = ["/page.txt", "/by/1.txt", "@named", "/r", "Not here.", "/missing"]


@st.composite
def sites(draw: st.DrawFn) -> str:
    """A site: its steps, some locations, pages for failures, and fields."""
    parts = [MAIN, MAPS, '[[site]]\nroot = "www"\nlog = "off"\n']
    if draw(st.booleans()):
        parts.append(f"fields = {{ X-Site = {quoted(draw(texts))} }}\n")
    if draw(st.booleans()):
        parts.append(f'error_pages = {{ "404" = {quoted(draw(st.sampled_from(PAGES)))} }}\n')
    parts.append(f"[site.files]\ncompress = false\ntry_files = {draw(st.sampled_from(TRIES))}\n")
    parts += [draw(rewrites("site")) for _ in range(draw(st.integers(0, 2)))]
    for match in ("= /r", "/e/", "~ ^/(by)/"):
        parts.append(draw(locations(match)))
    parts.append(f"[[site.location]]\nmatch = '@named'\nrespond = {quoted(draw(texts))}\n")
    parts.append("[[site.location]]\nmatch = '/gone/'\nrespond = { status = 404 }\n")
    parts.append("[[site.rewrite]]\nwhen = '$arg_never'\nset = 'mine'\nto = ''\n")
    return "".join(parts)


@st.composite
def locations(draw: st.DrawFn, match: str) -> str:
    lines = [f"[[site.location]]\nmatch = {quoted(match)}\n"]
    if draw(st.booleans()):
        lines.append(f"when = {quoted(draw(conditions))}\n")
    if draw(st.booleans()):
        lines.append(f"fields = {{ X-Location = {quoted(draw(texts))} }}\n")
    kind = draw(st.sampled_from(["files", "respond", "redirect", "alias"]))
    if kind == "respond":
        lines.append(f"respond = {quoted(draw(texts))}\n")
    elif kind == "redirect":
        lines.append(f"redirect = {quoted('/to?' + draw(texts).replace(' ', '&'))}\n")
    elif kind == "alias" and not match.startswith("~") and match.endswith("/"):
        lines.append('alias = "www/by/"\n')
    if draw(st.booleans()):
        lines.append(draw(rewrites("site.location")))
    return "".join(lines)


LINES = [
    "X: 1", "X: 2", "X: 7", "Cookie: c=1", "Cookie: c=2", "Accept: text/html", "Accept: */*", "User-Agent: bot",
    "User-Agent: curl", "Range: bytes=0-1", "If-None-Match: *", "Accept-Encoding: gzip", "Content-Type: a/b",
    "Authorization: Basic dTpw", "Connection: close",
]  # fmt: skip

TARGETS = [
    "/f.txt",
    "/f.txt?a=1",
    "/r",
    "/r?a=2",
    "/by/1.txt",
    "/by/3.txt",
    "/e/x",
    "/missing",
    "/gone/",
]

lines = st.lists(st.sampled_from(LINES), max_size=2, unique_by=lambda line: line.split(":")[0])


@st.composite
def requests(draw: st.DrawFn) -> list[tuple[bytes, Ends]]:
    """A few requests for one or two targets, which are alike but for what an answer may depend on."""
    targets = draw(st.lists(st.sampled_from(TARGETS), min_size=1, max_size=2))
    made = []
    for _ in range(draw(st.integers(2, 5))):
        method = draw(st.sampled_from(["GET", "GET", "GET", "HEAD"]))
        address = draw(st.sampled_from(["192.0.2.1", "192.0.2.9"]))
        raw_head = head_of(draw(st.sampled_from(targets)), *draw(lines), method=method)
        made.append((raw_head, Ends(address, 1)))
    return made


NAMES = ["f.txt", "by/1.txt", "by/2.txt", "by/far.txt", "page.txt", "e/x"]

changes = st.tuples(st.sampled_from(NAMES), st.sampled_from([None, b"new content", b"x"]))

VALID_S = 5.0
"""More than anything is taken for granted for."""


class Twins:
    """One configuration twice: with its caches, and with none."""

    def __init__(self, place: Path, text: str, stack: ExitStack) -> None:
        self.folder = place / "www"
        (self.folder / "by").mkdir(parents=True)
        (self.folder / "e").mkdir()
        for name in ("f.txt", "by/1.txt", "by/2.txt", "page.txt"):
            (self.folder / name).write_bytes(name.encode())
        self.warm = stack.enter_context(Routed(place, text))
        self.cold = stack.enter_context(Routed(place, text))

    def change(self, name: str, content: bytes | None) -> None:
        path = self.folder / name
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        for each in (self.warm, self.cold):
            each.clock.now_s += VALID_S

    def ask(self, raw_head: bytes, ends: Ends) -> tuple[Answer, Answer]:
        self.cold.forget()
        return self.warm.ask(raw_head, ends), self.cold.ask(raw_head, ends)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sites(),
    requests(),
    st.lists(st.integers(0, 4) | st.integers(0, 4) | changes, min_size=10, max_size=30),
)
def test_answers_are_the_same_with_and_without_what_was_prepared(
    site: str, asked: list[tuple[bytes, Ends]], events: list[int | tuple[str, bytes | None]]
):
    """A few requests, each of them often: from the second sight on an answer is remembered."""
    before = descriptors()
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        twins = Twins(Path(place), site, stack)
        for event in events:
            if not isinstance(event, int):
                twins.change(*event)
                continue
            warm, cold = twins.ask(*asked[event % len(asked)])
            assert warm == cold
    assert descriptors() == before


# --------------------------------------------------------------------------- what was found, and its like


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[Callable[[str], Twins]]:
    """Make twins of a site, and see that nothing of them stays open."""
    before = descriptors()
    with ExitStack() as stack:
        yield lambda site: Twins(tmp_path, MAIN + MAPS + site, stack)
    assert descriptors() == before


SITE = '[[site]]\nroot = "www"\nlog = "off"\n'


def test_folder_for_which_no_file_is_tried_is_sent_on_for_ever(twins: Callable[[str], Twins]):
    """`try_files $uri @app`: nothing was looked at for `/`, and so nothing can change what came of it."""
    made = twins(
        SITE + '[site.files]\ntry_files = ["$uri", "@named"]\n'
        '[[site.location]]\nmatch = "@named"\nrespond = "named"\n'
    )
    assert contents(made, "/") == {b"named"}


DEPENDENT = {
    "$http_x": (["X: 1"], ["X: 2"]),
    "$http_user_agent": (["User-Agent: a"], ["User-Agent: b"]),
    "$cookie_c": (["Cookie: c=1"], ["Cookie: c=2"]),
    "$http_cookie": (["Cookie: c=1"], []),
    "$remote_user": (["Authorization: Basic dTpw"], ["Authorization: Basic djpw"]),
    "$by_field": (["X: 1"], ["X: z"]),
    "$by_address": (["X: 1"], ["X: 2"]),
    "$http_if_none_match": (['If-None-Match: "a"'], ['If-None-Match: "b"']),
    "$http_if_range": (['If-Range: "a"'], ['If-Range: "b"']),
}
"""Variables, and the lines of two requests for which they differ."""

USES = {
    "a field": 'fields = { X = "%s" }\n',
    "a text": "[[site.location]]\nmatch = '/'\nrespond = '%s'\n",
    "a redirect": "[[site.location]]\nmatch = '/'\nredirect = '/to/%s'\n",
    "a step of the site": "[[site.rewrite]]\nredirect = '/to?%s'\n",
    "a path": "[[site.rewrite]]\nmatch = '^/f'\nto = '/to/%s'\nthen = 'last'\n"
    "[[site.location]]\nmatch = '/to/'\nrespond = '$uri'\n",
    "a variable that is set": "[[site.rewrite]]\nset = 'mine'\nto = '%s'\n"
    "[[site.location]]\nmatch = '/'\nrespond = '$mine'\n",
    "a condition of a location": "[[site.location]]\nmatch = '/'\nwhen = '%s ~ [a1u]'\nrespond = 'held'\n",
    "a condition of a step": "[[site.rewrite]]\nwhen = '%s ~ [a1u]'\nrespond = 'held'\n",
    "a file to try": "[site.files]\ncompress = false\ntry_files = ['/by/%s.txt', '/f.txt']\n",
    "a page": "error_pages = { '404' = '@page' }\n[site.files]\ntry_files = ['$uri.no', '=404']\n"
    "[[site.location]]\nmatch = '@page'\nrespond = '%s'\n",
    "a named location": "[site.files]\ntry_files = ['$uri.no', '@page']\n"
    "[[site.location]]\nmatch = '@page'\nrespond = '%s'\n",
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
@pytest.mark.parametrize("variable", DEPENDENT)
def test_answer_is_for_those_alone_whom_it_was_made_for(
    twins: Callable[[str], Twins], variable: str, use: str
):
    made = twins(SITE + use % variable)
    one, other = (head_of("/f.txt", *each) for each in DEPENDENT[variable])
    for raw_head in (one, one, one, other, other, other, one):
        for address in ("192.0.2.1", "192.0.2.1", "192.0.2.9"):
            warm, cold = made.ask(raw_head, Ends(address))
            assert warm == cold


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
@pytest.mark.parametrize(
    "variable", ["$remote_addr", "$remote_port", "$by_address", "$server_addr"]
)
def test_answer_for_one_connection_is_for_no_other(
    twins: Callable[[str], Twins], variable: str, use: str
):
    made = twins(SITE + use % variable)
    for number in (1, 1, 1, 2, 2, 1):
        warm, cold = made.ask(head_of("/f.txt"), Ends(f"192.0.2.{number}", number, f"::{number}"))
        assert warm == cold


def test_page_for_a_failure_elsewhere_is_shown_as_long_as_the_way_there_is_the_same(
    twins: Callable[[str], Twins],
):
    """The failure is for ever, and so is its page; that the file is missing is not."""
    made = twins(
        SITE
        + 'error_pages = { "404" = "@page" }\n[site.files]\ntry_files = ["$uri", "@named"]\n'
        + '[[site.location]]\nmatch = "@named"\nrespond = { status = 404 }\n'
        + '[[site.location]]\nmatch = "@page"\nrespond = "page"\n'
    )
    assert contents(made, "/new") == {b"page"}
    made.change("new", b"file")
    assert contents(made, "/new") == {b"file"}


def contents(made: Twins, target: str, *lines: str, count: int = 4) -> set[bytes]:
    """Ask `count` times, and return the contents that came, which should be one."""
    answers = [made.ask(head_of(target, *lines), Ends("192.0.2.1")) for _ in range(count)]
    assert all(warm == cold for warm, cold in answers)
    return {warm.content for warm, _ in answers}


def test_named_location_answers_as_long_as_the_file_is_missing(
    twins: Callable[[str], Twins],
):
    made = twins(
        SITE + '[site.files]\ntry_files = ["$uri", "@named"]\n'
        '[[site.location]]\nmatch = "@named"\nrespond = "named"\n'
    )
    assert contents(made, "/new") == {b"named"}
    made.change("new", b"file")
    assert contents(made, "/new") == {b"file"}
    made.change("new", None)
    assert contents(made, "/new") == {b"named"}


@pytest.mark.parametrize(
    "failing",
    ['try_files = ["$uri", "=404"]\n', "", '[[site.location]]\nmatch = "/"\nrespond = { status = 404 }\n'],
    ids=["tried", "missing", "by rule"],
)  # fmt: skip
def test_page_for_a_failure_is_the_one_that_is_there_now(
    twins: Callable[[str], Twins], failing: str
):
    files = "[site.files]\ncompress = false\nerror_documents = {}\n"
    page = '[[site.location]]\nmatch = "/new.txt"\n'
    made = twins(
        SITE
        + 'error_pages = { "404" = "/new.txt" }\n'
        + (
            failing
            if failing.startswith("[[")
            else files.replace("error_documents = {}\n", failing)
        )
        + page
    )
    (usual,) = contents(made, "/nothing")
    assert b"404 Not Found" in usual or b"404" in usual
    made.change("new.txt", b"first page")
    assert contents(made, "/nothing") == {b"first page"}
    made.change("new.txt", b"second")
    assert contents(made, "/nothing") == {b"second"}
    made.change("new.txt", None)
    assert contents(made, "/nothing") == {usual}


def test_failure_ends_when_its_cause_does(twins: Callable[[str], Twins]):
    made = twins(SITE + 'error_pages = { "404" = "@sorry" }\n' + (
        '[[site.location]]\nmatch = "@sorry"\nrespond = "sorry"\n'
    ))  # fmt: skip
    assert contents(made, "/new") == {b"sorry"}
    made.change("new", b"here")
    assert contents(made, "/new") == {b"here"}


PAGE = SITE + 'error_pages = { "404" = "/page.txt", "405" = "/page.txt" }\n'


@pytest.mark.parametrize(
    "lines",
    [[], ["Range: bytes=0-1"], ["If-None-Match: *"], ["If-Modified-Since: Fri, 01 Jan 2038 00:00:00 GMT"],
     ["If-Match: *"], ['If-Range: "x"', "Range: bytes=2-"]],
)  # fmt: skip
def test_page_is_whole_whatever_was_asked_of_what_is_missing(
    twins: Callable[[str], Twins], lines: list[str]
):
    warm, cold = twins(PAGE).ask(head_of("/missing", *lines), Ends("192.0.2.1"))
    assert warm == cold
    assert (warm.status, warm.content) == (404, b"page.txt")
    assert [warm.all(name) for name in ("content-range", "etag", "last-modified")] == [[], [], []]
    assert warm["content-length"] == b"8"


def test_page_of_a_head_request_has_its_length_and_no_content(twins: Callable[[str], Twins]):
    warm, _ = twins(PAGE).ask(head_of("/missing", method="HEAD"), Ends("192.0.2.1"))
    assert (warm.status, warm.content, warm["content-length"]) == (404, b"", b"8")


def test_page_keeps_what_explains_the_failure(twins: Callable[[str], Twins]):
    warm, _ = twins(PAGE).ask(head_of("/f.txt", method="DELETE"), Ends("192.0.2.1"))
    assert (warm.status, warm.content) == (405, b"page.txt")
    assert re.search(rb"GET", warm["allow"])


HOSTILE = st.binary(max_size=20).map(lambda value: re.sub(rb"[\x00-\x20\x7f#]", b"", value))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(HOSTILE, HOSTILE, st.lists(st.integers(0, 255), max_size=8))
def test_t24_no_request_makes_a_field_line_of_its_own_or_leads_to_another_host(
    value: bytes, field: bytes, octets: list[int]
):
    """Through the parser and all, with every octet in the path by way of its escape."""
    site = (
        MAIN
        + '[[site]]\nroot = "www"\nlog = "off"\nfields = { X-Path = "$uri $arg_a $http_x $remote_user" }\n'
        "[[site.location]]\nmatch = '~ ^/(?s:(.*))$'\nredirect = '$1'\n"
        "[[site.location]]\nmatch = '^~ /arg'\nredirect = '$arg_a'\n"
        "[[site.location]]\nmatch = '^~ /sub'\nredirect = '/x$uri?y=$uri'\n"
    )
    path = b"".join([b"%%%02x" % octet for octet in octets if octet])
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "www").mkdir()
        with Routed(Path(place), site) as routed:
            for start in (b"/", b"//", b"/arg/", b"/sub/"):
                answer = routed.ask(head_of(start + path + b"?a=" + value, b"X: " + field))
                names = {name.lower() for name, _ in answer.fields}
                assert names <= {
                    b"server", b"date", b"location", b"x-path", b"content-length", b"content-type", b"connection",
                }  # fmt: skip
                for location in answer.all("location"):
                    assert re.fullmatch(rb"/(?![/\\])[!-~]*", location), location
                assert answer.status in (302, 400, 404), answer
