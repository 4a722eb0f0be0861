"""`python -m bench.fairness`: how long small answers take beside a download of 5 GiB.

One thread, on the core of the load, asks for a small file and receives the download while it waits for the answer, so
that the scheduler never has to choose between the two. The kernel discards what the download brings, which is faster
than any server can send it. Each request comes at a moment of its own, after some receptions, by chance.

The file of the download is sparse: it takes no room on the disk, and reading it never waits for one. In the case
`cached` it was read before; in the case `cold` it is dropped from the page cache before each turn, so that the kernel
has to make every page of it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import select
import socket
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from bench import cpu, environment, load
from bench.running import RunningServer, started, stop_on_signals
from bench.servers import SERVERS, available

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.servers import Server

_SMALL = load.CASES[0]
_LARGE_BYTES = 5 * 1024 * load.MIB
_LARGE_NAME = f"{_LARGE_BYTES}.sparse"
_ROOM = bytearray(256 * load.KIB)
_RECEIVE_BUFFER = load.MIB
_RECEPTIONS_MAX = 30
_ANSWER_SECONDS = 10
_HEADINGS = (
    "file",
    "server",
    "alone p50 µs",
    "p99 µs",
    "beside p50 µs",
    "p99 µs",
    "p99 ratio",
    "min..max",
    "MiB before p99",
    "download MB/s",
)


class Turn(NamedTuple):
    """What one turn of one server showed; times in microseconds.

    Attributes:
        alone_p50: how long half of the small answers took at most, nothing else going on.
        alone_p99: the same, for 99 of 100.
        beside_p50: half of them, beside the download.
        beside_p99: 99 of 100, beside the download.
        waited_bytes: what the download brought between a request and its answer, in 99 of 100 cases at most.
        download_rate: bytes per second of the download.
    """

    alone_p50: float
    alone_p99: float
    beside_p50: float
    beside_p99: float
    waited_bytes: float
    download_rate: float


class Download:
    """A download that begins anew when it is over.

    Attributes:
        received: bytes so far, heads included.
    """

    def __init__(self, url: str) -> None:
        """Begin to download `url`; `close` must be called in the end."""
        self._url = urlsplit(url)
        self.received = 0
        self._sock = self._begin()

    def fileno(self) -> int:
        """The descriptor to wait for; another one after a new beginning."""
        return self._sock.fileno()

    def receive(self) -> None:
        """Discard some of what has come."""
        # tcp(7): with MSG_TRUNC the kernel discards what it would have copied.
        count = self._sock.recv_into(_ROOM, 0, socket.MSG_TRUNC)
        self.received += count
        if not count:
            self._sock.close()
            self._sock = self._begin()

    def close(self) -> None:
        """Leave, whatever is on its way."""
        self._sock.close()

    def _begin(self) -> socket.socket:
        head = f"GET {self._url.path} HTTP/1.1\r\nHost: {self._url.netloc}\r\nConnection: close\r\n\r\n"
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        sock.settimeout(_ANSWER_SECONDS)
        sock.connect((self._url.hostname, self._url.port))
        sock.sendall(head.encode())
        answer = sock.recv(load.KIB, socket.MSG_PEEK)
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"the download was answered with {answer[:80]!r}")
        return sock


class SmallRequests:
    """Asks for the small file, again and again, on one connection."""

    def __init__(self, url: str) -> None:
        """Connect; `close` must be called in the end."""
        parts = urlsplit(url)
        self._head = load.request_head(url)
        self._sock = socket.create_connection((parts.hostname, parts.port), _ANSWER_SECONDS)

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()

    def ask(self, download: Download | None) -> float:
        """Ask once, receive the download meanwhile, and return the seconds it took."""
        before_s = time.perf_counter()
        self._sock.sendall(self._head)
        answer = b""
        while len(answer.partition(b"\r\n\r\n")[2]) < _SMALL.size:
            if download is not None:
                self._receive_until_readable(download)
            answer += self._sock.recv(64 * load.KIB)
            if not answer.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"answered with {answer[:80]!r}")
        return time.perf_counter() - before_s

    def _receive_until_readable(self, download: Download) -> None:
        while True:
            ready, _, _ = select.select([self._sock, download], [], [], _ANSWER_SECONDS)
            if not ready:
                raise RuntimeError("no answer, and nothing of the download either")
            if self._sock in ready:
                return
            download.receive()


def main() -> int:
    options = _options()
    stop_on_signals()
    large = _sparse_file()
    servers, versions, skipped = available(options.server or ["chute", "nginx"])
    for name, version in versions.items():
        print(f"{name}: {version}")
    for name, why in skipped.items():
        print(f"skipped {name}: {why}")
    print(
        f"{options.rounds} rounds of {options.requests} requests alone and as many beside the download, "
        f"servers on core {cpu.SERVER_CORE}, load on core {cpu.LOAD_CORE}"
    )
    print(_line(_HEADINGS))
    print(_line(["---", "---", *("--:" for _ in _HEADINGS[2:])]))
    for case in ("cached", "cold"):
        try:
            turns = measure(servers, large, case, options.rounds, options.requests)
        except (OSError, RuntimeError) as error:
            print(f"not valid: {error}")
            return 1
        for server in servers:
            print(_line(_cells(case, server.name, turns[server.name])), flush=True)
    return 0


def measure(
    servers: Sequence[Server], large: Path, case: str, rounds: int, requests: int
) -> dict[str, list[Turn]]:
    """Give each server one turn per round, the order rotating.

    Raises:
        OSError: a connection failed.
        RuntimeError: a server does not answer as it should.
    """
    turns: dict[str, list[Turn]] = {server.name: [] for server in servers}
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(started(server)) for server in servers]
        for each in running:
            if problem := each.await_ready(_SMALL):
                raise RuntimeError(f"{each.server.name}: {problem}")
        for number in range(rounds):
            start = number % len(running)
            for each in running[start:] + running[:start]:
                _prepare(large, case)
                with cpu.pinned(cpu.LOAD_CORE):
                    turns[each.server.name].append(_take_turn(each, requests))
                each.count_log()
    return turns


def _take_turn(running: RunningServer, requests: int) -> Turn:
    chance = random.Random(requests)
    beside_s, waited = [], []
    with contextlib.closing(SmallRequests(running.url(_SMALL.file_name))) as small:
        alone_s = [small.ask(None) for _ in range(requests)]
        with contextlib.closing(Download(running.url(_LARGE_NAME))) as download:
            began_s = time.perf_counter()
            for _ in range(requests):
                for _ in range(chance.randint(1, _RECEPTIONS_MAX)):
                    download.receive()
                before = download.received
                beside_s.append(small.ask(download))
                waited.append(float(download.received - before))
            rate = download.received / (time.perf_counter() - began_s)
    times = (
        1e6 * _share(seconds, share) for seconds in (alone_s, beside_s) for share in (0.50, 0.99)
    )
    return Turn(*times, _share(waited, 0.99), rate)


def _share(values: list[float], share: float) -> float:
    """The value that so large a share of all does not exceed."""
    return sorted(values)[int(len(values) * share + 0.999) - 1]


def _cells(case: str, name: str, turns: list[Turn]) -> list[str]:
    ratios = [turn.beside_p99 / turn.alone_p99 for turn in turns]
    middle = Turn(*(median(column) for column in zip(*turns, strict=True)))
    return [
        case,
        name,
        *(f"{value:.0f}" for value in middle[:4]),
        f"{median(ratios):.1f}",
        f"{min(ratios):.1f}..{max(ratios):.1f}",
        f"{middle.waited_bytes / load.MIB:.1f}",
        f"{middle.download_rate / 1e6:.0f}",
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _sparse_file() -> Path:
    environment.SITE.mkdir(parents=True, exist_ok=True)
    path = environment.SITE / _LARGE_NAME
    with path.open("ab") as file:
        file.truncate(_LARGE_BYTES)
    return path


def _prepare(large: Path, case: str) -> None:
    """Have all of the file in the page cache, or none of it."""
    with large.open("rb") as file, open(os.devnull, "wb") as nowhere:
        if case == "cold":
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return
        offset = 0
        while offset < _LARGE_BYTES:
            offset += os.sendfile(nowhere.fileno(), file.fileno(), offset, _LARGE_BYTES - offset)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.fairness", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="5 by default")
    parser.add_argument("--requests", type=int, default=1000, help="of a turn; 1000 by default")
    parser.add_argument(
        "--server",
        action="append",
        choices=[server.name for server in SERVERS],
        help="repeatable; chute and nginx by default",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
