"""From the path of an `nginx.conf` to the text of a `chute.toml`.

The way goes twice over the text: first for what can be named before it is written (variables, formats, upstreams) and
for what is to be weighed together (where all servers listen), then level by level.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import msgspec

from chute.config.nginx.directives import carry_over, finish
from chute.config.nginx.levels import Migration, Table
from chute.config.nginx.listening import Listeners
from chute.config.nginx.names import Variables
from chute.config.nginx.reading import read
from chute.config.nginx.serving import OF_NGINX
from chute.config.nginx.sites import carry_servers, note_certificate
from chute.config.nginx.statements import LeftOut, Note, Statement
from chute.config.toml_text import render

_FIRST = frozenset({"map", "log_format", "upstream"})
_DEFAULTS = (
    "What nginx does when nobody says otherwise. Without these lines chute keeps to what is safer and faster:\n"
    "names that begin with a dot are not served, links do not lead out of the root, text is compressed, and\n"
    "browsers ask whether a page has changed before they show it again."
)


class Translation(msgspec.Struct, frozen=True):
    """What became of a configuration.

    Attributes:
        text: the chute.toml.
        left_out: directives that were not carried over, or not with all of their meaning, in the order of the text.
        notes: directives that need no words in chute, or mean a little more or less there.
    """

    text: str
    left_out: list[LeftOut]
    notes: list[Note]


def translate(path: str) -> Translation:
    """Translate the nginx.conf at `path`, with all that it includes.

    A file that begins with a `server` block, as those in `sites-available` do, is taken for a part of `http`.

    Raises:
        ConfigError: it cannot be read, is no configuration, or what reads it is not installed.
    """
    return translate_statements(read(path), path)


def translate_statements(statements: Sequence[Statement], path: str) -> Translation:
    """As `translate`, for what was read from `path`."""
    http = list(_http_level(statements))
    servers = [statement for statement in http if statement.name == "server"]
    migration = Migration(
        Variables(statements), os.path.dirname(os.path.abspath(path)), len(servers)
    )
    for statement in statements:
        if statement.name != "http" and not _is_bare(statements, statement):
            carry_over(migration, migration.defaults, statement)
    _carry_defaults(migration, http)
    listeners = Listeners(migration.report, servers)
    document = _assemble(migration, listeners, servers)
    order = {name: number for number, name in enumerate(_files_in_order(statements))}
    left_out = sorted(migration.report.left_out, key=lambda each: (order[each.file], each.line))
    notes = sorted(migration.report.notes, key=lambda each: (order[each.file], each.line))
    text = _head(path, left_out) + render(document, migration.comments)
    return Translation(text, left_out, notes)


def _is_bare(statements: Sequence[Statement], statement: Statement) -> bool:
    """Whether `statement` belongs into a `http` block that is in another file."""
    return not any(each.name == "http" for each in statements) and statement.name not in _MAIN


_MAIN = frozenset(
    {
        *("daemon", "debug_points", "env", "error_log", "events", "load_module", "lock_file"),
        *("mail", "master_process", "pcre_jit", "pid", "stream", "thread_pool", "user"),
        *("timer_resolution", "worker_cpu_affinity", "worker_priority", "worker_processes"),
        *("worker_rlimit_core", "worker_rlimit_nofile", "worker_shutdown_timeout"),
        "working_directory",
    }
)


def _http_level(statements: Sequence[Statement]) -> Iterator[Statement]:
    for statement in statements:
        if statement.name == "http":
            yield from statement.inner
        elif _is_bare(statements, statement):
            yield statement


def _carry_defaults(migration: Migration, http: Sequence[Statement]) -> None:
    defaults = migration.defaults
    defaults.files.update(OF_NGINX)
    defaults.comment(_DEFAULTS, "files")
    for statement in sorted(http, key=lambda each: each.name not in _FIRST):
        if statement.name != "server" and not note_certificate(migration, statement):
            carry_over(migration, defaults, statement)
    finish(migration, defaults)


def _assemble(migration: Migration, listeners: Listeners, servers: Sequence[Statement]) -> Table:
    sites = carry_servers(migration, listeners, servers)
    document: Table = {
        "workers": migration.workers,
        "limits": migration.limits,
        "listener": listeners.tables(),
        "log_format": migration.log_formats,
        "map": migration.maps,
        "upstream": migration.upstreams,
        "defaults": migration.defaults.assemble(("defaults",), migration.comments),
        "site": [
            site.assemble(("site", number), migration.comments) for number, site in enumerate(sites)
        ],
    }
    return {key: value for key, value in document.items() if value}


def _files_in_order(statements: Sequence[Statement]) -> Iterator[str]:
    found: dict[str, None] = {}
    waiting = list(statements)
    while waiting:
        statement = waiting.pop(0)
        found[statement.file] = None
        waiting[:0] = statement.inner
    yield from found


def _head(path: str, left_out: Sequence[LeftOut]) -> str:
    lines = [f"# Made from {os.path.basename(path)} by `chute import-nginx`."]
    if left_out:
        lines.append("#")
        lines.append("# Not carried over, or not with all of its meaning:")
        lines.extend(
            f"#   {os.path.basename(each.file)}:{each.line}: {each.directive}: {each.why}"
            for each in left_out
        )
    # A directive may contain what would end the comment, or what no comment may contain.
    return "".join(f"{_without_controls(line)}\n" for line in lines) + "\n"


def _without_controls(line: str) -> str:
    return "".join(character if character.isprintable() else " " for character in line)
