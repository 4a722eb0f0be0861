"""`log_format` and `access_log`."""

from __future__ import annotations

import os

from chute.config.nginx.levels import Level, Migration, Table
from chute.config.nginx.names import literal
from chute.config.nginx.statements import Refused, Statement
from chute.variables.lookup import Phase

_ESCAPES = frozenset({"default", "json", "none"})
_STANDARD_OUTPUT = frozenset({"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"})
_COMBINED = "combined"
_OURS = frozenset({_COMBINED, "json"})


def carry_log_format(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over a format; one with a name that means something in chute gets another."""
    del level
    name, *parts = statement.argument(), *statement.arguments[1:]
    escape = ""
    if parts and parts[0].startswith("escape="):
        escape = parts.pop(0).removeprefix("escape=")
        if escape not in _ESCAPES:
            raise Refused(f"there is no escape {escape!r}")
    template = migration.variables.template("".join(parts), Phase.LOG)
    format_: Table | str = {"template": template, "escape": escape} if escape else template
    migration.log_formats[_name_of(name)] = format_


def _name_of(name: str) -> str:
    return f"nginx_{name}" if name in _OURS else name


def carry_access_log(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over one access log; a level with one writes none of the level around it, here as there."""
    path = statement.argument()
    if path == "off":
        level.table["log"] = "off"
        return
    if path.startswith("syslog:"):
        raise Refused(
            "chute writes to files and to standard output, which a service manager collects"
        )
    table: Table = {"path": _path(migration, statement, literal(path))}
    for number, word in enumerate(statement.arguments[1:]):
        _carry_option(migration, statement, table, word, is_format=number == 0)
    logs = level.said.setdefault("logs", [])
    assert isinstance(logs, list)
    logs.append(table)


def _path(migration: Migration, statement: Statement, path: str) -> str:
    if path in _STANDARD_OUTPUT:
        return "-"
    if not os.path.isabs(path):
        migration.report.leave_out(
            statement, "is relative to nginx's own prefix; write the whole path"
        )
    return path


def _carry_option(
    migration: Migration, statement: Statement, table: Table, word: str, *, is_format: bool
) -> None:
    if word.startswith("if="):
        table["when"] = migration.variables.template(word.removeprefix("if="), Phase.LOG)
    elif word.startswith(("buffer=", "flush=")):
        migration.report.note(statement, "chute writes once a second, or when there is enough")
    elif word == "gzip" or word.startswith("gzip="):
        migration.report.leave_out(statement, "chute does not compress logs")
    elif not is_format:
        raise Refused(f"{word!r} is not known")
    elif word != _COMBINED:
        _carry_format(migration, statement, table, word)


def _carry_format(migration: Migration, statement: Statement, table: Table, word: str) -> None:
    name = _name_of(word)
    if name in migration.log_formats:
        table["format"] = name
    else:
        migration.report.leave_out(
            statement, f"the format {word} was left out, and combined stands in its place"
        )


def finish_logs(level: Level) -> None:
    """Write down the logs of a level."""
    logs = level.said.get("logs")
    if not isinstance(logs, list):
        return
    is_plain = len(logs) == 1 and set(logs[0]) == {"path"}
    level.table["log"] = logs[0]["path"] if is_plain else logs
