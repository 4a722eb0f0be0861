"""What is taken over: from all sites to a site, from a site to its locations, key by key.

The nearest that says something about a key decides it; naming one thing never brings the others back to their defaults.
Tables of names (`fields`, `error_pages`, `cache`, ...) are merged name by name; lists are taken as they are.
"""

from __future__ import annotations

import os
from typing import TypeVar

import msgspec

from chute.config.document import AuthTable, FilesTable, LogTable, Scope, Table

AnyTable = TypeVar("AnyTable", bound=Table)


def merge_tables(wider: AnyTable | None, nearer: AnyTable | None) -> AnyTable | None:
    """Return what two tables of one kind come to."""
    if wider is None or nearer is None:
        return wider if nearer is None else nearer
    changes: dict[str, object] = {}
    for field in wider.__struct_fields__:
        near, wide = getattr(nearer, field), getattr(wider, field)
        if near is None:
            changes[field] = wide
        elif isinstance(near, dict) and isinstance(wide, dict):
            changes[field] = {**wide, **near}
        elif isinstance(near, Table) and isinstance(wide, Table) and type(near) is type(wide):
            changes[field] = merge_tables(wide, near)
        else:
            changes[field] = near
    return type(nearer)(**changes)


def merge_scopes(wider: Scope, nearer: Scope) -> Scope:
    """Return what holds within `nearer`, which is within `wider`; both `anchored`."""
    return Scope(
        root=wider.root if nearer.root is None else nearer.root,
        files=merge_tables(wider.files, nearer.files),
        fields=_merged_fields(wider.fields, nearer.fields),
        error_pages=_merged(wider.error_pages, nearer.error_pages),
        auth=_merge_or_off(wider.auth, nearer.auth),
        cors=wider.cors if nearer.cors is None else nearer.cors,
        security_fields=wider.security_fields
        if nearer.security_fields is None
        else nearer.security_fields,
        log=wider.log if nearer.log is None else nearer.log,
    )


def _merged(wider: dict[str, str] | None, nearer: dict[str, str] | None) -> dict[str, str] | None:
    if wider is None or nearer is None:
        return wider if nearer is None else nearer
    return {**wider, **nearer}


def _merged_fields(
    wider: dict[str, str] | None, nearer: dict[str, str] | None
) -> dict[str, str] | None:
    """Merge by name, which is the same whatever its case (RFC 9110, 5.1); the nearer spelling is sent."""
    if wider is None or nearer is None:
        return wider if nearer is None else nearer
    changed = {name.lower() for name in nearer}
    return {
        **{name: value for name, value in wider.items() if name.lower() not in changed},
        **nearer,
    }


def _merge_or_off(
    wider: str | AuthTable | None, nearer: str | AuthTable | None
) -> AuthTable | None:
    if nearer == "off" or (nearer is None and wider == "off"):
        return None
    if not isinstance(wider, AuthTable):
        return nearer if isinstance(nearer, AuthTable) else None
    return merge_tables(wider, nearer) if isinstance(nearer, AuthTable) else wider


def says_something(scope: Scope) -> bool:
    """Whether a site or location has anything of its own about what it could take over."""
    return any(getattr(scope, field) is not None for field in Scope.__struct_fields__)


def anchored(scope: Scope, folder: str) -> Scope:
    """Return what `scope` itself says, with its relative paths made absolute: they are relative to `folder`."""
    auth, log = scope.auth, scope.log
    if isinstance(auth, AuthTable) and auth.file:
        auth = msgspec.structs.replace(auth, file=os.path.join(folder, auth.file))
    if isinstance(log, str):
        log = log_path(log, folder)
    elif log is not None:
        log = tuple(
            msgspec.structs.replace(table, path=log_path(table.path, folder)) for table in log
        )
    error_pages = scope.error_pages
    return Scope(
        root=None if scope.root is None else os.path.join(folder, scope.root),
        files=scope.files,
        fields=scope.fields,
        error_pages=error_pages,
        auth=auth,
        cors=scope.cors,
        security_fields=scope.security_fields,
        log=log,
    )


def log_path(path: str, folder: str) -> str:
    """Return where a log goes."""
    return path if path in ("-", "off") else os.path.join(folder, path)


def logs_of(log: str | tuple[LogTable, ...] | None) -> tuple[LogTable, ...]:
    """Return the logs that a key stands for; one on standard output when nothing is said."""
    if log is None:
        return (LogTable(path="-"),)
    if isinstance(log, str):
        return () if log == "off" else (LogTable(path=log),)
    return log


NOTHING = Scope()
NO_FILES = FilesTable()
