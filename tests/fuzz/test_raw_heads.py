"""Bytes that no client should send.

Invariant: whatever arrives, in whatever pieces, the server answers with a well-formed refusal or answer or closes;
it never answers 500, never crashes, never keeps a descriptor, and answers the next honest request. Documented answers
to nonsense: 400, 404, 405, 408, 412, 413, 414, 416, 417, 431, 501, 505 and 403; to luck: 200, 204, 206, 301, 304.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from running import RunningChute, Wire, wait_until
from shared import shared_server

ALLOWED = {200, 204, 206, 301, 304, 400, 403, 404, 405, 408, 412, 413, 414, 416, 417, 431, 501, 505}


def fill(folder: Path) -> None:
    (folder / "a.txt").write_bytes(b"abc")
    (folder / "b.bin").write_bytes(bytes(20_000))


server = shared_server(fill, "--head-timeout", "3", "--body-timeout", "3")

SEEDS = [
    b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD /b.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1,5-9\r\n\r\n",
    b'GET /b.bin HTTP/1.0\r\nIf-None-Match: "x", W/"y"\r\nIf-Range: "x"\r\n\r\n',
    b"POST /a.txt HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: x\r\n\r\n",
    b"PUT http://h:80/%61?q HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\n\r\n",
]
SPLICES = [
    b"",
    b"\r",
    b"\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"\r\n",
    b"\r\n\r\n",
    b"\xff",
    b"%00",
    b"..",
    b"/",
    b"\x7f",
]
SPLICES += [
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: b\r\n",
    b"A" * 9000,
    b"X: y\r\n" * 120,
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        gone = draw(st.integers(0, 3))
        data = (
            data[:at] + draw(st.sampled_from(SPLICES) | st.binary(max_size=4)) + data[at + gone :]
        )
    return data + draw(st.sampled_from([b"", SEEDS[0], b"\r\n\r\n"]))


def statuses_of(received: bytes) -> list[int]:
    """The status lines in what came back; content of ours never looks like one."""
    return [int(line[9:12]) for line in received.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


def exchange(chute: RunningChute, data: bytes, cuts: list[int]) -> bytes:
    received = b""
    with Wire(socket.create_connection(chute.address, timeout=5)) as wire:
        try:
            start = 0
            for cut in sorted({cut % (len(data) + 1) for cut in cuts}):
                wire.send(data[start:cut])
                start = cut
            wire.send(data[start:])
            wire.sock.shutdown(socket.SHUT_WR)
            while piece := wire.sock.recv(65536):
                received += piece
        except (ConnectionResetError, BrokenPipeError):
            pass  # refused while we were still sending
    return received


@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=mutated() | st.binary(max_size=200), cuts=st.lists(st.integers(0, 10_000), max_size=3))
def test_nonsense_is_refused_and_forgotten(server: RunningChute, data: bytes, cuts: list[int]):
    received = exchange(server, data, cuts)
    assert received == b"" or received.startswith(b"HTTP/1.1 ")
    assert set(statuses_of(received)) <= ALLOWED, received
    assert server.is_alive()


def test_nothing_is_kept_after_nonsense(server: RunningChute):
    with server.connect() as wire:
        assert wire.get("/a.txt").body == b"abc"
    wait_until(lambda: server.descriptors() < 40, what="descriptors given back")
    before = server.descriptors()
    for data in SEEDS:
        for end in range(0, len(data), 3):
            exchange(server, data[:end], [])
    wait_until(lambda: server.descriptors() <= before, what="descriptors given back")
    assert server.get("/a.txt").body == b"abc"
    spent = server.cpu_s()
    time.sleep(0.5)
    assert server.cpu_s() - spent < 0.1
