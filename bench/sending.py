"""`python -m bench.sending`: what it costs a Python program to send a file over a socket of its own.

chute.sock_sendfile and chute.sendfile against what the standard library and aiohttp have: CPU time of the sending
process per GiB, and per file. One process per way, pinned to the first core; one client, which throws everything away,
on the last. The ways take turns in every round.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

from bench import cpu, environment
from bench.load import KIB, MIB
from bench.senders import WAYS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GIB = 1024 * MIB
SIZES = {"64 KiB": 64 * KIB, "1 MiB": MIB, "100 MiB": 100 * MIB}
_SENDERS = environment.REPOSITORY / "bench" / "senders.py"
_REQUEST = {"aiohttp FileResponse": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"}
_HEAD_END = b"\r\n\r\n"
_PACKAGES = {"aiohttp FileResponse": ("aiohttp",), "uvloop": ("uvloop",)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="per way, size and round")
    options = parser.parse_args()
    ways = [way for way in WAYS if _is_installed(way)]
    costs: dict[tuple[str, str], list[float]] = {}
    for name, size in SIZES.items():
        path = environment.site_file(f"sending-{size}", size)
        for _ in range(options.rounds):
            for way in ways:
                costs.setdefault((name, way), []).append(_measure(way, path, options.seconds))
    print("| file | way | CPU ms/GiB | min..max | CPU µs/file | of loop.sendfile |")
    print("|---|---|--:|--:|--:|--:|")
    for (name, way), samples in costs.items():
        reference = median(costs[name, "loop.sendfile"])
        middle = median(samples)
        per_file = middle * 1000 * SIZES[name] / GIB
        print(
            f"| {name} | {way} | {middle:.0f} | {min(samples):.0f}..{max(samples):.0f} "
            f"| {per_file:.1f} | {middle / reference:.2f} |"
        )
    return 0


def _is_installed(way: str) -> bool:
    for suffix, packages in _PACKAGES.items():
        if way.endswith(suffix) and (problem := environment.install(packages)):
            print(f"skipped {way}: {problem}")
            return False
    return True


def _measure(way: str, path: Path, seconds: float) -> float:
    """Return the CPU milliseconds per GiB that a sender needed."""
    with _started(way, path) as (pid, sock):
        size = path.stat().st_size
        request = _REQUEST.get(way, b"?")
        room = bytearray(MIB)
        _fetch(sock, request, size, room, is_http=way in _REQUEST)
        before = cpu.read_cpu(pid)
        sent = 0
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            _fetch(sock, request, size, room, is_http=way in _REQUEST)
            sent += size
        return cpu.cpu_between(before, cpu.read_cpu(pid)) / 1e6 / (sent / GIB)


@contextlib.contextmanager
def _started(way: str, path: Path) -> Iterator[tuple[int, socket.socket]]:
    """Start a sender, connect to it, and end it."""
    python = str(environment.VENV_PYTHON) if environment.VENV_PYTHON.exists() else sys.executable
    with cpu.pinned(cpu.SERVER_CORE):
        process = subprocess.Popen(
            [python, str(_SENDERS), way, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(environment.REPOSITORY / "src")},
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        with cpu.pinned(cpu.LOAD_CORE), socket.create_connection(("127.0.0.1", port)) as sock:
            yield process.pid, sock
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _fetch(
    sock: socket.socket, request: bytes, size: int, room: bytearray, *, is_http: bool
) -> None:
    """Ask for the file, and receive all of it."""
    sock.sendall(request)
    left = size
    if is_http:
        head = b""
        while _HEAD_END not in head:
            head += sock.recv(4096)
        left -= len(head.partition(_HEAD_END)[2])
    while left > 0:
        count = sock.recv_into(room)
        if count == 0:
            raise RuntimeError("the sender closed the connection")
        left -= count


if __name__ == "__main__":
    sys.exit(main())
