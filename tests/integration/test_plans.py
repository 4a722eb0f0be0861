"""A prepared answer is the answer: what changes is seen in time, and a warm request equals a cold one."""

from __future__ import annotations

import os
import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from running import Reply, RunningChute, Serve, Wire

SIZES = {"in memory": 1000, "by sendfile": 20_000}
SEEN_WITHIN_S = 1.7
"""One second of validity, and room for a busy machine."""


@pytest.fixture(params=sorted(SIZES))
def size(request: pytest.FixtureRequest) -> int:
    return SIZES[str(request.param)]


def warm(chute: RunningChute, target: str) -> tuple[Wire, Reply]:
    """Ask often enough that the third answer comes from a plan, and return the connection and that answer."""
    wire = chute.connect()
    replies = [wire.get(target) for _ in range(4)]
    assert all(reply.body == replies[0].body for reply in replies)
    return wire, replies[-1]


def comes(wire: Wire, target: str, body: bytes | None, *, status: int = 200) -> bool:
    """Whether the answer becomes `body` within the time that a change may take to be seen."""
    give_up = time.monotonic() + SEEN_WITHIN_S
    while time.monotonic() < give_up:
        reply = wire.get(target)
        if reply.status == status and body in (None, reply.body):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("poller", ["auto"])
def test_change_is_seen_within_the_validity(serve: Serve, folder: Path, size: int):
    path = folder / "a.bin"
    path.write_bytes(b"a" * size)
    chute = serve()
    wire, _ = warm(chute, "/a.bin")

    path.write_bytes(b"b" * size)
    assert comes(wire, "/a.bin", b"b" * size), "changed in place"

    status = path.stat()
    path.write_bytes(b"c" * size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert comes(wire, "/a.bin", b"c" * size), "same size, modification time put back"

    other = folder / "other"
    other.write_bytes(b"d" * (size + 1))
    other.rename(path)
    assert comes(wire, "/a.bin", b"d" * (size + 1)), "another file renamed over it"

    path.unlink()
    assert comes(wire, "/a.bin", None, status=404), "deleted"

    path.mkdir()
    assert comes(wire, "/a.bin", b"", status=301), "a folder in its place"


@pytest.mark.parametrize("poller", ["auto"])
def test_change_is_seen_at_once_without_validity(serve: Serve, folder: Path, size: int):
    path = folder / "a.bin"
    chute = serve("--valid", "0")
    path.write_bytes(b"0" * size)
    wire, _ = warm(chute, "/a.bin")
    for letter in b"abcdefgh":
        content = bytes([letter]) * size
        path.write_bytes(content)
        assert wire.get("/a.bin").body == content
    path.unlink()
    assert wire.get("/a.bin").status == 404


@pytest.mark.parametrize("poller", ["auto"])
def test_old_file_is_confirmed_and_not_only_trusted(serve: Serve, folder: Path, size: int):
    """A file that is older than the clock's grain keeps its plan, and still loses it when it changes."""
    path = folder / "a.bin"
    path.write_bytes(b"a" * size)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    wire, before = warm(serve("--valid", "0"), "/a.bin")
    path.write_bytes(b"b" * size)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    after = wire.get("/a.bin")
    assert after.body == b"b" * size
    assert after["last-modified"] == before["last-modified"]


@pytest.mark.parametrize("poller", ["auto"])
def test_earlier_index_that_appears_is_seen(serve: Serve, folder: Path):
    (folder / "index.htm").write_bytes(b"second")
    wire, reply = warm(serve("--index", "index.html", "--index", "index.htm"), "/")
    assert reply.body == b"second"
    (folder / "index.html").write_bytes(b"first")
    assert comes(wire, "/", b"first")


def test_date_is_right_each_second(serve: Serve, folder: Path):
    (folder / "a.txt").write_bytes(b"a")
    wire, _ = warm(serve(), "/a.txt")
    seen = set()
    give_up = time.monotonic() + 2.3
    while time.monotonic() < give_up:
        before = int(time.time())
        date = parsedate_to_datetime(wire.get("/a.txt")["date"]).timestamp()
        assert before <= date <= time.time()
        seen.add(date)
        time.sleep(0.05)
    assert len(seen) >= 2


@pytest.mark.parametrize("poller", ["auto"])
def test_listeners_have_plans_of_their_own(serve: Serve, folder: Path, tmp_path: Path):
    (folder / "a.txt").write_bytes(b"a")
    path = str(tmp_path / "second.sock")
    chute = serve("--bind", f"unix:{path}")
    wire, over_tcp = warm(chute, "/a.txt")
    chute.address = path
    wire, over_unix = warm(chute, "/a.txt")
    assert over_tcp.body == over_unix.body == b"a"
    with wire:
        assert wire.get("/a.txt", "Connection: close")["connection"] == "close"
        assert wire.is_closed()


@pytest.mark.parametrize("poller", ["auto"])
def test_content_of_a_get_is_never_a_request(serve: Serve, folder: Path):
    """A head with content is not remembered, and what follows it is content each time."""
    (folder / "a.txt").write_bytes(b"a")
    inner = b"GET /secret HTTP/1.1\r\nHost: a\r\n\r\n"
    request = b"GET /a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(inner) + inner
    chute = serve()
    with chute.connect() as wire:
        for _ in range(6):
            wire.send(request)
            assert wire.read_reply().body == b"a"
    assert all("/secret" not in line for line in chute.log_lines(6))


@pytest.mark.parametrize("poller", ["auto"])
def test_unique_heads_do_not_fill_the_memory(serve: Serve, folder: Path):
    """The bounds: 48 MiB of heads and 32 MiB of plans in total; on one target only the heads count."""
    (folder / "a.txt").write_bytes(b"a" * 100)
    chute = serve("--access-log", "off")
    with chute.connect() as wire:

        def burst(first: int, count: int) -> None:
            heads = (
                b"GET /a.txt HTTP/1.1\r\nHost: a\r\nCookie: id=%d%s\r\n\r\n" % (number, b"x" * 200)
                for number in range(first, first + count)
            )
            wire.send(b"".join(heads))
            for _ in range(count):
                assert wire.read_reply().status == 200

        for start in range(0, 30_000, 500):
            burst(start, 500)
        resident = chute.resident_bytes()
        for start in range(30_000, 90_000, 500):
            burst(start, 500)
        assert chute.resident_bytes() - resident < 4 << 20


WARM_TABLE = [
    ("GET", "/a.txt", []),
    ("HEAD", "/a.txt", []),
    ("GET", "/big.bin", []),
    ("HEAD", "/big.bin", []),
    ("GET", "/", []),
    ("GET", "/sub", []),
    ("GET", "/sub?x=1", []),
    ("GET", "/sub/", []),
    ("GET", "/none", []),
    ("GET", "/none", ["Accept: application/json"]),
    ("GET", "/a.txt?query", []),
    ("GET", "/%61.txt", []),
    ("GET", "/x/../a.txt", []),
    ("GET", "http://other/a.txt", []),
    ("GET", "/a.txt", ["Range: bytes=1-2"]),
    ("GET", "/big.bin", ["Range: bytes=-10"]),
    ("HEAD", "/big.bin", ["Range: bytes=-10"]),
    ("GET", "/a.txt", ["Range: bytes=99-"]),
    ("GET", "/a.txt", ["If-None-Match: *"]),
    ("GET", "/a.txt", ['If-Match: "x"']),
    ("GET", "/a.txt", ["Connection: close"]),
    ("GET", "/none", ["Connection: close"]),
    ("OPTIONS", "/a.txt", []),
    ("OPTIONS", "*", []),
    ("DELETE", "/a.txt", []),
    ("POST", "/a.txt", ["Content-Length: 0"]),
]


def test_cold_and_warm_answers_are_the_same_bytes(serve: Serve, folder: Path):
    (folder / "a.txt").write_bytes(b"abcdef")
    (folder / "index.html").write_bytes(b"index")
    (folder / "big.bin").write_bytes(b"0123456789" * 5000)
    (folder / "sub").mkdir()
    for path in folder.iterdir():
        os.utime(path, (1_600_000_000, 1_600_000_000))
    chute = serve()
    for method, target, lines in WARM_TABLE:
        for version in ("1.1", "1.0"):
            answers = set()
            for _ in range(5):
                with chute.connect() as wire:
                    request = [f"{method} {target} HTTP/{version}", "Host: a", *lines, "", ""]
                    reply = wire.request("\r\n".join(request).encode(), method)
                    head = b"\r\n".join(
                        line for line in reply.head.split(b"\r\n") if not line.startswith(b"Date:")
                    )
                    answers.add((head, reply.body))
            assert len(answers) == 1, (method, target, lines, version, answers)
