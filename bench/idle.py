"""`python -m bench.idle`: the memory that idle keep-alive connections cost a server."""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bench import cpu, environment, load
from bench.running import RunningServer, started, stop_on_signals
from bench.servers import SERVERS, available

if TYPE_CHECKING:
    from bench.servers import Server

_CASE = load.CASES[0]
_OPENING_SECONDS = 60
_ANSWER_SECONDS = 5
_SETTLE_SECONDS = 1
_OUR_OWN_DESCRIPTORS = 512
_RECEIVE_BYTES = 64 * load.KIB


@dataclass(frozen=True)
class Idle:
    """What a server looked like with its connections idle.

    Attributes:
        opened: connections that were each answered once.
        held: those that the server had not closed when its memory was read.
        before_bytes: resident memory before the first of them.
        after_bytes: resident memory with all of them.
    """

    opened: int
    held: int
    before_bytes: int
    after_bytes: int


def main() -> int:
    options = _options()
    stop_on_signals()
    # Each side holds one descriptor per connection, so the limit bounds both alike.
    most = environment.raise_descriptor_limit() - _OUR_OWN_DESCRIPTORS
    count = min(options.count, most)
    if count < options.count:
        print(f"only {count} connections: the limit of descriptors (ulimit -Hn) allows no more")
    servers, _, skipped = available(options.server or ["chute", "nginx"])
    for name, why in skipped.items():
        print(f"skipped {name}: {why}")
    is_valid = True
    for server in servers:
        try:
            idle = measure(server, count)
        except RuntimeError as error:
            print(f"{server.name}: not valid: {error}")
            is_valid = False
        else:
            print(_sentence(server.name, idle))
            is_valid = is_valid and idle.held == count
    return 0 if is_valid else 1


def measure(server: Server, count: int) -> Idle:
    """Open connections to a fresh server, one request each, and read its memory.

    Raises:
        RuntimeError: the server does not answer as it should.
    """
    with started(server, connections_max=count) as running, contextlib.ExitStack() as stack:
        problem = running.await_ready(_CASE)
        if problem:
            raise RuntimeError(problem)
        before = cpu.resident_bytes(running.pid)
        opened = _open(running, count, stack)
        time.sleep(_SETTLE_SECONDS)
        after = cpu.resident_bytes(running.pid)
        return Idle(len(opened), sum(map(_is_held, opened)), before, after)


def _open(running: RunningServer, count: int, stack: contextlib.ExitStack) -> list[socket.socket]:
    url = running.url(_CASE.file_name)
    head = load.request_head(url)
    parts = urlsplit(url)
    deadline = time.monotonic() + _OPENING_SECONDS
    opened: list[socket.socket] = []
    while len(opened) < count and time.monotonic() < deadline:
        try:
            connection = socket.create_connection(
                (parts.hostname, parts.port), timeout=_ANSWER_SECONDS
            )
            stack.enter_context(connection)
            connection.sendall(head)
            _await_answer(connection)
        except OSError as error:
            raise RuntimeError(f"connection {len(opened) + 1}: {error!r}") from error
        opened.append(connection)
    return opened


def _await_answer(connection: socket.socket) -> None:
    received = b""
    while len(received.partition(b"\r\n\r\n")[2]) < _CASE.size:
        chunk = connection.recv(_RECEIVE_BYTES)
        if not chunk:
            raise ConnectionError("closed before the answer was complete")
        received += chunk


def _is_held(connection: socket.socket) -> bool:
    connection.settimeout(0)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    # Readable without having asked means the end of the stream.
    return False


def _sentence(name: str, idle: Idle) -> str:
    growth = idle.after_bytes - idle.before_bytes
    each = growth / max(idle.opened, 1) / load.KIB
    before, after, more = (
        f"{size / load.MIB:.1f} MiB" for size in (idle.before_bytes, idle.after_bytes, growth)
    )
    return (
        f"{name}: {idle.held} of {idle.opened} idle connections held, "
        f"{before} before, {after} with them, growth {more} or {each:.2f} KiB each"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.idle", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="connections; 10000 by default")
    parser.add_argument(
        "--server",
        action="append",
        choices=[server.name for server in SERVERS],
        help="repeatable; chute and nginx by default",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
