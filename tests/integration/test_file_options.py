"""What can be said about files on the command line, as it arrives on the wire."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from running import RunningChute, Serve

LONG_AGO_S = 1_700_000_000
CONTENT = os.urandom(300_000)


@pytest.fixture
def poller() -> str:
    """One of them: which poller carries an answer changes nothing about what is asked here."""
    return "auto"


def write(path: Path, content: bytes, modified_s: float = LONG_AGO_S) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (modified_s, modified_s))


def complaint(*options: str) -> str:
    """Return what `chute serve` says of options that it refuses."""
    command = [sys.executable, "-m", "chute", "serve", ".", "--print-config", *options]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert result.returncode == 2, result.stdout
    assert "Traceback" not in result.stderr
    return result.stderr


# ---------------------------------------------------------------- caches and fields


def test_page_is_confirmed_and_other_files_say_nothing(serve: Serve, folder: Path):
    write(folder / "index.html", b"page")
    write(folder / "a.css", b"style")
    server = serve()
    assert server.get("/")["cache-control"] == "no-cache"
    assert "cache-control" not in server.get("/a.css")
    tag = server.get("/")["etag"]
    assert server.get("/", f"If-None-Match: {tag}")["cache-control"] == "no-cache"


def test_rules_decide_about_caches_and_fields(serve: Serve, folder: Path):
    write(folder / "assets/app.js", b"script")
    write(folder / "assets/page.html", b"page")
    write(folder / "a.css", b"style")
    server = serve(
        *("--cache", "/assets/**=immutable", "--cache", "*.css=1h"),
        *("--field", "*=X-Robots-Tag: noindex", "--field", "/assets/*=X-Robots-Tag: all"),
    )
    script = server.get("/assets/app.js")
    assert script["cache-control"] == "max-age=31536000, immutable"
    assert script["x-robots-tag"] == "all"
    assert server.get("/assets/page.html")["cache-control"] == "no-cache"
    style = server.get("/a.css", "Range: bytes=0-1")
    assert (style.status, style["cache-control"]) == (206, "max-age=3600")
    assert style["x-robots-tag"] == "noindex"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--cache", "*.css"), "PATTERN=PERIOD"),
        (("--cache", "*.css=soon or later"), "Cache-Control"),
        (("--field", "*=Content-Length: 5"), "Content-Length"),
        (("--field", "*=X: a\nY: b"), "control character"),
        (("--media-type", "html"), "EXTENSION=TYPE"),
        (("--charset", "utf 8"), "charset"),
        (("--error-page", "200=/ok.html"), "STATUS"),
        (("--error-page", "404=missing.html"), "STATUS"),
        (("--compress-level", "gzip=10"), "levels from 1 to 9"),
        (("--compress-level", "lzma=1"), "CODING=LEVEL"),
        (("--limit-rate", "fast"), "no size"),
        (("--prefix", "/../etc"), "path"),
        (("--auth", "anna"), "user:hash"),
        (("--auth-file", "/nowhere/at/all"), "password file"),
        (("--cors", "app.example.org"), "origin"),
        (("--links", "some"), "beneath"),
        (("--upload", "--bind", "0.0.0.0:0"), "--auth"),
    ],
)
def test_option_that_cannot_be_meant_is_refused_by_name(options: tuple[str, ...], word: str):
    assert word.lower() in complaint(*options).lower()


# ---------------------------------------------------------------- types, names, digests


def test_types_and_charset(serve: Serve, folder: Path):
    write(folder / "a.ts", b"x")
    write(folder / "a.txt", b"x")
    server = serve("--media-type", ".ts=text/typescript", "--charset", "iso-8859-1")
    assert server.get("/a.ts")["content-type"] == "text/typescript"
    assert server.get("/a.txt")["content-type"] == "text/plain; charset=iso-8859-1"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/a.txt?download", 'attachment; filename="a.txt"'),
        ("/a.txt?x=1&download&y", 'attachment; filename="a.txt"'),
        ("/a.txt?download=b.txt", 'attachment; filename="b.txt"'),
        ("/a.txt?download=..%2F..%2Fetc", 'attachment; filename="etc"'),
        ("/a.txt?download=a%0d%0aX:%20y", 'attachment; filename="a__X: y"'),
        (
            "/%E2%82%AC%22.txt?download",
            "attachment; filename=\"__.txt\"; filename*=UTF-8''%E2%82%AC%22.txt",
        ),
    ],
)
def test_t25_download_is_saved_under_its_name(
    serve: Serve, folder: Path, target: str, expected: str
):
    for name in ("a.txt", '€".txt'):
        write(folder / name, b"x")
    reply = serve().get(target)
    assert reply["content-disposition"] == expected
    assert reply.body == b"x"


def test_download_is_asked_for_by_name_only(serve: Serve, folder: Path):
    write(folder / "a.txt", b"x")
    server = serve()
    for target in ("/a.txt", "/a.txt?downloads", "/a.txt?nodownload", "/a.txt?x=download"):
        assert "content-disposition" not in server.get(target)


def test_digest_is_told_to_who_wants_it(serve: Serve, folder: Path):
    write(folder / "a.bin", CONTENT)
    write(folder / "told.bin", CONTENT)
    told = hashlib.sha256(b"another").digest()
    write(folder / "told.bin.sha256", f"{told.hex()}  told.bin\n".encode())
    write(folder / "stale.bin", CONTENT)
    write(folder / "stale.bin.sha256", f"{told.hex()}  stale.bin\n".encode(), LONG_AGO_S - 5)
    server = serve()
    computed = hashlib.sha256(CONTENT).digest()
    for name, digest in (("a.bin", computed), ("told.bin", told), ("stale.bin", computed)):
        for lines in ([], ["Range: bytes=0-9"]):
            reply = server.get(f"/{name}", "Want-Repr-Digest: sha-256=5", *lines)
            expected = f"sha-256=:{base64.b64encode(digest).decode()}:"
            assert reply["repr-digest"] == expected, name
    assert "repr-digest" not in server.get("/a.bin")
    assert "repr-digest" not in server.get("/a.bin", "Want-Repr-Digest: sha-256=0")
    assert "repr-digest" not in server.get("/a.bin", "Want-Repr-Digest: sha-512=1")


def test_digest_is_that_of_the_form(serve: Serve, folder: Path):
    write(folder / "a.js", b"a text that shrinks " * 1000)
    server = serve()
    reply = server.get("/a.js", "Accept-Encoding: gzip", "Want-Repr-Digest: sha-256=5")
    assert reply["content-encoding"] == "gzip"
    digest = base64.b64encode(hashlib.sha256(reply.body).digest()).decode()
    assert reply["repr-digest"] == f"sha-256=:{digest}:"


# ---------------------------------------------------------------- validators


@pytest.mark.parametrize("content", [b"small", CONTENT], ids=["small", "large"])
def test_t19_flattened_date_gives_way_to_a_hash(serve: Serve, folder: Path, content: bytes):
    for modified_s in (0, 1, 315_532_800, 315_619_200):
        write(folder / f"a{modified_s}", content, modified_s)
    server = serve()
    mark = base64.urlsafe_b64encode(hashlib.sha256(content).digest()[:16]).rstrip(b"=").decode()
    for modified_s in (0, 1, 315_532_800, 315_619_200):
        for _ in range(3):
            reply = server.get(f"/a{modified_s}")
            assert reply.body == content
            assert reply["etag"] == f'"sha256-{mark}"'
            assert "last-modified" not in reply
        assert server.get(f"/a{modified_s}", f"If-None-Match: {reply['etag']}").status == 304
        part = server.get(f"/a{modified_s}", "Range: bytes=0-1", f"If-Range: {reply['etag']}")
        assert part.status == 206


def test_t19_switch_between_flattened_trees_is_no_false_304(
    serve: Serve, folder: Path, tmp_path: Path
):
    for release in ("one", "two"):
        write(tmp_path / release / "a.txt", release.encode(), 1)
    (folder / "current").symlink_to("../one")
    link = tmp_path / "current"
    link.symlink_to("one")
    server = serve_link(serve, link)
    tag = server.get("/a.txt")["etag"]
    assert server.get("/a.txt", f"If-None-Match: {tag}").status == 304
    (tmp_path / "next").symlink_to("two")
    os.replace(tmp_path / "next", link)
    reply = server.get("/a.txt", f"If-None-Match: {tag}")
    assert (reply.status, reply.body) == (200, b"two")


def serve_link(serve: Serve, link: Path) -> RunningChute:
    return serve("--valid", "0", folder=link)


def test_t18_tag_is_weak_as_long_as_the_file_may_change_unnoticed(serve: Serve, folder: Path):
    server = serve("--valid", "0")
    (folder / "a.bin").write_bytes(CONTENT)
    reply = server.get("/a.bin")
    assert reply["etag"].startswith("W/")
    assert server.get("/a.bin", f"If-None-Match: {reply['etag']}").status == 304
    part = server.get("/a.bin", "Range: bytes=0-9", f"If-Range: {reply['etag']}")
    assert part.status == 200
    time.sleep(2.1)
    assert server.get("/a.bin")["etag"] == reply["etag"].removeprefix("W/")


def test_tag_can_be_named_by_a_file_beside_it(serve: Serve, folder: Path):
    write(folder / "a.bin", CONTENT)
    write(folder / "a.bin.etag", b"release-7\n")
    write(folder / "b.bin", CONTENT)
    write(folder / "b.bin.etag", b"no tag \r\n X: y\n")
    server = serve("--entity-tags", ".etag")
    assert server.get("/a.bin")["etag"] == '"release-7"'
    assert server.get("/a.bin", 'If-None-Match: "release-7"').status == 304
    assert server.get("/b.bin")["etag"].startswith('"1')


# ---------------------------------------------------------------- prefix, pages, rate


def test_prefix_is_taken_off(serve: Serve, folder: Path):
    write(folder / "sub/a.txt", b"x")
    write(folder / "index.html", b"index")
    server = serve("--prefix", "/down/loads")
    assert server.get("/down/loads/sub/a.txt").body == b"x"
    assert server.get("/down/loads/").body == b"index"
    assert server.get("/down/loads")["location"] == "/down/loads/"
    assert server.get("/down/loads/sub")["location"] == "/down/loads/sub/"
    for target in ("/", "/sub/a.txt", "/down/loadsub/a.txt", "/down/"):
        assert server.get(target).status == 404
    listing = server.get("/down/loads/sub/?format=json")
    assert b'"a.txt"' in listing.body


def test_error_pages_keep_the_status(serve: Serve, folder: Path):
    write(folder / "errors/gone.html", b"<h1>gone</h1>")
    write(folder / ".secret", b"x")
    (folder / "empty").mkdir()
    server = serve(
        *("--no-listing", "--error-page", "404=/errors/gone.html"),
        *("--error-page", "403=Members <only>.", "--error-page", "405=/errors/none.html"),
    )
    reply = server.get("/none", "Accept: text/html")
    assert (reply.status, reply.body) == (404, b"<h1>gone</h1>")
    assert server.get("/.secret", "Accept: text/html").body == b"<h1>gone</h1>"
    forbidden = server.get("/empty/", "Accept: text/html")
    assert forbidden.status == 403
    assert b"Members &lt;only&gt;." in forbidden.body
    told = server.get("/empty/", "Accept: application/json")
    assert b'"Members <only>."' in told.body
    assert server.get("/none", "Accept: application/json").body.startswith(b"{")
    assert server.get("/none", "Accept: text/html", method="POST").status == 405


def test_rate_is_kept(serve: Serve, folder: Path):
    write(folder / "a.bin", CONTENT)
    server = serve("--limit-rate", "100K", "--limit-rate-after", "50K")
    with server.connect() as wire:
        wire.send(b"GET /a.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        started_s = time.monotonic()
        reply = wire.read_reply()
        took_s = time.monotonic() - started_s
    assert reply.body == CONTENT
    # 50 KiB at once, a second's worth ahead, and the rest at its rate: no time can be shorter.
    assert took_s > (len(CONTENT) - 150 * 1024) / (100 * 1024) - 0.3
    assert server.get("/a.bin", "Range: bytes=0-9").body == CONTENT[:10]


# ---------------------------------------------------------------- archives


def test_folder_comes_as_one_file(serve: Serve, folder: Path):
    write(folder / "sub/large.bin", CONTENT)
    write(folder / "sub/deep/small.txt", b"small")
    write(folder / "sub/.hidden", b"hidden")
    server = serve("--archives")
    reply = server.get("/sub/?archive=tar")
    assert reply["content-disposition"] == 'attachment; filename="sub.tar"'
    with tarfile.open(fileobj=io.BytesIO(reply.body)) as tar:
        assert sorted(tar.getnames()) == ["sub", "sub/deep", "sub/deep/small.txt", "sub/large.bin"]
        extracted = tar.extractfile("sub/large.bin")
        assert extracted is not None
        assert extracted.read() == CONTENT
    reply = server.get("/sub/?archive=zip")
    with zipfile.ZipFile(io.BytesIO(reply.body)) as archive:
        assert archive.testzip() is None
        assert archive.read("sub/large.bin") == CONTENT
    head = server.get("/sub/?archive=zip", method="HEAD")
    assert head["content-length"] == str(len(reply.body))
    assert b"name=archive value=zip" in server.get("/sub/").body


def test_archives_are_a_setting(serve: Serve, folder: Path):
    write(folder / "sub/a", b"x")
    server = serve()
    reply = server.get("/sub/?archive=tar", "Accept: text/html")
    assert reply["content-type"].startswith("text/html")
    assert b"archive" not in reply.body


def test_archive_whose_file_shrinks_meanwhile_is_cut_off(serve: Serve, folder: Path):
    write(folder / "sub/a.bin", bytes(40_000_000))
    write(folder / "sub/b.bin", CONTENT)
    server = serve("--archives")
    with server.connect(receive_buffer=64 * 1024) as wire:
        wire.send(b"GET /sub/?archive=tar HTTP/1.1\r\nHost: a\r\n\r\n")
        reply = wire.read_head()
        promised = int(reply["content-length"])
        os.truncate(folder / "sub/b.bin", 10)
        received = len(wire.pending)
        while data := wire.sock.recv(1 << 20):
            received += len(data)
    assert received < promised
    assert "ended early" in server.errors()


def test_many_archives_leave_nothing_behind(serve: Serve, folder: Path):
    for number in range(30):
        write(folder / f"sub/{number}.bin", CONTENT)
    server = serve("--archives")
    server.get("/sub/")
    before = server.descriptors()
    for kind in ("tar", "zip"):
        for count in (0, 1, 100_000):
            with server.connect(receive_buffer=16 * 1024) as wire:
                wire.send(b"GET /sub/?archive=%b HTTP/1.1\r\nHost: a\r\n\r\n" % kind.encode())
                if count:
                    wire.read_head()
                    wire.read_body(count)
    deadline_s = time.monotonic() + 5
    while server.descriptors() > before and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert server.descriptors() <= before
