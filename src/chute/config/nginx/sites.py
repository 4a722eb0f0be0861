"""Servers and their locations, as sites."""

from __future__ import annotations

import os
from collections.abc import Sequence

from chute.config.nginx import access, fallbacks
from chute.config.nginx.directives import carry_over, finish, in_order
from chute.config.nginx.index_pages import finish_index
from chute.config.nginx.levels import Level, Migration
from chute.config.nginx.listening import Listeners
from chute.config.nginx.names import has_variables, pattern
from chute.config.nginx.statements import Refused, Statement
from chute.errors import ConfigError
from chute.routing.hosts import parse_name

_MODIFIERS = ("=", "^~", "~*", "~")
_CERTIFICATES = {"ssl_certificate": "certificate", "ssl_certificate_key": "key"}
_SEPARATELY = frozenset({"listen", "server_name", "location", *_CERTIFICATES})

TLS = "TLS is not built yet"


def carry_servers(
    migration: Migration, listeners: Listeners, servers: Sequence[Statement]
) -> list[Level]:
    """Return the sites that `servers` become."""
    taken: set[tuple[str, str]] = set()
    sites: list[Level] = []
    for number, statement in enumerate(servers):
        site = Level("server", statement, migration.defaults)
        site.comment(f"{os.path.basename(statement.file)}:{statement.line}")
        _carry_names(migration, site, number, listeners, taken)
        _carry_listeners(site, number, listeners)
        _carry_certificates(migration, site, is_used=listeners.speaks_tls(number))
        _carry_server(migration, site, statement)
        sites.append(site)
    return sites


def _carry_server(migration: Migration, site: Level, statement: Statement) -> None:
    migration.taken_names = {
        inner.arguments[0]
        for inner in statement.inner
        if inner.name == "location" and inner.arguments
    }
    for inner in in_order(statement.inner):
        if inner.name not in _SEPARATELY:
            carry_over(migration, site, inner)
    finish(migration, site)
    for inner in statement.inner:
        if inner.name == "location":
            _carry_location(migration, site, inner)
    fallbacks.finish_try_files_of_server(migration, site)
    finish_index(migration, site)
    if site.said.get("is closed"):
        _close_the_rest(site)
    site.locations.sort(key=lambda location: location.statement is None)


def _close_the_rest(site: Level) -> None:
    """Close what no location is for."""
    if any(location.match in ("/", "^~ /") for location in site.locations):
        return
    rest = Level("location", None, site)
    rest.table["match"] = "/"
    access.close(rest)
    site.locations.append(rest)


def _carry_location(migration: Migration, parent: Level, statement: Statement) -> None:
    level = Level("location", statement, parent)
    try:
        level.table["match"] = _match_of(statement)
    except Refused as refused:
        migration.report.leave_out(statement, f"{refused.why}; what is in it went with it")
        return
    if parent.match.startswith("~") and not level.match.startswith("~"):
        why = "nginx never looks at a literal location within a regular expression, so it has no effect"
        migration.report.note(statement, why)
        return
    for inner in in_order(statement.inner):
        if inner.name != "location":
            carry_over(migration, level, inner)
    finish(migration, level)
    for inner in statement.inner:
        if inner.name == "location":
            _carry_location(migration, level, inner)
    _hand_down(level)
    parent.locations.append(level)


def _hand_down(level: Level) -> None:
    """Give what is said about files to the locations within one that answers otherwise, for it can do one alone."""
    if not any(key in level.table for key in ("redirect", "respond", "proxy")):
        return
    level.table.pop("alias", None)
    root, files = level.table.pop("root", None), level.table.pop("files", {})
    assert isinstance(files, dict)
    for key in ("root", "alias", "files"):
        level.comments.pop(key, None)
    for location in level.locations:
        if any(key in location.table for key in ("redirect", "respond", "proxy")):
            continue
        if root is not None and "alias" not in location.table:
            location.table.setdefault("root", root)
        if files:
            location.table["files"] = {**files, **location.files}


def _match_of(statement: Statement) -> str:
    """Return what a location is for, as chute writes it; nginx lets the modifier and the path stand together."""
    words = statement.arguments
    if len(words) == 1:
        modifier = next((sign for sign in _MODIFIERS if words[0].startswith(sign)), "")
        path = words[0].removeprefix(modifier)
    else:
        modifier, path = statement.argument(0), statement.argument(1)
    if modifier.startswith("~"):
        return f"{modifier} {pattern(path, ignores_case=modifier == '~*')}"
    if modifier == "" and path.startswith("@"):
        return path
    if not path.startswith("/"):
        raise Refused("no path begins like that")
    if "${" in path:
        raise Refused("chute would take ${...} for something of the environment")
    if modifier not in ("", *_MODIFIERS):
        raise Refused(f"{modifier!r} is not known")
    return f"{modifier} {path}".strip()


def _carry_names(
    migration: Migration,
    site: Level,
    number: int,
    listeners: Listeners,
    taken: set[tuple[str, str]],
) -> None:
    assert site.statement is not None
    names: list[str] = []
    statements = [inner for inner in site.statement.inner if inner.name == "server_name"]
    for statement in statements:
        for word in statement.arguments:
            try:
                name = _name_of(word)
            except Refused as refused:
                migration.report.leave_out(statement, refused.why)
                continue
            where = {(listener, name) for listener in listeners.names_of(number)}
            if where & taken and not name.startswith("~"):
                migration.report.leave_out(
                    statement, f"{name} is the name of an earlier server, which nginx takes"
                )
            elif name not in names:
                names.append(name)
                taken |= where
    nameless = {(listener, "") for listener in listeners.names_of(number)}
    if not statements and not listeners.is_default_somewhere(number) and not nameless & taken:
        names = [""]
        taken |= nameless
    if names:
        site.table["names"] = names


def _name_of(word: str) -> str:
    if word.startswith("~"):
        return f"~{pattern(word[1:], ignores_case=True)}"
    if has_variables(word):
        raise Refused("the name of this machine is to be written out")
    try:
        return str(parse_name(word))
    except ConfigError as error:
        raise Refused(str(error)) from error


def _carry_listeners(site: Level, number: int, listeners: Listeners) -> None:
    if listeners.must_be_default(number):
        site.table["default"] = True
    names = listeners.names_of(number)
    if len(listeners.names) > 1:
        site.table["listeners"] = names


def _carry_certificates(migration: Migration, site: Level, *, is_used: bool) -> None:
    """Carry over the first certificate of a server; one that is said for all servers, where TLS is spoken."""
    assert site.statement is not None
    table: dict[str, str] = {}
    for statement in site.statement.inner:
        key = _CERTIFICATES.get(statement.name)
        if key is None:
            continue
        migration.report.leave_out(statement, TLS)
        if statement.arguments and not has_variables(statement.arguments[0]):
            table.setdefault(key, os.path.join(migration.folder, statement.arguments[0]))
    outer = migration.defaults.effective("certificates", dict, {})
    if is_used:
        table = {**outer, **table} if "certificate" not in table else table
    if "certificate" in table:
        site.table["tls"] = {key: table[key] for key in ("certificate", "key") if key in table}


def note_certificate(migration: Migration, statement: Statement) -> bool:
    """Note a certificate that is said for all servers; whether `statement` is about one."""
    key = _CERTIFICATES.get(statement.name)
    if key is None:
        return False
    certificates = migration.defaults.said.setdefault("certificates", {})
    assert isinstance(certificates, dict)
    if statement.arguments and not has_variables(statement.arguments[0]):
        certificates.setdefault(key, os.path.join(migration.folder, statement.arguments[0]))
    migration.report.leave_out(statement, TLS)
    return True
