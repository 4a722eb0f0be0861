"""`types` and `default_type`: only what chute's own table says otherwise is carried over."""

from __future__ import annotations

import posixpath

from chute.config.nginx.levels import Level, Migration
from chute.config.nginx.names import literal
from chute.config.nginx.statements import Statement
from chute.semantics.media_types import DEFAULT_MEDIA_TYPE, media_type_for_name

_UNKNOWN = DEFAULT_MEDIA_TYPE.decode()
_STOCK = "mime.types"
"""The table that comes with nginx; where chute knows an extension too, its name for it is the newer one."""


def carry_types(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over a `types` block, as far as chute would say something else."""
    types = level.said.setdefault("types", {})
    assert isinstance(types, dict)
    different: dict[str, str] = {}
    for inner in statement.inner:
        media_type = inner.name
        for extension in inner.arguments:
            types[extension] = media_type
            known = media_type_for_name(f"x.{extension}".encode()).decode().partition(";")[0]
            is_stock = posixpath.basename(inner.file) == _STOCK
            if known != media_type and (known == _UNKNOWN or not is_stock):
                different[extension] = media_type
    if not statement.inner:
        migration.report.leave_out(statement, "chute goes on to name the types that it knows")
        return
    if different and "media_type" not in level.files:
        level.comment("Types that chute has no name for, or another.", "files.media_type")
    if different:
        whole = level.files.setdefault("media_type", {})
        assert isinstance(whole, dict)
        whole.update(different)
    migration.report.note(statement, "beside the types that chute knows")


def carry_default_type(migration: Migration, level: Level, statement: Statement) -> None:
    """Note the type of what has none; for files chute has one of its own."""
    media_type = literal(statement.argument())
    level.said["default_type"] = media_type
    if media_type == _UNKNOWN:
        migration.report.note(statement, "so does chute")
    else:
        level.said["default_type statement"] = statement


def finish_default_type(migration: Migration, level: Level) -> None:
    """Say of a default type that it is lost, unless it became that of a fixed answer."""
    statement = level.said.get("default_type statement")
    if not isinstance(statement, Statement):
        return
    if level.always_answers or "proxy" in level.table:
        migration.report.note(statement, "it is the type of the answer")
    else:
        migration.report.leave_out(
            statement, f"chute calls a file that it knows no type of {_UNKNOWN}"
        )
