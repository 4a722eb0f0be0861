"""Clients that behave badly, and content that tells where it belongs."""

from __future__ import annotations

import functools
import socket
import struct
import time
from pathlib import Path

from running import RunningChute, Wire

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@functools.cache
def _numbers() -> bytes:
    return b"".join(b"%07d\n" % number for number in range(2 * MIB))


def numbered(count: int) -> bytes:
    """Return up to 16 MiB that are different everywhere: each eight bytes say how far they stand from the start."""
    assert count <= 16 * MIB
    return _numbers()[:count]


def make_sparse(path: Path, count: int) -> None:
    """Make a file of `count` zero bytes that takes no room on the disk."""
    with path.open("wb") as file:
        file.truncate(count)


def ask(wire: Wire, target: str, *lines: str, method: str = "GET") -> None:
    """Send a request and read nothing."""
    wire.send("\r\n".join([f"{method} {target} HTTP/1.1", "Host: test", *lines, "", ""]).encode())


def leave(wire: Wire, *, by_reset: bool) -> None:
    """Close with a reset, or as politely as unread bytes allow: FIN first."""
    if by_reset:
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    else:
        wire.sock.shutdown(socket.SHUT_WR)
    wire.close()


def read_to_the_end(wire: Wire) -> bytes:
    """Read until the server ends the connection, by FIN or by reset, and return what came."""
    received = bytearray(wire.pending)
    wire.pending = b""
    try:
        while data := wire.sock.recv(1 << 20):
            received += data
    except ConnectionResetError:
        pass
    return bytes(received)


def cpu_share(chute: RunningChute, seconds: float) -> float:
    """Watch the server for `seconds` and return how much of one processor it used."""
    before, started_s = chute.cpu_s(), time.monotonic()
    time.sleep(seconds)
    return (chute.cpu_s() - before) / (time.monotonic() - started_s)
