"""Forms of a file on the wire: sidecars and what is compressed on the way, each with its ranges and conditions."""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.util
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from running import Reply, RunningChute, Serve, wait_until
from shared import shared_server
from unprivileged import start_unprivileged

LONG_AGO_S = 1_700_000_000
LARGE = b"".join(b"line %d of a text that shrinks\n" % number for number in range(40_000))
SMALL = b"a text that shrinks, for it repeats itself\n" * 60
PLAIN = bytes(range(256)) * 100

HAS = {
    "gzip": True,
    "br": importlib.util.find_spec("brotli") is not None,
    "zstd": importlib.util.find_spec("zstandard") is not None,
}


def decode_brotli(content: bytes) -> bytes:
    import brotli

    return bytes(brotli.decompress(content))


def decode_zstd(content: bytes) -> bytes:
    import zstandard

    return bytes(zstandard.ZstdDecompressor().decompressobj().decompress(content))


DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": decode_brotli,
    "zstd": decode_zstd,
}


def write(path: Path, content: bytes, modified_s: float = LONG_AGO_S) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (modified_s, modified_s))


def fill(folder: Path) -> None:
    for name in ("a.js", "b.js"):
        write(folder / name, LARGE)
    write(folder / "small.css", SMALL)
    write(folder / "picture.png", PLAIN)
    write(folder / "tiny.txt", b"tiny")
    # A sidecar's content shows who sent it: nobody else's compression makes these bytes.
    write(folder / "b.js.gz", gzip.compress(LARGE, 1, mtime=7))
    write(folder / "stale.js", LARGE)
    write(folder / "stale.js.gz", gzip.compress(b"old", mtime=7), LONG_AGO_S - 1)
    write(folder / "index.html", LARGE)


server = shared_server(fill)

KINDS = {
    "compressed, large": ("/a.js", "gzip", LARGE),
    "compressed, small": ("/small.css", "gzip", SMALL),
    "compressed, brotli": ("/a.js", "br", LARGE),
    "compressed, zstd": ("/a.js", "zstd", LARGE),
    "sidecar": ("/b.js", "gzip", LARGE),
    "index page": ("/", "gzip", LARGE),
}


class Form:
    """One form of a file, and how to ask for it."""

    def __init__(self, server: RunningChute, target: str, coding: str, plain: bytes) -> None:
        self.server = server
        self.target = target
        self.coding = coding
        self.plain = plain
        self.whole = self.get()
        self.content = self.whole.body

    def get(self, *lines: str, method: str = "GET") -> Reply:
        return self.server.get(
            self.target, f"Accept-Encoding: {self.coding}", *lines, method=method
        )


@pytest.fixture(params=KINDS)
def form(server: RunningChute, request: pytest.FixtureRequest) -> Form:
    target, coding, plain = KINDS[request.param]
    if not HAS[coding]:
        pytest.skip(f"{coding} is not installed")
    return Form(server, target, coding, plain)


def test_form_is_the_file_in_its_coding(form: Form):
    assert form.whole.status == 200
    assert form.whole["content-encoding"] == form.coding
    assert form.whole["vary"] == "Accept-Encoding"
    assert DECODERS[form.coding](form.content) == form.plain
    assert len(form.content) < len(form.plain)


def test_plain_form_varies_too_and_has_another_tag(form: Form):
    for lines in ([], ["Accept-Encoding: identity"], [f"Accept-Encoding: {form.coding};q=0"]):
        plain = form.server.get(form.target, *lines)
        assert plain.body == form.plain
        assert plain["vary"] == "Accept-Encoding"
        assert "content-encoding" not in plain
        assert plain["etag"] != form.whole["etag"]


def test_second_answer_is_the_first(form: Form):
    again = form.get()
    assert again.body == form.content
    assert [field for field in again.fields if field[0] != "date"] == [
        field for field in form.whole.fields if field[0] != "date"
    ]


def test_t12_head_equals_get(form: Form):
    head = form.get(method="HEAD")
    assert [field for field in head.fields if field[0] != "date"] == [
        field for field in form.whole.fields if field[0] != "date"
    ]


@pytest.mark.parametrize(
    ("value", "offset", "count"),
    [("bytes=0-0", 0, 1), ("bytes=10-29", 10, 20), ("bytes=-5", -5, 5), ("bytes=20-", 20, None)],
)
def test_t15_range_is_of_the_form(form: Form, value: str, offset: int, count: int | None):
    reply = form.get(f"Range: {value}")
    size = len(form.content)
    offset = offset if offset >= 0 else size + offset
    end = size if count is None else offset + count
    assert reply.status == 206
    assert reply.body == form.content[offset:end]
    assert reply["content-range"] == f"bytes {offset}-{end - 1}/{size}"
    assert reply["content-encoding"] == form.coding
    assert reply["etag"] == form.whole["etag"]


def test_t15_range_beyond_the_form_is_refused_with_its_length(form: Form):
    reply = form.get(f"Range: bytes={len(form.content)}-")
    assert reply.status == 416
    assert reply["content-range"] == f"bytes */{len(form.content)}"


def test_t16_ranges_are_of_the_form(form: Form):
    reply = form.get("Range: bytes=0-9,20-29")
    assert reply.status == 206
    assert reply["content-encoding"] == form.coding
    boundary = reply["content-type"].partition("boundary=")[2].encode()
    parts = reply.body.split(b"--" + boundary)[1:-1]
    contents = [part.partition(b"\r\n\r\n")[2][:-2] for part in parts]
    assert contents == [form.content[:10], form.content[20:30]]


def test_t18_if_range_takes_the_tag_of_the_form_only(form: Form):
    plain_tag = form.server.get(form.target)["etag"]
    table = [
        (form.whole["etag"], 206),
        (plain_tag, 200),
        ("W/" + form.whole["etag"], 200),
        ('"stale"', 200),
    ]
    for tag, status in table:
        reply = form.get("Range: bytes=0-9", f"If-Range: {tag}")
        assert reply.status == status, tag
        assert reply.body == (form.content[:10] if status == 206 else form.content), tag


def test_conditions_are_about_the_form(form: Form):
    tag, plain_tag = form.whole["etag"], form.server.get(form.target)["etag"]
    unchanged = form.get(f"If-None-Match: {tag}")
    assert unchanged.status == 304
    assert unchanged["vary"] == "Accept-Encoding"
    assert unchanged["etag"] == tag
    assert "content-encoding" not in unchanged
    assert form.get(f"If-None-Match: {plain_tag}").status == 200
    assert form.get(f"If-Match: {tag}").status == 200
    assert form.get(f"If-Match: {plain_tag}").status == 412
    modified = form.whole["last-modified"]
    assert form.get(f"If-Modified-Since: {modified}").status == 304


@pytest.mark.parametrize("value", ["", "${jndi:ldap://x}", "W/", '"', "0"])
@pytest.mark.parametrize("field", ["If-None-Match", "If-Modified-Since", "If-Range"])
def test_t20_garbage_conditions_are_ignored(form: Form, field: str, value: str):
    assert form.get(f"{field}: {value}").status == 200


def test_form_is_carried_like_a_file(server: RunningChute):
    server.get("/a.js", "Accept-Encoding: gzip")
    server.get("/a.js", "Accept-Encoding: gzip", "User-Agent: marked")
    lines: list[str] = []

    def is_logged() -> bool:
        lines[:] = [line for line in server.log_lines(1) if '"marked"' in line]
        return bool(lines)

    wait_until(is_logged, what="the line of the log")
    assert " sendfile " in lines[0]


# ---------------------------------------------------------------- which form


def test_sidecar_is_sent_as_it_lies_there(server: RunningChute):
    reply = server.get("/b.js", "Accept-Encoding: gzip")
    assert reply.body == (server.folder / "b.js.gz").read_bytes()


def test_sidecar_that_is_older_than_its_source_is_ignored(server: RunningChute):
    reply = server.get("/stale.js", "Accept-Encoding: gzip")
    assert gzip.decompress(reply.body) == LARGE


@pytest.mark.parametrize("target", ["/picture.png", "/tiny.txt"])
def test_what_does_not_gain_is_sent_as_it_is(server: RunningChute, target: str):
    reply = server.get(target, "Accept-Encoding: gzip, br, zstd")
    assert "content-encoding" not in reply
    assert "vary" not in reply


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip;q=0.001", "gzip"),
        ("identity;q=0.5, gzip;q=0.4", None),
        ("gzip;q=0", None),
        ("*;q=0.5, gzip;q=0, br;q=0, zstd;q=0", None),
        ("deflate", None),
        ("", None),
        ("gzip;q=nonsense", None),
        ("gzip, " * 500, None),
    ],
)
def test_weights_decide(server: RunningChute, accept: str, expected: str | None):
    reply = server.get("/b.js", f"Accept-Encoding: {accept}")
    assert reply.status == 200
    assert reply.get("content-encoding") == expected


def test_nothing_acceptable_is_a_406(server: RunningChute):
    for value in ("identity;q=0", "*;q=0", "identity;q=0, deflate"):
        reply = server.get("/b.js", f"Accept-Encoding: {value}")
        assert reply.status == 406
        assert reply["vary"] == "Accept-Encoding"


@pytest.mark.skipif(not (HAS["br"] and HAS["zstd"]), reason="brotli or zstandard is missing")
def test_weight_comes_before_size(server: RunningChute):
    reply = server.get("/a.js", "Accept-Encoding: gzip;q=1, zstd;q=0.5, br;q=0.9")
    assert reply["content-encoding"] == "gzip"


def test_smallest_of_equal_sidecars_is_sent(serve: Serve, folder: Path):
    write(folder / "c.js", LARGE)
    write(folder / "c.js.gz", gzip.compress(LARGE, 9))
    write(folder / "c.js.br", b"the smallest, whatever it decodes to")
    write(folder / "c.js.zst", b"almost as small, whatever it may decode to")
    server = serve()
    assert server.get("/c.js", "Accept-Encoding: gzip, zstd, br")["content-encoding"] == "br"
    assert server.get("/c.js", "Accept-Encoding: gzip, zstd")["content-encoding"] == "zstd"
    os.remove(folder / "c.js.br")
    write(folder / "c.js.br", LARGE * 2)
    server = serve()
    assert server.get("/c.js", "Accept-Encoding: br").get("content-encoding") is None


def test_sidecar_can_be_had_under_its_own_name(server: RunningChute):
    reply = server.get("/b.js.gz", "Accept-Encoding: gzip")
    assert reply["content-type"] == "application/gzip"
    assert "content-encoding" not in reply


def test_sidecar_that_comes_and_goes_is_noticed(serve: Serve, folder: Path):
    write(folder / "c.js", LARGE)
    server = serve("--valid", "0", "--no-compress")

    def coding() -> str | None:
        return server.get("/c.js", "Accept-Encoding: gzip").get("content-encoding")

    for _ in range(3):
        assert coding() is None
    write(folder / "c.js.gz", gzip.compress(LARGE))
    assert [coding() for _ in range(3)] == ["gzip"] * 3
    write(folder / "c.js", LARGE[::-1], LONG_AGO_S + 5)
    assert [coding() for _ in range(3)] == [None] * 3
    write(folder / "c.js.gz", gzip.compress(LARGE[::-1]), LONG_AGO_S + 5)
    assert [coding() for _ in range(3)] == ["gzip"] * 3
    os.remove(folder / "c.js.gz")
    assert [coding() for _ in range(3)] == [None] * 3


def test_source_that_changes_is_compressed_anew(serve: Serve, folder: Path):
    server = serve("--valid", "0", "--no-sidecars")
    for number in range(3):
        content = b"%d" % number + LARGE
        write(folder / "c.js", content, LONG_AGO_S + number)
        for _ in range(3):
            reply = server.get("/c.js", "Accept-Encoding: gzip")
            assert gzip.decompress(reply.body) == content


def test_file_that_was_written_just_now_is_not_compressed(serve: Serve, folder: Path):
    """It may change within the same tick of the clock, and nobody could tell the forms apart."""
    server = serve()
    (folder / "new.js").write_bytes(LARGE)
    assert "content-encoding" not in server.get("/new.js", "Accept-Encoding: gzip")


def test_switches(serve: Serve, folder: Path):
    write(folder / "c.js", LARGE)
    write(folder / "d.js", LARGE)
    write(folder / "d.js.gz", gzip.compress(LARGE, 1, mtime=7))
    server = serve("--no-compress", "--no-sidecars")
    for target in ("/c.js", "/d.js"):
        reply = server.get(target, "Accept-Encoding: gzip")
        assert "content-encoding" not in reply
        assert "vary" not in reply
    server = serve("--no-sidecars", "--compress-level", "gzip=9")
    reply = server.get("/d.js", "Accept-Encoding: gzip")
    assert reply.body != (folder / "d.js.gz").read_bytes()
    assert len(reply.body) <= len(zlib.compress(LARGE, 9)) + 100


def test_min_and_types_are_settings(serve: Serve, folder: Path):
    write(folder / "picture.png", b"not really one" * 1000)
    write(folder / "c.js", LARGE)
    server = serve("--compress-min", "10M", "--compress-type", "image/png")
    assert "content-encoding" not in server.get("/c.js", "Accept-Encoding: gzip")
    server = serve("--compress-min", "1K", "--compress-type", "image/png")
    assert server.get("/picture.png", "Accept-Encoding: gzip")["content-encoding"] == "gzip"


def test_t21_sidecar_that_leaves_the_root_is_not_there(serve: Serve, folder: Path, tmp_path: Path):
    write(folder / "c.js", LARGE)
    write(tmp_path / "secret.gz", gzip.compress(b"secret"), LONG_AGO_S + 5)
    (folder / "c.js.gz").symlink_to(tmp_path / "secret.gz")
    server = serve("--no-compress")
    reply = server.get("/c.js", "Accept-Encoding: gzip")
    assert reply.body == LARGE


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_t26_sidecar_that_is_no_file_is_not_there(serve: Serve, folder: Path, kind: str):
    write(folder / "c.js", LARGE)
    if kind == "fifo":
        os.mkfifo(folder / "c.js.gz")
    else:
        (folder / "c.js.gz").mkdir()
    server = serve("--no-compress")
    assert server.get("/c.js", "Accept-Encoding: gzip").body == LARGE


def test_t28_what_may_not_be_read_is_passed_over(folder: Path, tmp_path: Path):
    for name in ("c.js", "c.js.gz", "404.html", "index.html", "c.js.sha256"):
        write(folder / name, gzip.compress(LARGE) if name.endswith("gz") else LARGE)
    for name in ("c.js.gz", "404.html", "index.html", "c.js.sha256"):
        (folder / name).chmod(0)
    server = start_unprivileged(folder, tmp_path, "--no-compress")
    reply = server.get("/c.js", "Accept-Encoding: gzip", "Want-Repr-Digest: sha-256=1")
    assert reply.body == LARGE
    digest = base64.b64encode(hashlib.sha256(LARGE).digest()).decode()
    assert reply["repr-digest"] == f"sha-256=:{digest}:"
    missing = server.get("/none", "Accept: text/html")
    assert missing.status == 404
    assert b"There is no file with this name" in missing.body
    assert server.get("/").status == 403
    assert server.get("/c.js.gz").status == 403
    assert server.stop() == 0


def test_t10_forms_leave_no_descriptors_behind(server: RunningChute):
    def round_of_requests() -> None:
        for accept in ("gzip", "br", "zstd", "identity", "identity;q=0"):
            for target in ("/a.js", "/b.js", "/small.css", "/stale.js"):
                server.get(target, f"Accept-Encoding: {accept}")

    round_of_requests()
    before = server.descriptors()
    for _ in range(5):
        round_of_requests()
    wait_until(lambda: server.descriptors() <= before, what="the end of the connections")


def test_many_at_once_get_whole_content(serve: Serve, folder: Path):
    """While a form is being made, the others get the file as it is."""
    write(folder / "c.js", LARGE * 4)
    server = serve()
    wires = [server.connect() for _ in range(16)]
    for wire in wires:
        wire.send(b"GET /c.js HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
    codings = []
    for wire in wires:
        reply = wire.read_reply()
        codings.append(reply.get("content-encoding"))
        content = gzip.decompress(reply.body) if codings[-1] else reply.body
        assert content == LARGE * 4
        wire.close()
    assert "gzip" in codings


def test_client_that_leaves_while_its_form_is_made_costs_nothing(serve: Serve, folder: Path):
    write(folder / "c.js", LARGE * 8)
    server = serve("--compress-level", "gzip=9")
    server.get("/c.js")
    before = server.descriptors()
    for _ in range(5):
        wire = server.connect()
        wire.send(b"GET /c.js HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
        wire.close()
    reply = server.get("/c.js", "Accept-Encoding: gzip")
    content = gzip.decompress(reply.body) if "content-encoding" in reply else reply.body
    assert content == LARGE * 8
    # The form itself, and the connection of the last request.
    wait_until(lambda: server.descriptors() <= before + 2, what="the end of the others")
