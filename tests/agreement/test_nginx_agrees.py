"""nginx as the oracle: the same requests to both, and every difference explained here.

Bodies, statuses and the fields that describe a selection must be equal. Where they are not, the table at the end says
why; a difference that is not in the table fails, and so does a table entry that no longer differs.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from running import RunningChute, Wire, start_chute, wait_until

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

SMALL = bytes(range(200))
LARGE = bytes(range(251)) * 200
FILES = {"small.bin": SMALL, "large.bin": LARGE, "empty.bin": b""}

CONFIG = """
daemon off; master_process off; worker_processes 1; pid {place}/nginx.pid;
error_log {place}/error.log; events {{ worker_connections 64; }}
http {{
    access_log off; sendfile on; default_type application/octet-stream;
    if_modified_since before; max_ranges 16;
    client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
    server {{ listen 127.0.0.1:{port}; absolute_redirect off; root {folder}; }}
}}
"""


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RunningChute, tuple[str, int]]]:
    place = tmp_path_factory.mktemp("nginx")
    place.chmod(0o755)
    folder = place / "site"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "index.html").write_bytes(b"index")
    (folder / "bare").mkdir()
    (folder / "with space").mkdir()
    (folder / "index.html").write_bytes(b"start")
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
        os.utime(folder / name, (1_700_000_000, 1_700_000_000))
    for path in place.parents:
        path.chmod(path.stat().st_mode | 0o011) if path.is_relative_to("/tmp") else None
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    (place / "nginx.conf").write_text(CONFIG.format(place=place, port=port, folder=folder))
    nginx = subprocess.Popen(
        [str(NGINX), "-p", str(place), "-c", str(place / "nginx.conf")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    chute = start_chute(folder, place, "--no-listing", "--hidden")

    def listens() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listens, what="nginx")
    yield chute, ("127.0.0.1", port)
    nginx.terminate()
    nginx.wait(10)
    assert chute.stop() == 0


def ask(
    address: tuple[str, int] | str, method: str, target: str, lines: list[str]
) -> dict[str, object]:
    """Return what must be equal of one answer, the server's own validators filled into the request."""
    with Wire(socket.create_connection(address, timeout=5)) as wire:  # type: ignore[arg-type]
        plain = wire.get(target)
    with Wire(socket.create_connection(address, timeout=5)) as wire:  # type: ignore[arg-type]
        own = {"etag": plain.get("etag") or "", "modified": plain.get("last-modified") or ""}
        filled = [line.format(**own) for line in lines]
        head = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: a", *filled, "", ""])
        reply = wire.request(head.encode("latin-1"), method)
    facts: dict[str, object] = {"status": reply.status}
    if reply.status in (200, 206, 304) and "multipart" not in (reply.get("content-type") or ""):
        facts["body"] = reply.body
        facts["length"] = reply.get("content-length")
    facts["content-range"] = reply.get("content-range")
    if reply.status < 400:
        facts["location"] = reply.get("location")
    if (
        reply.status == 200
    ):  # nginx leaves Accept-Ranges out of a 206; RFC 9110, 14.3 has it either way
        facts["accept-ranges"] = reply.get("accept-ranges")
    if "multipart" in (reply.get("content-type") or ""):
        boundary = str(reply["content-type"]).partition("boundary=")[2].encode()
        parts = reply.body.split(b"--" + boundary)
        facts["parts"] = [part.partition(b"\r\n\r\n")[2] for part in parts[1:-1]]
    return facts


PAST, FUTURE = "Mon, 01 Jan 2001 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
RANGES = [
    "bytes=0-0", "bytes=0-", "bytes=5-10", "bytes=-1", "bytes=-5", "bytes=-100000000", "bytes=199-",
    "bytes=200-", "bytes=50200-", "bytes=0-100000000", "bytes=99999999-", "bytes=-0", "bytes=5-4",
    "bytes=", "bytes=-", "bytes=a-b", "bytes=0-0,2-2", "bytes=0-4,-4", "bytes=5-9,0-3",
    "bytes=0-0,99999999-", "bytes=0-1,5-4", "items=0-1", "bytes = 0-1", "bytes=0- 1", "bytes= 0-1",
    "bytes=0-1,", "bytes=,0-1", "bytes=0-9,0-9", "bytes=0-,0-,0-",
    "bytes=" + ",".join(f"{i}-{i}" for i in range(17)), "bytes=" + ",".join(f"{i}-{i}" for i in range(16)),
]  # fmt: skip
CONDITIONS = [
    ["If-None-Match: {etag}"], ["If-None-Match: W/{etag}"], ['If-None-Match: "x"'], ["If-None-Match: *"],
    ['If-None-Match: "x", {etag}'], ["If-None-Match: garbage"], ["If-None-Match: "],
    ["If-Modified-Since: {modified}"], [f"If-Modified-Since: {PAST}"], [f"If-Modified-Since: {FUTURE}"],
    ["If-Modified-Since: garbage"], ["If-Modified-Since: "],
    ["If-Match: {etag}"], ['If-Match: "x"'], ["If-Match: *"], ["If-Match: W/{etag}"], ["If-Match: garbage"],
    ["If-Unmodified-Since: {modified}"], [f"If-Unmodified-Since: {PAST}"],
    [f"If-Unmodified-Since: {FUTURE}"], ["If-Unmodified-Since: garbage"],
    ["If-None-Match: {etag}", f"If-Modified-Since: {PAST}"],
    ['If-None-Match: "x"', "If-Modified-Since: {modified}"],
    ["If-Match: {etag}", f"If-Unmodified-Since: {PAST}"],
    ['If-Match: "x"', "If-None-Match: {etag}"],
    ["If-Match: {etag}", "If-None-Match: {etag}"],
    ["Range: bytes=0-4", "If-Range: {etag}"], ["Range: bytes=0-4", "If-Range: W/{etag}"],
    ["Range: bytes=0-4", "If-Range: {modified}"], ["Range: bytes=0-4", f"If-Range: {PAST}"],
    ["Range: bytes=0-4", f"If-Range: {FUTURE}"], ["Range: bytes=0-4", "If-Range: garbage"],
    ["Range: bytes=0-4", "If-None-Match: {etag}"], ["Range: bytes=99999999-", "If-None-Match: {etag}"],
    ["Range: bytes=0-4", 'If-Match: "x"'],
]  # fmt: skip
TARGETS = [
    "/", "/sub", "/sub/", "/sub?a=b", "/sub/index.html", "/index.html", "/none", "/none/", "/bare", "/bare/",
    "/small.bin/", "/small.bin/x", "/%73mall.bin", "//small.bin", "/./small.bin", "/sub/../small.bin",
    "/../small.bin", "/%2e%2e/small.bin", "/sub/..", "/with%20space", "/%", "/%zz", "/%00", "/small.bin?x#y",
    "/small.bin%3f", "/%ff", "/sub//", "/sub/./", "/sub%2f", "http://b/small.bin", "/small.bin;x",
]  # fmt: skip


def requests() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for target in ("/small.bin", "/large.bin", "/empty.bin"):
        for value in RANGES:
            yield "GET", target, (f"Range: {value}",)
        for lines in CONDITIONS:
            yield "GET", target, tuple(lines)
        for method in ("HEAD", "POST", "PUT", "DELETE"):
            yield method, target, ()
        yield "HEAD", target, ("Range: bytes=0-4",)
        yield "HEAD", target, ("If-None-Match: {etag}",)
    for target in TARGETS:
        yield "GET", target, ()
        yield "HEAD", target, ()


_MALFORMED = "RFC 9110, 14.2: a range set that cannot be parsed is ignored; nginx answers 416"
_BROKEN_MEMBER = (
    "one malformed member makes the set malformed, and it is ignored; nginx sends the others"
)
_LENIENT = "RFC 9110, 14.1.1 has no white space there, so the set is ignored; nginx is lenient"
_EMPTY_MEMBER = "RFC 9110, 5.6.1.2: empty list members are parsed and ignored; nginx answers 416"
_NOTHING = "no 206 can describe zero bytes, so an empty file is sent as 200 whatever the range"
_GARBAGE = "T20: on GET, a condition that cannot be parsed is ignored; nginx lets it fail"
_NONE_MATCH = (
    "RFC 9110, 13.1.3: beside If-None-Match, If-Modified-Since is ignored; nginx asks both"
)
_MATCH = "RFC 9110, 13.1.4: beside If-Match, If-Unmodified-Since is ignored; nginx asks both"
_HEAD = "RFC 9110, 14.2: Range is defined for GET alone; nginx answers HEAD with 206"
_FRAGMENT = "RFC 9112, 3.2: a request target has no fragment; nginx cuts it off"

EXPLAINED: dict[tuple[str, ...], str] = {
    # What is looked for: the field lines, or the method and the field lines, or the target.
    ("Range: bytes=5-4",): _MALFORMED,
    ("Range: bytes=-",): _MALFORMED,
    ("Range: bytes=a-b",): _MALFORMED,
    ("Range: bytes=0-1,5-4",): _BROKEN_MEMBER,
    ("Range: bytes=0- 1",): _LENIENT,
    ("Range: bytes=0-1,",): _EMPTY_MEMBER,
    ("Range: bytes=,0-1",): _EMPTY_MEMBER,
    ("If-Match: garbage",): _GARBAGE,
    ("If-Unmodified-Since: garbage",): _GARBAGE,
    ("If-None-Match: {etag}", f"If-Modified-Since: {PAST}"): _NONE_MATCH,
    ("If-Match: {etag}", f"If-Unmodified-Since: {PAST}"): _MATCH,
    ("HEAD", "Range: bytes=0-4"): _HEAD,
    ("/small.bin?x#y",): _FRAGMENT,
    ("/empty.bin", "Range: bytes=5-10"): _NOTHING,
    ("/empty.bin", "Range: bytes=199-"): _NOTHING,
    ("/empty.bin", "Range: bytes=200-"): _NOTHING,
    ("/empty.bin", "Range: bytes=50200-"): _NOTHING,
    ("/empty.bin", "Range: bytes=99999999-"): _NOTHING,
}


def explanation_of(method: str, target: str, lines: tuple[str, ...]) -> tuple[str, ...] | None:
    for key in (lines, (method, *lines), (target, *lines)):
        if key in EXPLAINED:
            return key
    return None


def test_every_difference_to_nginx_is_explained(both: tuple[RunningChute, tuple[str, int]]):
    chute, nginx = both
    unexplained = []
    used = set()
    for method, target, lines in requests():
        ours = ask(chute.address, method, target, list(lines))
        theirs = ask(nginx, method, target, list(lines))
        if ours == theirs:
            continue
        key = explanation_of(method, target, lines)
        if key is None:
            names = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
            facts = {name: (ours.get(name), theirs.get(name)) for name in names if name != "body"}
            unexplained.append(f"{method} {target} {lines}: (chute, nginx) = {facts} {names}")
        else:
            used.add(key)
    assert not unexplained, "\n".join(unexplained)
    assert used == set(EXPLAINED), "explained, but no longer different"
