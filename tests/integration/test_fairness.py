"""Nobody waits for others longer than their turn takes (T31)."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from downloads import make_sparse
from running import RunningChute
from shared import shared_server

DOWNLOADS = 8


def fill(folder: Path) -> None:
    make_sparse(folder / "big.bin", 5 << 30)
    (folder / "a.txt").write_bytes(b"a")
    (folder / "page.html").write_bytes(b"p" * 5000)


server = shared_server(fill)


@contextlib.contextmanager
def downloads_without_end(chute: RunningChute) -> Iterator[list[int]]:
    """Let threads download for as long as the block runs; gives the bytes that each has received so far."""
    received = [0] * DOWNLOADS
    over = threading.Event()

    def download(number: int) -> None:
        with socket.create_connection(chute.address, timeout=10) as sock:
            sock.sendall(b"GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n")
            room = bytearray(1 << 18)
            while not over.is_set():
                received[number] += sock.recv_into(room)

    threads = [threading.Thread(target=download, args=[number]) for number in range(DOWNLOADS)]
    for thread in threads:
        thread.start()
    try:
        yield received
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_t31_small_answers_do_not_wait_for_large_ones(server: RunningChute):
    """A small answer waits for one chunk of each download at most; a whole file would take seconds."""
    with downloads_without_end(server) as received, server.connect() as wire:
        waits = []
        give_up = time.monotonic() + 8
        while len(waits) < 100 or min(received) < 1 << 20:
            assert time.monotonic() < give_up, f"downloads stand at {received}"
            started = time.monotonic()
            assert wire.get("/a.txt").body == b"a"
            waits.append(time.monotonic() - started)
    assert max(received) < 5 << 30, "no download was over in the meantime"
    assert sorted(waits)[len(waits) // 2] < 0.5


def test_t31_new_connections_are_accepted_beside_large_answers(server: RunningChute):
    with downloads_without_end(server):
        started = time.monotonic()
        for _ in range(20):
            assert server.get("/a.txt").body == b"a"
        assert time.monotonic() - started < 10


def test_t31_pipelined_requests_do_not_hold_up_others(server: RunningChute):
    """Thousands of requests arrive at once, and their answers are not even read: the others are served."""
    request = b"GET /page.html HTTP/1.1\r\nHost: a\r\n\r\n"
    greedy = [server.connect() for _ in range(4)]
    for wire in greedy:
        wire.sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            wire.sock.send(request * 5000)
    started = time.monotonic()
    with server.connect() as modest:
        for _ in range(50):
            assert modest.get("/a.txt").body == b"a"
    assert time.monotonic() - started < 5
    for wire in greedy:
        wire.sock.settimeout(10)
        assert len(wire.read_reply().body) == 5000
        wire.close()
