"""`chute explain` tells what happens, because it is what happens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from configured import Configured
from running import let_age

CONFIG = """
[listener.main]
bind = "127.0.0.1:0"

[[site]]
names = ["a.example", "*.b.example"]
root = "www"
error_pages = { "404" = "/lost.html" }
log = "off"

[[site.rewrite]]
match = "^/old/(.*)$"
to = "/img/$1"
then = "last"

[[site.location]]
match = "^~ /img/"
fields = { X-Kind = "image for $host" }

[[site.location]]
match = '~ \\.php$'
respond = 403

[[site.location]]
match = "= /go"
redirect = "https://other.example$request_uri"

[[site.location]]
match = "/app/"
files = { try_files = ["$uri", "@app"] }

[[site.location]]
match = "@app"
respond = "app for $uri"
"""


@pytest.fixture
def configured(tmp_path: Path) -> Configured:
    configured = Configured(tmp_path)
    (configured.folder / "img").mkdir()
    (configured.folder / "img/a.png").write_bytes(bytes(20_000))
    (configured.folder / "lost.html").write_bytes(b"lost")
    configured.file.write_text(CONFIG)
    let_age(configured.folder)
    return configured


def explain(configured: Configured, *words: str) -> list[str]:
    command = [sys.executable, "-m", "chute", "explain", "-c", str(configured.file), *words]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (result.returncode, result.stderr) == (0, "")
    return [line.strip() for line in result.stdout.splitlines()]


def test_each_step_of_a_decision_is_told_in_order(configured: Configured):
    told = explain(configured, "http://x.b.example/old/a.png", "-H", "Accept: image/png")
    steps = [
        "GET http://x.b.example/old/a.png",
        "listener main at 127.0.0.1:0",
        "site a.example: *.b.example, the longest suffix",
        "rewrite ^/old/(.*)$ -> /img/$1 (last)",
        "the path is now /img/a.png",
        "location ^~ /img/: the longest prefix, and keeps regular expressions out",
        "file /img/a.png: 20000 bytes",
        "answer 200 OK",
        "X-Kind: image for x.b.example",
        "20000 bytes of content, carried by sendfile",
        "remembered for requests with the same method, target, host and conditions",
    ]
    assert [line for line in told if line in steps] == steps


def test_file_that_is_missing_and_its_page_are_told(configured: Configured):
    told = explain(configured, "HEAD", "http://a.example/none")
    assert "file /none: missing" in told
    assert "404 is shown by /lost.html" in told
    assert "file /lost.html: 4 bytes" in told
    assert "answer 404 Not Found" in told


def test_named_location_is_told(configured: Configured):
    told = explain(configured, "/app/x")
    assert told.index("file /app/x: missing") < told.index("sent on to @app")
    assert told.index("sent on to @app") < told.index("location @app")
    assert "answers with 200 and a text" in told


def test_request_that_breaks_the_protocol_is_told(configured: Configured):
    told = explain(configured, "GET", "/", "-H", "Host : x")
    assert any(line.startswith("the request breaks the protocol") for line in told)
    assert any(line.startswith("answer 400") for line in told)


def test_what_is_told_is_what_is_answered(configured: Configured):
    """Every field but Date, for answers of each kind."""
    chute = configured.start()
    try:
        for target in ("/img/a.png", "/x.php", "/go?a=b", "/app/y", "/none", "/img"):
            reply = chute.get(target)
            told = explain(configured, f"http://test{target}")
            start = next(index for index, line in enumerate(told) if line.startswith("answer "))
            assert told[start].split()[1] == str(reply.status)
            fields = dict(line.split(": ", 1) for line in told[start + 1 : -2])
            given = {name: value for name, value in reply.fields if name != "date"}
            assert {
                name.lower(): value for name, value in fields.items() if name != "Date"
            } == given
    finally:
        assert chute.stop() == 0


def test_what_cannot_be_explained_is_one_line(configured: Configured):
    for words, told in (
        (("nowhere",), "'nowhere' is no URL"),
        (("GET", "/", "/"), "a method and one URL"),
        (("http://a.example:99/",), "no listener is at port 99"),
    ):
        command = [sys.executable, "-m", "chute", "explain", "-c", str(configured.file), *words]
        result = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert result.returncode == 2
        assert result.stderr.count("\n") == 1
        assert told in result.stderr
