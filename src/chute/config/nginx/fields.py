"""`add_header` and `expires`.

In nginx a level that adds one field inherits none; in chute each name is inherited by itself. So what counts at each
level is worked out, and only what differs from the level around it is written: with an empty value for what nginx
would not send there any more.

What nginx says about caching it says with two directives, in two field lines (`expires 1y; add_header Cache-Control
public`). It becomes one rule about files, where there are files: such a rule is not for failures, as in nginx.
"""

from __future__ import annotations

import re

import msgspec

from chute.config.nginx.amounts import parse_time
from chute.config.nginx.levels import Level, Migration
from chute.config.nginx.names import has_variables
from chute.config.nginx.statements import Refused, Statement
from chute.errors import ConfigError
from chute.static.rules import parse_cache_rule, parse_field_rule
from chute.variables.lookup import Phase

_CACHE = "cache-control"
_FAILURES = 400
_ANSWERERS = ("redirect", "respond", "proxy")
_EXPIRES = {"epoch": "no-cache", "max": "max-age=315360000", "off": ""}
_PERIOD = re.compile(r"\+?(?P<sign>-?)(?P<period>[0-9]\S*)")

WITH_FAILURES = "without `always` nginx sends it with success alone, chute with every answer"


class Field(msgspec.Struct, frozen=True):
    """A field that is added.

    Attributes:
        name: as written.
        value: as chute writes it.
        is_always: whether it is added to failures too.
        statement: that adds it.
    """

    name: str
    value: str
    is_always: bool
    statement: Statement


def carry_add_header(migration: Migration, level: Level, statement: Statement) -> None:
    """Note a field for this level; even one that cannot be carried over ends what is inherited."""
    added = level.said.setdefault("fields", [])
    assert isinstance(added, list)
    name, value = statement.argument(0), statement.argument(1)
    try:
        parse_field_rule(f"*={name}: x")
    except ConfigError as error:
        raise Refused(str(error)) from error
    if not value:
        migration.report.note(statement, "an empty value adds nothing, and nothing is inherited")
        return
    value = migration.variables.template(value, Phase.RESPONSE)
    field = Field(name, value, "always" in statement.arguments[2:], statement)
    earlier = next((other for other in added if other.name.lower() == name.lower()), None)
    if earlier is None:
        added.append(field)
    elif name.lower() == "set-cookie":
        raise Refused("chute sends each field once, and cookies cannot be joined in one")
    else:
        joined = msgspec.structs.replace(earlier, value=f"{earlier.value}, {value}")
        added[added.index(earlier)] = joined


def carry_expires(migration: Migration, level: Level, statement: Statement) -> None:
    """Note for how long answers may be kept; chute says so with Cache-Control alone."""
    word = statement.argument()
    if len(statement.arguments) > 1 or word.startswith("@"):
        raise Refused("chute counts from the request, and not to a time of day or from a file's")
    if has_variables(word):
        raise Refused("chute takes no variables here; say [files.cache] by pattern")
    value = _EXPIRES.get(word)
    if value is None:
        match = _PERIOD.fullmatch(word)
        if match is None:
            raise Refused(f"{word!r} is no time")
        seconds = int(parse_time(match["period"]))
        value = "no-cache" if match["sign"] else f"max-age={seconds}"
    level.said["expires"] = value
    migration.report.note(statement, "said of files and of fixed answers, and not of redirects")


def finish_fields(migration: Migration, level: Level) -> None:
    """Write down in which fields this level differs from the one around it."""
    fields = {field.name.lower(): field for field in level.effective("fields", list, [])}
    if _is_failure(level):
        fields = {
            name: field for name, field in fields.items() if field.is_always or name != _CACHE
        }
    inherited_cache = "" if level.parent is None else level.parent.effective("sent cache", str, "")
    cache = _cache_rule(level, fields)
    if cache is None:
        cache = inherited_cache
    else:
        fields.pop(_CACHE, None)
        if cache != inherited_cache:
            level.files["cache"] = {"*": cache or "off"}
    level.said["sent cache"] = cache
    wanted = {field.name: field.value for field in fields.values()}
    _add_period(level, wanted)
    outer = {} if level.parent is None else level.parent.effective("sent fields", dict, {})
    inherited = {str(name): str(value) for name, value in outer.items()}
    difference = {name: value for name, value in wanted.items() if inherited.get(name) != value}
    names = {name.lower() for name in wanted}
    lost = [name for name in inherited if name.lower() not in names]
    difference.update(dict.fromkeys(lost, ""))
    if lost:
        level.comment("Empty values: nginx inherits no field where one is added.", "fields")
    if difference:
        level.table["fields"] = difference
    level.said["sent fields"] = wanted
    _remark(migration, level, fields)


def _cache_rule(level: Level, fields: dict[str, Field]) -> str | None:
    """Return Cache-Control for the files of this level; None if it is to be sent as a field."""
    added = fields.get(_CACHE)
    if any(key in level.table for key in _ANSWERERS) or (added is not None and added.is_always):
        return None
    period = level.effective("expires", str, "")
    value = ", ".join(part for part in (period, added.value if added else "") if part)
    try:
        if has_variables(value):
            return None
        if value:
            parse_cache_rule(f"*={value}")
    except ConfigError:
        return None
    return value


def _add_period(level: Level, wanted: dict[str, str]) -> None:
    """Say in the field what `expires` says, if it is not said in a rule about files."""
    period = level.effective("expires", str, "")
    name = next((name for name in wanted if name.lower() == _CACHE), None)
    answers = any(key in level.table for key in _ANSWERERS)
    if period and (name or answers) and not _is_failure(level):
        name = name or "Cache-Control"
        wanted[name] = f"{period}, {wanted[name]}" if name in wanted else period


def _is_failure(level: Level) -> bool:
    """Whether the location answers with a failure: nothing is said there about keeping it."""
    answer = level.table.get("respond", 0)
    status = answer.get("status", 0) if isinstance(answer, dict) else answer
    return isinstance(status, int) and status >= _FAILURES


def _remark(migration: Migration, level: Level, fields: dict[str, Field]) -> None:
    for field in fields.values():
        if not field.is_always and "fields" in level.said:
            migration.report.note(field.statement, WITH_FAILURES)
