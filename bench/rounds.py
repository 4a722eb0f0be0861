"""Servers take turns: each is loaded once per round, so that a noisy minute is noisy for all."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench import cpu, load
from bench.running import RunningServer, started

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.servers import Server

_LOGGED_SHARE_MIN = 0.98
_LOGGED_SLACK = 16
"""Lines that may be missing: a server ends while its last answers are on their way."""


@dataclass(frozen=True)
class Sample:
    """One turn of one server.

    Attributes:
        requests: answers received.
        received_bytes: heads and bodies.
        seconds: how long the load lasted.
        cpu_ns: what the server's processes spent meanwhile.
    """

    requests: float
    received_bytes: int
    seconds: float
    cpu_ns: int


@dataclass
class Row:
    """All turns of one server in one case.

    Attributes:
        case: the kind of request.
        server: the name of the server.
        samples: one per round that went well.
        problems: why the row must not be believed; empty for a valid one.
        logged_share: access log lines per answer received, or None where there is no log.
    """

    case: load.Case
    server: str
    samples: list[Sample] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    logged_share: float | None = None


@dataclass(frozen=True)
class Effort:
    """How much to measure.

    Attributes:
        rounds: turns per server and case.
        seconds: length of one turn.
        connections: concurrent connections, where the case does not say otherwise.
    """

    rounds: int
    seconds: int
    connections: int


def measure(case: load.Case, servers: Sequence[Server], effort: Effort) -> list[Row]:
    """Measure one case with fresh servers that live side by side, one of them loaded at a time."""
    rows = {server.name: Row(case, server.name) for server in servers}
    alive: list[RunningServer] = []
    with contextlib.ExitStack() as stack:
        for server in servers:
            running = stack.enter_context(started(server))
            problem = running.await_ready(case)
            if problem:
                rows[server.name].problems.append(problem)
            else:
                alive.append(running)
        for turn in range(effort.rounds):
            print(f"{case.name}: round {turn + 1} of {effort.rounds}", file=sys.stderr)
            for running in _rotated(alive, turn):
                _take_turn(running, rows[running.server.name], effort)
    # Only now, because a server may keep the last lines of its log until it ends.
    for running in alive:
        _check_log(running, rows[running.server.name])
    return list(rows.values())


def _rotated(alive: list[RunningServer], turn: int) -> list[RunningServer]:
    # A fixed order would give each server always the same neighbour, and its leftovers.
    start = turn % len(alive) if alive else 0
    return alive[start:] + alive[:start]


def _take_turn(running: RunningServer, row: Row, effort: Effort) -> None:
    url = running.url(row.case.file_name)
    before = cpu.read_cpu(running.pid)
    try:
        seen = load.run_wrk(url, row.case, seconds=effort.seconds, connections=effort.connections)
    except RuntimeError as error:
        row.problems.append(str(error))
        return
    spent = cpu.cpu_between(before, cpu.read_cpu(running.pid))
    running.count_log()
    if seen.errors:
        row.problems.append(seen.errors)
    if seen.requests:
        row.samples.append(Sample(seen.requests, seen.received_bytes, seen.seconds, spent))


def _check_log(running: RunningServer, row: Row) -> None:
    if not running.server.has_access_log:
        return
    answered = sum(sample.requests for sample in row.samples)
    row.logged_share = running.logged_lines / answered if answered else None
    if running.logged_lines < answered * _LOGGED_SHARE_MIN - _LOGGED_SLACK:
        row.problems.append(f"logged {running.logged_lines} of {answered:.0f} answers")
