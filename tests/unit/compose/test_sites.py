"""From sites to what answers: the short way where there is nothing to decide, and what is compiled once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chute.compose.sites import announced_names
from chute.config.resolve import load_text
from chute.engine import noting
from chute.errors import ConfigError
from chute.exchange import Ends
from chute.routing.router import Router
from routed import Answer, Routed, head_of
from trees import descriptors


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(noting, "monotonic_s", lambda: 100.0)
    before = descriptors()
    yield
    assert descriptors() == before


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "www"
    (folder / "by").mkdir(parents=True)
    for name in ("a.txt", "by/1.txt", "by/2.txt", "404.txt"):
        (folder / name).write_text(name)
    return tmp_path


MAIN = '[listener.main]\nbind = "127.0.0.1:0"\n'

SITE = '[[site]]\nroot = "www"\nnames = ["s.example"]\n'

OWN_LOG = '[[site.log]]\npath = "access.log"\n'

FORMAT = '[log_format.own]\ntemplate = "%s"\n'


def is_routed(routed: Routed) -> bool:
    return isinstance(getattr(routed.generation.built[0].handler, "__self__", None), Router)


SHORT = {
    "a folder": (SITE, False),
    "a folder and a log": (SITE + OWN_LOG, False),
    "names of files to try": (SITE + '[site.files]\ntry_files = ["$uri", "$uri.html", "=404"]\n', False),
    "a variable to try": (SITE + '[site.files]\ntry_files = ["/$cookie_a.txt", "=404"]\n', True),
    "a variable behind": (SITE + '[site.files]\ntry_files = ["$uri$arg_a", "=404"]\n', True),
    "a variable in braces": (SITE + '[site.files]\ntry_files = ["${uri}x", "=404"]\n', True),
    "a condition of a log": (SITE + OWN_LOG + 'when = "$status = 404"\n', True),
    "a log of one's own": (FORMAT % "$uri" + SITE + OWN_LOG + 'format = "own"\n', True),
    "a field": (SITE + 'fields = { X = "1" }\n', True),
    "an error page": (SITE + 'error_pages = { "404" = "Not here." }\n', True),
    "a location": (SITE + '[[site.location]]\nmatch = "/x"\nrespond = "x"\n', True),
    "a step": (SITE + '[[site.rewrite]]\nmatch = "^/x"\nto = "/y"\n', True),
    "two sites": (SITE + '[[site]]\nroot = "www"\nnames = ["t.example"]\n', True),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SHORT.values(), ids=SHORT.keys())
def test_only_where_nothing_is_to_be_decided_nothing_is_routed(
    text: str, expected: bool, place: Path
):
    with Routed(place, MAIN + text) as routed:
        assert is_routed(routed) is expected
        assert routed.get("/a.txt").status in (200, 404)


def test_file_that_a_cookie_names_is_that_of_each_client(place: Path):
    """Without a router nobody would have said for whom the answer is right."""
    text = MAIN + SITE + '[site.files]\ntry_files = ["/by/$cookie_n.txt", "=404"]\n'
    with Routed(place, text) as routed:
        for number in "1112211":
            answer = routed.get("/x", f"Cookie: n={number}")
            assert answer.content == f"by/{number}.txt".encode()


def test_file_that_a_cookie_names_beneath_an_alias_is_that_of_each_client(place: Path):
    """The handler takes the prefix off, and still tells the request what it has read."""
    text = MAIN + SITE + (
        '[[site.location]]\nmatch = "/al/"\nalias = "www/"\n'
        '[site.location.files]\ntry_files = ["/by/$cookie_n.txt", "=404"]\n'
    )  # fmt: skip
    with Routed(place, text) as routed:
        for number in "1112211":
            answer = routed.get("/al/x", f"Cookie: n={number}")
            assert answer.content == f"by/{number}.txt".encode()


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("$server_name $uri", "s.example /a.txt"),
        ("$document_root", "{www}"),
        ("$request_filename", "{www}/a.txt"),
        ("$sent_http_content_type $status", "text/plain; charset=utf-8 200"),
        ("$server_addr $server_port $scheme", "198.51.100.1 80 http"),
        ("$remote_addr $server_addr", "192.0.2.1 198.51.100.1"),
    ],
)
def test_log_of_ones_own_knows_the_site_that_has_answered(template: str, line: str, place: Path):
    text = MAIN + FORMAT % template + SITE + OWN_LOG + 'format = "own"\n'
    with Routed(place, text) as routed:
        for _ in range(3):
            routed.get("/a.txt")
        expected = line.replace("{www}", str(place / "www")).encode()
        assert routed.log() == [expected] * 3


def test_file_name_in_a_log_is_without_what_an_alias_takes_off(place: Path):
    text = MAIN + FORMAT % "$request_filename" + SITE + OWN_LOG + 'format = "own"\n' + (
        '[[site.location]]\nmatch = "/al/"\nalias = "www/"\n'
    )  # fmt: skip
    with Routed(place, text) as routed:
        routed.get("/al/a.txt")
        assert routed.log() == [str(place / "www" / "a.txt").encode()]


def test_log_of_a_page_for_a_failure_knows_the_answer(place: Path):
    text = MAIN + FORMAT % "$status $sent_http_content_type" + SITE + (
        'error_pages = { "404" = "/404.txt" }\n' + OWN_LOG + 'format = "own"\n'
    )  # fmt: skip
    with Routed(place, text) as routed:
        answer = routed.get("/missing")
        assert (answer.status, answer.content) == (404, b"404.txt")
        assert routed.log() == [b"404 text/plain; charset=utf-8"]


ID = (
    MAIN
    + '[log_format.own]\ntemplate = "$request_id"\n'
    + SITE
    + 'fields = { X-Id = "$request_id" }\nerror_pages = { "404" = "/404.txt" }\n'
    + OWN_LOG
    + 'format = "own"\n'
    + '[[site.location]]\nmatch = "/set"\nrespond = "x"\n'
    + '[[site.location.rewrite]]\nset = "x"\nto = "1"\n'
    + '[[site.location]]\nmatch = "/al/"\nalias = "www/"\n'
)


@pytest.mark.parametrize("target", ["/a.txt", "/missing", "/set", "/al/a.txt", "/al/missing"])
def test_request_id_is_the_same_in_the_answer_and_in_its_line_and_new_for_the_next(
    target: str, place: Path
):
    with Routed(place, ID) as routed:
        ids = [routed.get(target)["x-id"] for _ in range(4)]
        assert routed.log() == ids
        assert len(set(ids)) == 4


def test_request_id_in_the_log_alone_is_new_for_each_answer(place: Path):
    with Routed(place, ID.replace('X-Id = "$request_id"', 'X = "1"')) as routed:
        for target in ("/a.txt", "/set"):
            for _ in range(5):
                routed.get(target)
        lines = routed.log()
        assert len(set(lines)) == len(lines) == 10


def test_log_of_a_map_is_about_each_client(place: Path):
    text = (
        MAIN
        + '[map.who]\nsource = "$remote_addr"\nvalues = { "192.0.2.1" = "friend" }\ndefault = "stranger"\n'
        + FORMAT % "$who"
        + SITE
        + OWN_LOG
        + 'format = "own"\n'
    )
    with Routed(place, text) as routed:
        for address in ("192.0.2.1", "192.0.2.1", "192.0.2.9", "192.0.2.1"):
            routed.ask(head_of("/a.txt"), Ends(address))
        assert routed.log() == [b"friend", b"friend", b"stranger", b"friend"]


def test_several_logs_of_a_site_each_get_what_is_theirs(place: Path):
    text = MAIN + FORMAT % "$uri" + SITE + OWN_LOG + (
        '[[site.log]]\npath = "failed.log"\nformat = "own"\nwhen = "$status ~ ^[45]"\n'
        '[[site.location]]\nmatch = "= /quiet"\nrespond = "x"\nlog = "off"\n'
    )  # fmt: skip
    with Routed(place, text) as routed:
        for target in ("/a.txt", "/a.txt", "/missing", "/quiet", "/quiet", "/missing"):
            routed.get(target)
        assert len(routed.log()) == 4
        assert routed.log("failed.log") == [b"/missing", b"/missing"]


def test_request_that_could_not_be_parsed_is_in_the_log_of_the_default_site(place: Path):
    text = MAIN + SITE + OWN_LOG + '[[site]]\nnames = ["t.example"]\nroot = "www"\nlog = "off"\n'
    with Routed(place, text) as routed:
        assert routed.ask(b"NONSENSE\r\n\r\n").status == 400
        assert b'"NONSENSE" 400' in routed.log()[0]


def test_what_is_said_once_is_compiled_once(place: Path):
    text = MAIN + SITE + 'fields = { X = "$uri" }\n' + OWN_LOG + "".join(
        f'[[site.location]]\nmatch = "/{number}"\nrespond = "{number}"\n' for number in range(20)
    )  # fmt: skip
    with Routed(place, text) as routed:
        assert len(routed.generation.logs._logs) == 1
        assert len(routed.generation.folders._opened) == 1
        answers: list[Answer] = [routed.get(f"/{number}") for number in range(10)]
        assert [answer["x"] for answer in answers] == [b"/%d" % number for number in range(10)]


@pytest.mark.parametrize(
    "text",
    [
        '[[site.rewrite]]\nset = "uri"\nto = "1"\n',
        '[[site.location]]\nmatch = "~ (?P<host>x)"\nrespond = "x"\n',
        '[[site.location]]\nmatch = "/x"\nwhen = "$uri ~ (?P<args>x)"\nrespond = "x"\n',
        '[map.uri]\nsource = "$host"\nvalues = { }\n',
    ],
)
def test_names_that_mean_something_already_are_refused(text: str, place: Path):
    with pytest.raises(ConfigError):
        announced_names(load_text(str(place / "chute.toml"), MAIN + SITE + text, {}))


def test_names_are_known_wherever_they_are_written_first(place: Path):
    text = MAIN + (
        '[map.m]\nsource = "$later"\nvalues = { "~(?P<inner>.)" = "$inner" }\n'
        '[[site]]\nroot = "www"\nnames = ["~^(?P<sub>[a-z]+)[.]x$"]\nfields = { X = "$m $sub $part" }\n'
        '[[site.location]]\nmatch = "~ ^/(?P<part>[a-z]+)$"\nrespond = "x"\n'
        '[[site.location.rewrite]]\nset = "later"\nto = "value"\n'
    )  # fmt: skip
    with Routed(place, text) as routed:
        assert routed.get("/name", host="www.x")["x"] == b"v www name"
