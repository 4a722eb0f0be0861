"""httplint, the judge behind REDbot, finds no problem on any kind of answer.

What it warns of and what is meant nevertheless stands in `ACCEPTED`, with the reason; nothing else may be warned of.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import Reply, RunningChute, start_chute

httplint = pytest.importorskip("httplint")

LONG_AGO_S = 1_700_000_000
TEXT = b"a text that shrinks, for it repeats itself. " * 500

ACCEPTED: dict[str, str] = {
    "FRESHNESS_HEURISTIC": "files that no rule is about are left to the client's judgement, as by nginx",
    "PARTIAL_WITHOUT_RANGE": "an answer in parts has a Content-Range in each of them (RFC 9110, 15.3.7.2)",
    "CREATED_WITHOUT_LOCATION": "what a PUT makes is the target itself (RFC 9110, 15.3.2)",
    "STATUS_BAD_REQUEST": "that is what was asked for",
    "STATUS_NOT_FOUND": "that is what was asked for",
}

WHO = "anna:{SHA}" + base64.b64encode(hashlib.sha1(b"right").digest()).decode()
CREDENTIAL = "Authorization: Basic " + base64.b64encode(b"anna:right").decode()


def fill(folder: Path) -> None:
    for name, content in {
        "index.html": TEXT,
        "a.txt": TEXT,
        "b.css": TEXT,
        "b.css.gz": gzip.compress(TEXT, mtime=0),
        "app.js": TEXT,
        "picture.bin": os.urandom(50_000),
        "assets/x.js": TEXT,
        "sub/one": b"1",
        "flat.bin": os.urandom(5000),
    }.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    os.utime(folder / "flat.bin", (1, 1))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("lint")
    (place / "site").mkdir()
    fill(place / "site")
    return place


def run(place: Path, name: str, *options: str) -> Iterator[RunningChute]:
    logs = place / name
    logs.mkdir()
    server = start_chute(place / "site", logs, *options)
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[RunningChute]:
    yield from run(
        place,
        "open",
        *("--upload", "--archives", "--cache", "/assets/**=immutable", "--cache", "*.css=1h"),
        *("--cors", "https://friend.example", "--security-fields", "basic"),
    )


@pytest.fixture(scope="module")
def guarded(place: Path) -> Iterator[RunningChute]:
    yield from run(place, "guarded", "--auth", WHO)


def problems(reply: Reply, method: str, target: str, lines: tuple[str, ...]) -> list[str]:
    """Return what httplint thinks is bad, or worth a warning, beyond what is accepted."""
    now = time.time()
    request = httplint.HttpRequestLinter(start_time=now)
    request.process_request_topline(method.encode(), f"http://test{target}".encode(), b"1.1")
    fields = [line.split(": ", 1) for line in ("Host: test", *lines)]
    request.process_headers([(name.encode(), value.encode()) for name, value in fields])
    request.finish_content(True)
    response = httplint.HttpResponseLinter(start_time=now)
    response.request = request
    status_line, *head = reply.head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    version, status, phrase = status_line.split(b" ", 2)
    response.process_response_topline(version.removeprefix(b"HTTP/"), status, phrase)
    response.process_headers([tuple(line.split(b": ", 1)) for line in head])
    if method != "HEAD" and status != b"304":
        response.feed_content(reply.body)
        response.finish_content(True)
    serious = (httplint.levels.BAD, httplint.levels.WARN)
    return [
        f"{type(note).__name__}: {note.summary}"
        for note in response.notes
        if note.level in serious and type(note).__name__ not in ACCEPTED
    ]


CASES: dict[str, tuple[int, str, str, tuple[str, ...]]] = {
    "page": (200, "GET", "/", ()),
    "page, head": (200, "HEAD", "/", ()),
    "file": (200, "GET", "/a.txt", ()),
    "immutable": (200, "GET", "/assets/x.js", ()),
    "for an hour": (200, "GET", "/b.css", ()),
    "sidecar": (200, "GET", "/b.css", ("Accept-Encoding: gzip",)),
    "compressed on the way": (200, "GET", "/app.js", ("Accept-Encoding: gzip",)),
    "compressed, head": (200, "HEAD", "/app.js", ("Accept-Encoding: gzip",)),
    "hash for a tag": (200, "GET", "/flat.bin", ()),
    "download": (200, "GET", "/a.txt?download", ()),
    "digest": (200, "GET", "/a.txt", ("Want-Repr-Digest: sha-256=5",)),
    "range": (206, "GET", "/picture.bin", ("Range: bytes=0-99",)),
    "range of a form": (206, "GET", "/b.css", ("Accept-Encoding: gzip", "Range: bytes=0-9")),
    "ranges": (206, "GET", "/picture.bin", ("Range: bytes=0-9,20-29",)),
    "unchanged by date": (304, "GET", "/a.txt", ("If-Modified-Since: {modified}",)),
    "unchanged by tag": (304, "GET", "/a.txt", ("If-None-Match: {tag}",)),
    "precondition": (412, "GET", "/a.txt", ('If-Match: "x"',)),
    "range outside": (416, "GET", "/a.txt", ("Range: bytes=999999-",)),
    "nothing acceptable": (406, "GET", "/b.css", ("Accept-Encoding: identity;q=0",)),
    "redirect": (301, "GET", "/sub", ()),
    "missing": (404, "GET", "/none", ()),
    "missing, for a program": (404, "GET", "/none", ("Accept: application/json",)),
    "method": (405, "DELETE", "/a.txt", ()),
    "bad path": (400, "GET", "/%00", ()),
    "options": (204, "OPTIONS", "/a.txt", ()),
    "preflight": (
        204,
        "OPTIONS",
        "/a.txt",
        ("Origin: https://friend.example", "Access-Control-Request-Method: PUT"),
    ),
    "listing": (200, "GET", "/sub/", ("Accept: text/html",)),
    "listing as JSON": (200, "GET", "/sub/?format=json", ()),
    "listing as text": (200, "GET", "/sub/?format=text", ()),
    "archive": (200, "GET", "/sub/?archive=tar", ()),
    "archive, head": (200, "HEAD", "/sub/?archive=zip", ()),
    "upload where one is": (412, "PUT", "/a.txt", ("If-None-Match: *", "Content-Length: 0")),
    "upload": (201, "PUT", "/new-{number}", ("Content-Length: 0",)),
}


@pytest.mark.parametrize("case", CASES)
def test_answer_has_no_problem(server: RunningChute, case: str):
    status, method, target, lines = CASES[case]
    whole = server.get("/a.txt")
    facts = {
        "tag": whole["etag"],
        "modified": whole["last-modified"],
        "number": str(time.monotonic_ns()),
    }
    target, lines = target.format(**facts), tuple(line.format(**facts) for line in lines)
    reply = server.get(target, *lines, method=method)
    assert reply.status == status
    assert problems(reply, method, target, lines) == []


@pytest.mark.parametrize("lines", [(), (CREDENTIAL,)], ids=["a stranger", "anna"])
def test_answer_behind_a_password_has_no_problem(guarded: RunningChute, lines: tuple[str, ...]):
    for target in ("/a.txt", "/", "/sub/", "/none"):
        reply = guarded.get(target, *lines)
        assert (reply.status == 401) is not lines
        assert problems(reply, "GET", target, lines) == []


def test_young_file_has_no_problem(server: RunningChute):
    (server.folder / "young.txt").write_bytes(TEXT)
    reply = server.get("/young.txt")
    assert reply["etag"].startswith("W/")
    assert problems(reply, "GET", "/young.txt", ()) == []
