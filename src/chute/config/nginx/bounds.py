"""Bounds and processes, which chute has once for all sites: `[limits]` and `workers`."""

from __future__ import annotations

from collections.abc import Callable

from chute.config.nginx.amounts import parse_size, parse_time
from chute.config.nginx.levels import Level, Migration
from chute.config.nginx.statements import Refused, Statement
from chute.config.units import show_duration, show_size

_DURATIONS = {
    "client_header_timeout": "head_timeout",
    "client_body_timeout": "body_timeout",
    "keepalive_timeout": "keep_alive_timeout",
    "send_timeout": "send_timeout",
    "lingering_timeout": "linger_timeout",
}
_SIZES = {"client_max_body_size": "content_max", "sendfile_max_chunk": "chunk_max"}

BOUNDS = frozenset({*_DURATIONS, *_SIZES, "large_client_header_buffers"})


def carry_bound(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over a bound that is said for all sites, or for the only one."""
    if statement.name == "large_client_header_buffers":
        count, size = statement.argument(0), parse_size(statement.argument(1))
        if not count.isdecimal():
            raise Refused(f"{count!r} is no number")
        bounds = {"target_max": show_size(size), "head_max": show_size(int(count) * size)}
    elif statement.name in _DURATIONS:
        key, parse, show = _DURATIONS[statement.name], parse_time, show_duration
        bounds = {key: _shown(statement, parse, show)}
    else:
        bounds = {_SIZES[statement.name]: _shown(statement, parse_size, show_size)}
    is_for_all = level.kind == "http" or (level.kind == "server" and migration.servers_count == 1)
    if not is_for_all:
        said = " and ".join(f"{key} = {value!r}".replace("'", '"') for key, value in bounds.items())
        raise Refused(f"chute has one such bound for all sites: [limits] {said}")
    migration.limits.update(bounds)
    if len(statement.arguments) > 1 and statement.name == "keepalive_timeout":
        migration.report.note(statement, "chute sends no Keep-Alive field")


def _shown(statement: Statement, parse: Callable[[str], float], show: Callable[[int], str]) -> str:
    amount = parse(statement.argument())
    if not amount:
        raise Refused("0 means that there is no bound, and chute always has one")
    return show(amount)  # type: ignore[arg-type]


def carry_workers(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `worker_processes`."""
    del level
    word = statement.argument()
    if word != "auto" and not (word.isdecimal() and int(word)):
        raise Refused(f"{word!r} is no number of processes")
    migration.workers = word if word == "auto" else int(word)
