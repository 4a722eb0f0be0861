"""Folders without an index, as a client sees them."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import pytest

from running import RunningChute, Serve
from shared import shared_server

SECRET = b"the secret"
HOSTILE = [
    b"<script>alert(1)<!--",
    b'" onmouseover="alert(1)',
    b"javascript:alert(1)",
    b"?x#y",
    b"a b%20c",
    b"caf\xc3\xa9",
    b"cafe\xcc\x81",
    b"not utf-8 \xff",
    b"line\nbreak",
]


def fill(folder: Path) -> None:
    (folder.parent / "secret").write_bytes(SECRET)
    (folder / "outside").symlink_to("../secret")
    (folder / "sub").mkdir()
    (folder / "sub" / "inside").symlink_to("../plain.txt")
    (folder / "sub" / "outside").symlink_to("../../secret")
    (folder / "plain.txt").write_bytes(b"plain")
    (folder / ".hidden").write_bytes(SECRET)
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_bytes(SECRET)
    (folder / ".well-known").mkdir()
    (folder / ".well-known" / "security.txt").write_bytes(b"contact")
    (folder / ".well-known" / ".hidden").write_bytes(SECRET)
    os.mkfifo(folder / "fifo")
    (folder / "hostile").mkdir()
    for name in HOSTILE:
        Path(os.fsdecode(os.fsencode(folder / "hostile") + b"/" + name)).write_bytes(name)


server = shared_server(fill)


class Tags(HTMLParser):
    """What a browser would make of a page: its tags, the names of all attributes, its links."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.links: set[str] = set()
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value for name, value in attrs if name == "href" and value}


def names_in(server: RunningChute, target: str) -> list[str]:
    reply = server.get(target, "Accept: application/json")
    assert reply["content-type"] == "application/json"
    return [entry["name"] for entry in json.loads(reply.body.decode("utf-8", "surrogateescape"))]


def test_only_what_would_be_served_is_listed(server: RunningChute):
    assert names_in(server, "/") == ["hostile", "sub", "plain.txt"]
    assert names_in(server, "/sub/") == ["inside"]


@pytest.mark.parametrize(
    "target",
    [
        "/.hidden",
        "/.git/",
        "/.git/config",
        "/%2egit/config",
        "/.well-known/.hidden",
        "/sub/../.hidden",
    ],
)
def test_hidden_names_are_not_served(server: RunningChute, target: str):
    reply = server.get(target)
    assert reply.status == 404
    assert SECRET not in reply.body


def test_well_known_names_are_served(server: RunningChute):
    assert server.get("/.well-known/security.txt").body == b"contact"


@pytest.mark.parametrize(
    ("query", "accept", "media_type"),
    [
        ("", "text/html,*/*;q=0.8", "text/html; charset=utf-8"),
        ("", "*/*", "text/html; charset=utf-8"),
        ("", "application/json", "application/json"),
        ("", "text/plain", "text/plain; charset=utf-8"),
        ("?format=json", "text/html", "application/json"),
        ("?format=text", "text/html", "text/plain; charset=utf-8"),
        ("?format=html", "application/json", "text/html; charset=utf-8"),
        ("?format=pdf", "text/html", "text/html; charset=utf-8"),
    ],
)
def test_format_is_what_was_asked_for(
    server: RunningChute, query: str, accept: str, media_type: str
):
    reply = server.get(f"/{query}", f"Accept: {accept}")
    assert reply["content-type"] == media_type
    assert reply["vary"] == "Accept"
    assert b"plain.txt" in reply.body


def test_page_allows_no_script_but_its_own(server: RunningChute):
    reply = server.get("/hostile/")
    assert "default-src 'none'" in reply["content-security-policy"]
    assert reply["x-content-type-options"] == "nosniff"
    page = Tags(reply.body)
    assert page.count["script"] == 1
    assert not [name for name in page.attributes if name.startswith("on")]


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
def test_t23_links_lead_to_the_names_they_show(server: RunningChute, name: bytes):
    links = {unquote_to_bytes(link) for link in Tags(server.get("/hostile/").body).links}
    assert b"./" + name in links
    assert server.get(f"/hostile/{quote(name)}").body == name


def test_head_says_what_get_would_send(server: RunningChute):
    whole, head = server.get("/sub/"), server.get("/sub/", method="HEAD")
    assert head["content-length"] == str(len(whole.body))
    assert head["content-type"] == whole["content-type"]
    assert head.body == b""


def test_listing_can_be_switched_off(serve: Serve, folder: Path):
    (folder / "file").write_bytes(b"x")
    reply = serve("--no-listing").get("/")
    assert reply.status == 403
    assert b"file" not in reply.body.replace(b"profile", b"")


def test_index_page_comes_before_the_listing(serve: Serve, folder: Path):
    (folder / "index.html").write_bytes(b"start")
    assert serve().get("/").body == b"start"


def test_folder_of_many_entries_holds_nobody_up(serve: Serve, folder: Path):
    """It is read and written down in a thread; meanwhile the loop answers others."""
    (folder / "many").mkdir()
    for number in range(20_000):
        (folder / "many" / f"entry {number}.txt").touch()
    (folder / "small.txt").write_bytes(b"small")
    chute = serve()
    bodies: list[bytes] = []
    listing = threading.Thread(target=lambda: bodies.append(chute.get("/many/").body))
    listing.start()
    answers = 0
    with chute.connect() as wire:
        while listing.is_alive():
            assert wire.get("/small.txt").body == b"small"
            answers += 1
            time.sleep(0.001)
    listing.join()
    assert bodies[0].count(b"<tr") > 20_000
    assert answers >= 10, "the loop waited for the listing"


def test_listing_that_has_not_changed_is_not_sent_again(serve: Serve, folder: Path):
    (folder / "a").write_bytes(b"a")
    server = serve("--valid", "0")
    whole = server.get("/?format=json")
    for _ in range(3):
        unchanged = server.get("/?format=json", f"If-None-Match: {whole['etag']}")
        assert (unchanged.status, unchanged.body) == (304, b"")
        assert unchanged["vary"] == "Accept"
        assert unchanged["cache-control"] == "no-cache"
    (folder / "b").write_bytes(b"b")
    changed = server.get("/?format=json", f"If-None-Match: {whole['etag']}")
    assert changed.status == 200
    assert changed["etag"] != whole["etag"]
    assert server.get("/?format=text")["etag"] != whole["etag"]
