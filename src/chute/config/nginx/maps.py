"""`map`: a variable that is looked up by the value of another."""

from __future__ import annotations

import re

from chute.config.nginx.levels import Level, Migration
from chute.config.nginx.names import pattern
from chute.config.nginx.statements import Refused, Statement
from chute.variables.lookup import Phase, find_built_in

_PARTS = 2


def carry_map(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over a `map` block."""
    del level
    variables = migration.variables
    name = statement.argument(1).removeprefix("$").lower()
    if find_built_in(name) is not None:
        raise Refused(f"${name} is a variable of every request, which chute does not change")
    source = variables.template(statement.argument(0), Phase.LOG)
    has_hosts = any(inner.name == "hostnames" for inner in statement.inner)
    texts: dict[str, str] = {}
    wildcards: list[tuple[str, str]] = []
    patterns: dict[str, str] = {}
    default = ""
    for inner in statement.inner:
        if not inner.arguments:
            if inner.name not in ("hostnames", "volatile"):
                migration.report.leave_out(inner, "is no part of a map that chute knows")
            continue
        try:
            value = variables.template(inner.argument(), Phase.LOG)
            if inner.name == "default":
                default = value
            elif inner.name.startswith("~"):
                patterns[_pattern_key(inner.name)] = value
            elif has_hosts and _is_wildcard(inner.name):
                wildcards.append((inner.name, value))
            else:
                texts[inner.name] = value
        except Refused as refused:
            migration.report.leave_out(inner, refused.why)
    hosts = _host_patterns(wildcards, texts)
    values = {**texts, **hosts, **patterns}
    table: dict[str, object] = {"source": source}
    if default:
        table["default"] = default
    table["values"] = values
    migration.maps[name] = table


def _pattern_key(key: str) -> str:
    if key.startswith("~*"):
        return f"~*{pattern(key[2:], ignores_case=True)}"
    return f"~{pattern(key[1:])}"


def _is_wildcard(key: str) -> bool:
    return key.startswith(("*.", ".")) or key.endswith(".*")


def _host_patterns(wildcards: list[tuple[str, str]], texts: dict[str, str]) -> dict[str, str]:
    """Return host names with a wildcard as regular expressions; in nginx the longest comes first, and a final one last.

    `.example.org` is the name itself too, which is added to `texts` as long as nothing is there.
    """
    found: dict[str, str] = {}
    for key, value in sorted(wildcards, key=lambda item: (item[0].endswith(".*"), -len(item[0]))):
        if key.endswith(".*"):
            found[f"~*^{re.escape(key[:-2])}\\."] = value
            continue
        if key.startswith("."):
            texts.setdefault(key[1:], value)
        bare = key.removeprefix("*").removeprefix(".")
        found[f"~*.\\.{re.escape(bare)}$"] = value
    return {key.replace("\\-", "-"): value for key, value in found.items()}
