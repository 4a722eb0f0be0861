"""`python -m bench.growth`: whether a server grows with what it has served."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from typing import TYPE_CHECKING

from bench import cpu, load
from bench.running import RunningServer, started, stop_on_signals
from bench.servers import SERVERS, available

if TYPE_CHECKING:
    from bench.servers import Server

_CASES = {case.name: case for case in load.CASES}
_HOT, _UNIQUE, _LARGE = _CASES["1KiB"], _CASES["1KiB-unique"], _CASES["100MiB"]
_CONNECTIONS = 64
_SLICE_SECONDS = 2
_SETTLE_SECONDS = 1


def main() -> int:
    options = _options()
    if shutil.which("wrk") is None:
        print(load.WRK_MISSING, file=sys.stderr)
        return 2
    stop_on_signals()
    servers, _, skipped = available(options.server or ["chute", "nginx"])
    for name, why in skipped.items():
        print(f"skipped {name}: {why}")
    is_valid = True
    for server in servers:
        try:
            report(server, options.requests, options.downloads, options.limit)
        except RuntimeError as error:
            print(f"{server.name}: not valid: {error}")
            is_valid = False
    return 0 if is_valid else 1


def report(server: Server, requests: int, downloads: int, limit_seconds: int) -> None:
    """Print the size of a fresh server before and after each kind of load.

    Raises:
        RuntimeError: the server does not answer as it should.
    """
    with started(server) as running:
        for case in (_LARGE, _UNIQUE):
            problem = running.await_ready(case)
            if problem:
                raise RuntimeError(problem)
        # What a server allocates once, for any load, is not growth.
        _serve(running, _HOT, 1, limit_seconds)
        print(f"{server.name}: {_size(running)} before")
        served = _serve(running, _UNIQUE, requests, limit_seconds)
        print(f"{server.name}: {_size(running)} after {served:.0f} unique heads")
        served = _serve(running, _LARGE, downloads, limit_seconds)
        print(f"{server.name}: {_size(running)} after {served:.0f} downloads of 100 MiB")


def _serve(running: RunningServer, case: load.Case, wanted: int, limit_seconds: int) -> float:
    deadline = time.monotonic() + limit_seconds
    served = 0.0
    while served < wanted and time.monotonic() < deadline:
        seen = load.run_wrk(
            running.url(case.file_name), case, seconds=_SLICE_SECONDS, connections=_CONNECTIONS
        )
        running.count_log()
        if seen.errors:
            raise RuntimeError(f"{case.name}: {seen.errors}")
        served += seen.requests
    return served


def _size(running: RunningServer) -> str:
    time.sleep(_SETTLE_SECONDS)
    resident = cpu.resident_bytes(running.pid) / load.MIB
    return f"{resident:.1f} MiB, {cpu.open_descriptors(running.pid)} descriptors"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000, help="1000000 by default")
    parser.add_argument("--downloads", type=int, default=100, help="of 100 MiB; 100 by default")
    parser.add_argument(
        "--limit", type=int, default=120, help="seconds per kind of load; 120 by default"
    )
    parser.add_argument(
        "--server",
        action="append",
        choices=[server.name for server in SERVERS],
        help="repeatable; chute and nginx by default",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
