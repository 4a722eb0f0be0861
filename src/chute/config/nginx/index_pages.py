"""Index pages that another location answers for.

nginx looks for a location anew when a folder has an index page; chute sends the page in the location of the folder.
Where a page is a program (`index.php`, and a location for it that was left out), its source must not be sent, so it is
taken out of the names. Where it is a page with rules of its own, these are for its own path alone, and that is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from chute.config.nginx.levels import Level, Migration
from chute.config.nginx.statements import Statement
from chute.variables.patterns import compile_pattern

_ANSWERERS = ("redirect", "respond", "proxy")
_USUAL = ("index.html",)


def finish_index(migration: Migration, site: Level) -> None:
    """Go through the index pages of a site and of its locations."""
    for level in (site, *_within(site)):
        statement = level.said.get("index")
        if isinstance(statement, Statement):
            _check(migration, level, site, statement, statement.arguments)
    if "index" in site.said:
        return
    inherited = migration.defaults.said.get("index")
    if isinstance(inherited, Statement):
        _check(migration, site, site, inherited, inherited.arguments)
    else:
        _check(migration, site, site, None, _USUAL)


def _check(
    migration: Migration,
    level: Level,
    site: Level,
    statement: Statement | None,
    names: tuple[str, ...],
) -> None:
    kept = []
    for name in (name for name in names if "/" not in name):
        other = next((each for each in _within(site) if _is_for(each, name)), None)
        if other is None:
            kept.append(name)
            continue
        where = statement or other.statement
        if any(key in other.table for key in _ANSWERERS):
            if where is not None:
                migration.report.leave_out(
                    where,
                    f"chute would send {name} itself, and not what location {other.match} answers",
                )
            continue
        kept.append(name)
        if other.statement is not None and other.table.keys() > {"match"}:
            migration.report.leave_out(
                other.statement,
                f"nginx comes here for the index page {name} of a folder too, chute does not",
            )
    if len(kept) < len([name for name in names if "/" not in name]):
        level.files["index"] = kept


def _within(level: Level) -> Iterator[Level]:
    for location in level.locations:
        yield location
        yield from _within(location)


def _is_for(location: Level, name: str) -> bool:
    """Whether nginx comes to `location` for an index page of that name, in the root at least."""
    kind, _, text = location.match.partition(" ")
    path = f"/{name}"
    if kind == "=":
        return text == path
    if kind not in ("~", "~*"):
        return False
    pattern: re.Pattern[bytes] = compile_pattern(text, ignores_case=kind == "~*")
    return pattern.search(path.encode()) is not None
