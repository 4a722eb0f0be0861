"""Requests queued on one connection: answered in order, and read no faster than they are answered (T13)."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from running import RunningChute
from shared import shared_server

LARGE = os.urandom(300_000)


def fill(folder: Path) -> None:
    (folder / "small.txt").write_bytes(b"small")
    (folder / "large.bin").write_bytes(LARGE)
    (folder / "sub").mkdir()


server = shared_server(fill)


def ask(target: str, *lines: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: a", *lines, "", ""]).encode()


def test_t13_mixed_requests_in_one_segment_are_answered_in_order(server: RunningChute):
    kinds = [
        (ask("/small.txt"), "GET", 200, b"small"),
        (ask("/large.bin"), "GET", 200, LARGE),
        (ask("/missing"), "GET", 404, None),
        (ask("/large.bin", "Range: bytes=7-9"), "GET", 206, LARGE[7:10]),
        (ask("/large.bin", method="HEAD"), "HEAD", 200, b""),
        (ask("/sub"), "GET", 301, b""),
        (ask("/small.txt", "Content-Length: 3", method="POST") + b"abc", "POST", 405, None),
    ]
    with server.connect() as wire:
        order = [kinds[(i * 5) % len(kinds)] for i in range(40)]
        wire.send(b"".join(request for request, _, _, _ in order))
        for index, (_, method, status, body) in enumerate(order):
            reply = wire.read_reply(method)
            assert reply.status == status, index
            if body is not None:
                assert reply.body == body, index


def test_t13_requests_of_a_client_that_does_not_read_are_not_taken_in(server: RunningChute):
    count = 10_000
    resident = server.resident_bytes()
    with server.connect(receive_buffer=8192) as wire:
        sender = threading.Thread(target=wire.send, args=(ask("/small.txt") * count,))
        sender.start()
        sender.join(1.0)
        assert server.resident_bytes() - resident < 10 << 20
        assert server.get("/small.txt").body == b"small"
        for _ in range(count):
            assert wire.read_reply().body == b"small"
        sender.join(10)
        assert not sender.is_alive()


def test_t13_large_answers_queue_behind_each_other(server: RunningChute):
    with server.connect(receive_buffer=8192) as wire:
        wire.send(ask("/large.bin") * 30)
        for index in range(30):
            assert wire.read_reply().body == LARGE, index


def test_request_split_at_every_byte_is_answered(server: RunningChute):
    request = ask("/small.txt") + ask("/large.bin", "Range: bytes=0-1")
    for cut in range(1, len(request)):
        with server.connect() as wire:
            wire.send(request[:cut])
            wire.send(request[cut:])
            assert wire.read_reply().body == b"small"
            assert wire.read_reply().body == LARGE[:2]
