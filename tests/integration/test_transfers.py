"""Transfers over real sockets: files that change, readers that stall, clients that leave."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from downloads import GIB, KIB, MIB, ask, cpu_share, leave, make_sparse, numbered, read_to_the_end
from running import RunningChute, Serve, wait_until

SPIN = 0.15
"""Share of a processor above which a server that waits is said to spin; a real spin uses all of one."""

BOTH_WAYS = pytest.mark.parametrize(
    ("poller", "way"),
    [("auto", "--sendfile=on"), ("portable", "--sendfile=on"), ("auto", "--sendfile=off")],
)
"""Both methods, and sendfile over both pollers."""


@contextlib.contextmanager
def meanwhile(act: Callable[[], None]) -> Iterator[None]:
    """Repeat `act` in a thread for as long as the block runs; its failure is the test's."""
    is_over = threading.Event()
    failures: list[Exception] = []

    def repeat() -> None:
        try:
            while not is_over.is_set():
                act()
        except Exception as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    if failures:
        raise failures[0]


def settled_descriptors(chute: RunningChute, target: str) -> int:
    """How many descriptors the server holds once `target` is hot and no connection is open."""
    for _ in range(3):
        assert chute.get(target, method="HEAD").status == 200
    counts = [chute.descriptors()]
    while len(counts) < 5 or len(set(counts[-5:])) > 1:
        time.sleep(0.02)
        counts.append(chute.descriptors())
        assert len(counts) < 250, counts[-5:]
    return counts[-1]


@BOTH_WAYS
def test_t01_file_that_shrinks_ends_the_connection(serve: Serve, folder: Path, way: str):
    size = 64 * MIB
    make_sparse(folder / "big.bin", size)
    (folder / "next.txt").write_bytes(b"the next response")
    chute = serve(way)
    with chute.connect(receive_buffer=16 * KIB) as wire:
        ask(wire, "/big.bin")
        ask(wire, "/next.txt")
        reply = wire.read_head()
        assert reply["content-length"] == str(size)
        os.truncate(folder / "big.bin", 8 * KIB)
        received = read_to_the_end(wire)
    assert len(received) < size
    assert not received.strip(b"\0"), "something followed the part of the body"
    assert cpu_share(chute, 0.5) < SPIN
    wait_until(lambda: "truncated at" in chute.errors(), what="the error line")
    (said,) = re.findall(r"truncated at (\d+) of (\d+)", chute.errors())
    sent, promised = map(int, said)
    assert promised == len(reply.head) + size
    assert len(reply.head) + len(received) <= sent < promised
    (line,) = chute.log_lines(1)
    assert line.endswith(" aborted")
    assert '"GET /big.bin' in line
    assert chute.get("/next.txt").body == b"the next response"


def test_t02_file_that_grows_is_sent_as_long_as_it_was_promised(serve: Serve, folder: Path):
    content = numbered(2 * MIB)
    place = folder / "log.bin"
    place.write_bytes(content[: 300 * KIB])
    chute = serve("--valid", "0")
    written = 300 * KIB

    def append() -> None:
        nonlocal written
        if written < len(content):
            with place.open("ab") as file:
                file.write(content[written : written + 777])
            written += 777
        time.sleep(0.0005)

    lengths: set[int] = set()
    end_s = time.monotonic() + 20
    with meanwhile(append), chute.connect(receive_buffer=16 * KIB) as wire:
        while len(lengths) < 10:
            assert time.monotonic() < end_s, "the file did not grow while it was served"
            reply = wire.get("/log.bin")
            assert reply.status == 200
            assert reply.body == content[: len(reply.body)]
            lengths.add(len(reply.body))


@BOTH_WAYS
def test_t03_replaced_file_is_wholly_old_or_wholly_new(serve: Serve, folder: Path, way: str):
    """Sizes around the threshold change the method between two requests, too."""
    sizes = {b"a": 4000, b"b": 8 * KIB - 1, b"c": 8 * KIB, b"d": 300 * KIB}
    masters = [(letter * size) for letter, size in sizes.items()]
    (folder / "file").write_bytes(masters[0])
    turn = 0

    def replace() -> None:
        nonlocal turn
        turn += 1
        (folder / "new").write_bytes(masters[turn % len(masters)])
        (folder / "new").replace(folder / "file")
        time.sleep(0.0003)

    chute = serve("--valid", "0", way)
    seen = set()
    tags: dict[str, bytes] = {}
    end_s = time.monotonic() + 1.5
    with meanwhile(replace), chute.connect() as wire:
        while time.monotonic() < end_s or len(seen) < len(sizes):
            reply = wire.get("/file")
            letter = reply.body[:1]
            assert reply.status == 200
            assert reply.body == letter * sizes[letter], f"{len(reply.body)} bytes, {letter!r}"
            assert tags.setdefault(reply["etag"], letter) == letter
            seen.add(letter)
            assert time.monotonic() < end_s + 20, f"only {seen} were seen"


@BOTH_WAYS
def test_t05_reader_that_stalls_gets_every_byte_once(serve: Serve, folder: Path, way: str):
    content = os.urandom(12 * MIB)
    (folder / "big.bin").write_bytes(content)
    chute = serve(way)
    for lines, expected in (
        ((), content),
        (("Range: bytes=1234567-",), content[1234567:]),
        (("Range: bytes=1-5000000,6000000-9000000",), None),
    ):
        with chute.connect(receive_buffer=64 * KIB) as wire:
            ask(wire, "/big.bin", *lines)
            reply = wire.read_head()
            beginning = wire.read_body(10_000)
            time.sleep(0.3)
            body = beginning + wire.read_body(int(reply["content-length"]) - 10_000)
        if expected is not None:
            assert hashlib.sha256(body).digest() == hashlib.sha256(expected).digest()
        else:
            assert content[1:5000001] in body
            assert content[6000000:9000001] in body


@BOTH_WAYS
def test_t06_slow_reader_with_a_tiny_buffer_gets_the_whole_body(
    serve: Serve, folder: Path, way: str
):
    content = numbered(3 * MIB)
    (folder / "big.bin").write_bytes(content)
    chute = serve(way)
    with chute.connect(receive_buffer=2 * KIB) as wire:
        ask(wire, "/big.bin")
        count = int(wire.read_head()["content-length"])
        body = bytearray()
        while len(body) < count:
            if len(body) < 8 * KIB:
                time.sleep(0.01)
                body += wire.read_body(min(512, count - len(body)))
            else:
                body += wire.read_body(min(64 * KIB, count - len(body)))
        assert bytes(body) == content
        assert wire.get("/big.bin", method="HEAD").status == 200
    assert chute.log_lines(2)[0].endswith(" complete")


def test_t07_file_beyond_four_gib(serve: Serve, folder: Path):
    size, border = 5 * GIB, 4 * GIB
    place = folder / "sparse.bin"
    make_sparse(place, size)
    with place.open("r+b") as file:
        file.seek(border - 6)
        file.write(b"<-- four gib -->")
        file.seek(size - 5)
        file.write(b"|end|")
    chute = serve()
    assert chute.get("/sparse.bin", method="HEAD")["content-length"] == str(size)
    reply = chute.get("/sparse.bin", "Range: bytes=-5")
    assert (reply.status, reply.body) == (206, b"|end|")
    assert reply["content-range"] == f"bytes {size - 5}-{size - 1}/{size}"
    reply = chute.get("/sparse.bin", f"Range: bytes={border - 6}-{border + 9}")
    assert reply.body == b"<-- four gib -->"
    with chute.connect() as wire:
        ask(wire, "/sparse.bin", "Range: bytes=4294967290-")
        head = wire.read_head()
        assert head["content-length"] == str(size - 4294967290)
        assert wire.read_body(KIB) == b"<-- four gib -->".ljust(KIB, b"\0")
    with chute.connect() as wire:
        ask(wire, "/sparse.bin")
        assert wire.read_head()["content-length"] == str(size)
        assert wire.read_body(3 * MIB) == bytes(3 * MIB)


@BOTH_WAYS
def test_t08_slow_reader_costs_nothing_and_holds_up_nobody(serve: Serve, folder: Path, way: str):
    (folder / "big.bin").write_bytes(numbered(16 * MIB))
    (folder / "small.txt").write_bytes(b"small")
    chute = serve(way)
    with chute.connect(receive_buffer=4 * KIB) as slow, chute.connect() as other:
        ask(slow, "/big.bin")
        slow.read_head()
        other.get("/small.txt")
        before, started_s = chute.cpu_s(), time.monotonic()
        while time.monotonic() < started_s + 1.2:
            slow.read_body(100)
            assert other.get("/small.txt").body == b"small"
            time.sleep(0.1)
        used_s = chute.cpu_s() - before
        assert used_s < SPIN * (time.monotonic() - started_s)


def test_t09_clients_that_leave_in_the_middle_leave_nothing_behind(serve: Serve, folder: Path):
    make_sparse(folder / "big.bin", 64 * MIB)
    (folder / "small.txt").write_bytes(b"small")
    chute = serve("--valid", "0")
    before = settled_descriptors(chute, "/big.bin")
    for number in range(1000):
        wire = chute.connect(receive_buffer=4 * KIB)
        ask(wire, "/big.bin")
        if number % 4 < 2:
            assert wire.read_head().status == 200
        leave(wire, by_reset=number % 2 == 0)
    wait_until(lambda: chute.descriptors() <= before, what="the return of all descriptors")
    assert chute.get("/small.txt").body == b"small"
    assert chute.get("/big.bin", "Range: bytes=-3").body == bytes(3)
    # Many transfers share one descriptor; it goes when the file does, if all of them have given it back.
    (folder / "big.bin").unlink()
    assert chute.get("/big.bin").status == 404
    wait_until(lambda: chute.descriptors() < before, what="the return of the file itself")
    # Every second client had read the head, so its answer had begun and cannot have been completed.
    wait_until(
        lambda: chute.access_log.read_text().count(" aborted\n") >= 500, what="the aborted answers"
    )
    assert "Traceback" not in chute.errors()


BODILESS = {
    "HEAD": (("/a.bin",), "HEAD", 200),
    "not modified": (("/a.bin", "If-None-Match: *"), "GET", 304),
    "precondition failed": (("/a.bin", 'If-Match: "other"'), "GET", 412),
    "unsatisfiable range": (("/a.bin", "Range: bytes=99999999-"), "GET", 416),
    "missing": (("/missing",), "GET", 404),
}


def test_t10_answers_without_content_leak_no_descriptor(serve: Serve, folder: Path, poller: str):
    (folder / "a.bin").write_bytes(numbered(100 * KIB))
    chute = serve("--valid", "0")
    before = settled_descriptors(chute, "/a.bin")
    for name, ((target, *lines), method, status) in BODILESS.items():
        with chute.connect() as wire:
            ask(wire, target, *lines, method=method)
            reply = wire.read_reply(method)
            assert reply.status == status, name
            length = len(reply.head) + len(reply.body)
            text = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: test", *lines, "", ""])
            for _ in range(50 if poller == "auto" else 5):
                wire.send(text.encode() * 200)
                replies = wire.read_body(length * 200)
                assert replies.count(b"HTTP/1.1 %d " % status) == 200, name
            assert chute.descriptors() <= before + 1, name
    wait_until(lambda: chute.descriptors() <= before, what="the return of all descriptors")


@BOTH_WAYS
def test_t17_deleted_file_is_sent_to_its_end(serve: Serve, folder: Path, way: str):
    content = numbered(16 * MIB)
    (folder / "big.bin").write_bytes(content)
    chute = serve("--valid", "0", way)
    with chute.connect(receive_buffer=16 * KIB) as wire:
        ask(wire, "/big.bin")
        reply = wire.read_head()
        (folder / "big.bin").unlink()
        assert chute.get("/big.bin").status == 404
        assert wire.read_body(int(reply["content-length"])) == content
        assert wire.get("/big.bin").status == 404


@pytest.mark.parametrize(
    ("way", "carried"), [("--sendfile=on", "sendfile"), ("--sendfile=off", "copy:off")]
)
def test_t33_log_says_how_each_answer_was_carried(
    serve: Serve, folder: Path, way: str, carried: str
):
    (folder / "large.bin").write_bytes(numbered(3 * MIB))
    (folder / "least.bin").write_bytes(numbered(8 * KIB))
    (folder / "small.bin").write_bytes(numbered(8 * KIB - 1))
    chute = serve(way)
    with chute.connect() as wire:
        wire.get("/large.bin")
        wire.get("/least.bin")
        wire.get("/large.bin", "Range: bytes=5-9")
        wire.get("/large.bin", "Range: bytes=0-1,9-99")
        wire.get("/small.bin")
        wire.get("/large.bin", method="HEAD")
    columns = [line.split()[-2] for line in chute.log_lines(6)]
    assert columns == [carried, carried, carried, carried, "buffer", "buffer"]


@BOTH_WAYS
def test_t38_truncating_what_is_served_never_ends_the_process(serve: Serve, folder: Path, way: str):
    content = numbered(2 * MIB)
    place = folder / "file.bin"
    place.write_bytes(content)
    turn = 0

    def truncate_and_grow() -> None:
        nonlocal turn
        turn += 1
        os.truncate(place, (0, 5 * KIB, 9 * KIB)[turn % 3])
        time.sleep(0.001)
        with place.open("r+b") as file:
            file.write(content)
        time.sleep(0.02 if turn % 10 == 0 else 0.001)

    chute = serve("--valid", "0", way)
    whole = cut = 0
    end_s = time.monotonic() + 1
    with meanwhile(truncate_and_grow):
        while time.monotonic() < end_s or not (whole and cut):
            with chute.connect(receive_buffer=64 * KIB) as wire:
                try:
                    reply = wire.get("/file.bin")
                except (EOFError, ConnectionResetError):
                    cut += 1
                else:
                    assert reply.status == 200
                    whole += 1
            assert chute.is_alive()
            assert time.monotonic() < end_s + 20, f"{whole} whole, {cut} cut"
    assert chute.get("/file.bin").body == content
