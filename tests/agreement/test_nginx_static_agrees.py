"""nginx as the oracle for what is built around files: its directive on one side, our option on the other.

Each test names what is equal, and explains what is not.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import urllib.request
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from oracle import NGINX, is_built_with, started_nginx
from running import Reply, RunningChute, Wire, start_chute

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

LONG_AGO_S = 1_700_000_000
STRANGER = 12_345

Compare = Callable[[str, list[str]], "Pair"]


class Pair:
    """The two servers of one folder."""

    def __init__(self, nginx: tuple[str, int], chute: RunningChute) -> None:
        self._nginx = nginx
        self.nginx_url = f"http://{nginx[0]}:{nginx[1]}"
        self.chute = chute

    def get(self, target: str, *lines: str, method: str = "GET") -> tuple[Reply, Reply]:
        with Wire(socket.create_connection(self._nginx, timeout=5)) as wire:
            theirs = wire.get(target, *lines, method=method)
        return theirs, self.chute.get(target, *lines, method=method)


@pytest.fixture
def compare(folder: Path, tmp_path: Path) -> Iterator[Compare]:
    """Start both: directives of nginx's server block, and options of `chute serve`."""
    with contextlib.ExitStack() as stack:

        def start(directives: str, options: list[str]) -> Pair:
            nginx = stack.enter_context(started_nginx(folder, tmp_path / "nginx", directives))
            (tmp_path / "chute").mkdir()
            chute = start_chute(folder, tmp_path / "chute", *options)
            stack.callback(chute.stop)
            return Pair(nginx, chute)

        yield start


def write(path: Path, content: bytes, modified_s: int = LONG_AGO_S) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (modified_s, modified_s))


@pytest.mark.skipif(not is_built_with("gzip_static"), reason="nginx has no gzip_static")
def test_gzip_static(compare: Compare, folder: Path):
    content = b"a text that shrinks " * 500
    write(folder / "a.css", content)
    write(folder / "a.css.gz", gzip.compress(content, mtime=1))
    write(folder / "b.css", content)
    pair = compare("gzip_static on; gzip_vary on;", ["--no-compress"])
    for accept in [
        [], ["gzip"], ["gzip, deflate, br"], ["GZIP"], ["gzip;q=0"], ["gzip;q=0.5"], ["deflate"],
        ["identity"], ["*;q=0.5"], ["gzip;q=1.0"], ["x"], [""],
    ]:  # fmt: skip
        lines = [f"Accept-Encoding: {value}" for value in accept]
        for target in ("/a.css", "/b.css", "/a.css.gz"):
            theirs, ours = pair.get(target, *lines)
            if accept == ["*;q=0.5"] and target == "/a.css":
                # "*" means gzip too (RFC 9110, 12.5.3); nginx looks for the word only.
                assert (theirs.get("content-encoding"), ours.get("content-encoding")) == (
                    None,
                    "gzip",
                )
                continue
            assert ours.status == theirs.status == 200
            assert ours.body == theirs.body, (target, accept)
            assert ours.get("content-encoding") == theirs.get("content-encoding"), (target, accept)
            assert ours.get("last-modified") == theirs.get("last-modified")
        theirs, ours = pair.get("/a.css", *lines)
        assert ours["vary"] == theirs["vary"] == "Accept-Encoding"
    # nginx sends all of a sidecar whatever the Range says; a range of it is as good as any other (RFC 9110, 14.2).
    theirs, ours = pair.get("/a.css", "Accept-Encoding: gzip", "Range: bytes=5-14")
    assert (theirs.status, ours.status) == (200, 206)
    assert ours.body == theirs.body[5:15]


def test_autoindex_json(compare: Compare, folder: Path):
    write(folder / "d/a.txt", b"12345")
    write(folder / "d/z.bin", b"", LONG_AGO_S + 5)
    write(folder / 'd/ünï "q" \\ <b>.txt', b"x")
    write(folder / "d/sub/inner", b"x")
    write(folder / "d/.hidden", b"x")
    os.utime(folder / "d/sub", (LONG_AGO_S, LONG_AGO_S))
    (folder / "d/link").symlink_to("a.txt")
    pair = compare("autoindex on; autoindex_format json;", [])
    ours = pair.chute.get("/d/", "Accept: application/json")
    with urllib.request.urlopen(pair.nginx_url + "/d/", timeout=10) as theirs:  # it comes in chunks
        their_entries = json.load(theirs)
        assert ours["content-type"] == theirs.headers["Content-Type"] == "application/json"
    our_entries = json.loads(ours.body)
    assert our_entries[0] == their_entries[0], "folders come first"
    by_name = {entry["name"]: entry for entry in their_entries}
    assert {entry["name"]: entry for entry in our_entries} == by_name


@pytest.mark.parametrize(
    ("directive", "options"),
    [
        ("try_files $uri $uri/ =404;", ["--try-files", "$uri $uri/ =404"]),
        ("try_files $uri $uri.html $uri/ =404;", ["--try-files", "$uri $uri.html $uri/ =404"]),
        ("try_files $uri $uri/ /index.html;", ["--spa"]),
    ],
)
def test_try_files(compare: Compare, folder: Path, directive: str, options: list[str]):
    write(folder / "index.html", b"app")
    write(folder / "about.html", b"about")
    write(folder / "docs/index.html", b"docs")
    write(folder / "app.js", b"script")
    pair = compare(f"location / {{ {directive} }}", [*options, "--no-listing"])
    targets = [
        "/",
        "/about",
        "/about.html",
        "/docs/",
        "/app.js",
        "/none",
        "/a/deep/none",
        "/docs/x",
    ]
    for target in targets:
        theirs, ours = pair.get(target, "Accept: text/html")
        assert ours.status == theirs.status, target
        if ours.status == 200:
            assert ours.body == theirs.body, target
    theirs, ours = pair.get("/docs")
    assert (ours.status, ours["location"]) == (theirs.status, theirs["location"]) == (301, "/docs/")
    theirs, ours = pair.get("/none.js")
    if "--spa" in options:
        # A page in place of a script is what nginx's recipe gives, and what this option exists to avoid.
        assert (theirs.status, ours.status) == (200, 404)
    else:
        assert ours.status == theirs.status == 404


def test_expires_and_add_header(compare: Compare, folder: Path):
    for name in ("a.css", "assets/x.js", "plain.txt"):
        write(folder / name, b"content")
    pair = compare(
        """
        location ~ \\.css$ { expires 1h; }
        location /assets/ { add_header Cache-Control "no-store"; add_header X-Robots-Tag noindex; }
        """,
        [
            *("--cache", "*.css=1h", "--cache", "/assets/**=no-store"),
            *("--field", "/assets/**=X-Robots-Tag: noindex"),
        ],
    )
    for target in ("/a.css", "/assets/x.js", "/plain.txt"):
        for lines in ([], ["Range: bytes=0-2"]):
            theirs, ours = pair.get(target, *lines)
            assert ours.status == theirs.status
            for name in ("cache-control", "x-robots-tag"):
                assert ours.get(name) == theirs.get(name), target
    theirs, ours = pair.get("/a.css")
    # Expires says the same once more, for clients of HTTP/1.0; nobody needs it beside max-age (RFC 9111, 5.3).
    said = parsedate_to_datetime(theirs["expires"]) - parsedate_to_datetime(theirs["date"])
    assert said.total_seconds() == 3600
    assert "expires" not in ours


def test_error_page(compare: Compare, folder: Path):
    write(folder / "errors/404.html", b"not here")
    write(folder / "errors/403.html", b"not for you")
    (folder / "bare").mkdir()
    pair = compare(
        "error_page 404 /errors/404.html; error_page 403 /errors/403.html;",
        [
            "--no-listing",
            *("--error-page", "404=/errors/404.html", "--error-page", "403=/errors/403.html"),
        ],
    )
    for target in ("/none", "/none/at/all.html", "/bare/"):
        theirs, ours = pair.get(target, "Accept: text/html")
        assert ours.status == theirs.status
        assert ours.body == theirs.body
    theirs, ours = pair.get("/none", "Accept: text/html", method="HEAD")
    assert ours["content-length"] == theirs["content-length"]


def test_alias(compare: Compare, folder: Path):
    write(folder / "sub/a.txt", b"a")
    write(folder / "index.html", b"index")
    pair = compare(f"location /down/ {{ alias {folder}/; }}", ["--prefix", "/down", "--no-listing"])
    for target in ("/down/", "/down/sub/a.txt", "/down/none", "/down/../sub/a.txt"):
        theirs, ours = pair.get(target)
        if target == "/down/../sub/a.txt":
            # The rest of nginx's server has a root too; here there is nothing beside the prefix.
            assert (theirs.status, ours.status) == (200, 404)
            continue
        assert ours.status == theirs.status, target
        if ours.status == 200:
            assert ours.body == theirs.body
    theirs, ours = pair.get("/down/sub")
    assert (ours.status, ours["location"]) == (theirs.status, theirs["location"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize(
    ("nginx", "policy"), [("on", "deny"), ("if_not_owner", "owner"), ("off", "follow")]
)
def test_disable_symlinks(compare: Compare, folder: Path, tmp_path: Path, nginx: str, policy: str):
    write(folder / "a.txt", b"a")
    write(tmp_path / "outside/ours.txt", b"ours")
    write(tmp_path / "outside/theirs.txt", b"theirs")
    os.chown(tmp_path / "outside/theirs.txt", STRANGER, STRANGER)
    for name, target in {
        "within": "a.txt",
        "ours": "../outside/ours.txt",
        "theirs": "../outside/theirs.txt",
        "absolute": str(tmp_path / "outside/ours.txt"),
        "folder": "../outside",
    }.items():
        (folder / name).symlink_to(target)
    (tmp_path / "outside").chmod(0o755)
    beneath = "" if nginx == "off" else f" from={folder}"
    options = ["--links", policy, "--no-listing"]
    pair = compare(f"disable_symlinks {nginx}{beneath};", options)
    for target in ("/a.txt", "/within", "/ours", "/theirs", "/absolute", "/folder/ours.txt"):
        theirs, ours = pair.get(target)
        # What a policy refuses is 403 for nginx, and not there for us: a stranger learns nothing of links.
        assert (ours.status == 200) is (theirs.status == 200), target
        assert ours.status in (200, 404)
        if ours.status == 200:
            assert ours.body == theirs.body


def test_default_types_are_those_of_the_files(compare: Compare, folder: Path):
    for name in ("a.html", "a.css", "a.js", "a.txt", "a.unknown"):
        write(folder / name, b"x")
    pair = compare("", ["--charset", "", "--media-type", ".js=application/javascript"])
    for name in ("a.html", "a.css", "a.js", "a.txt", "a.unknown"):
        theirs, ours = pair.get(f"/{name}")
        assert ours["content-type"] == theirs["content-type"], name


def test_limit_rate_is_in_bytes_per_second_after_the_first(compare: Compare, folder: Path):
    """Only that both take the same words; how fast is measured in `test_pacing`."""
    write(folder / "a.bin", bytes(5000))
    pair = compare(
        "limit_rate 100k; limit_rate_after 1m;",
        ["--limit-rate", "100K", "--limit-rate-after", "1M"],
    )
    theirs, ours = pair.get("/a.bin")
    assert ours.body == theirs.body
