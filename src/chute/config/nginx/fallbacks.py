"""What comes when there is no file: `try_files` and `error_page`.

The last parameter of nginx's try_files is where every request goes that found no file, with its own query or none.
chute's file fallback is for navigations alone, so a location that only others lead to stands in for it: it rewrites the
path, and has a location looked for anew. `error_page` gets one too where it names more than a path.
"""

from __future__ import annotations

import re

from chute.config.nginx.levels import Level, Migration, Table
from chute.config.nginx.names import has_variables
from chute.config.nginx.statements import Refused, Statement
from chute.errors import ConfigError
from chute.routing.error_pages import parse_statuses

_STATUS = re.compile(r"=[1-5][0-9]{2}")
_URL = re.compile(r"https?://|\$scheme", re.IGNORECASE)
_USUAL = ["$uri", "$uri/"]


def carry_try_files(migration: Migration, level: Level, statement: Statement) -> None:
    """Note what is tried; where that is said, and whether anything gets there, is known at the end of the level."""
    del migration
    statement.argument(1)
    level.said["try_files"] = statement


def finish_try_files(migration: Migration, level: Level) -> None:
    """Write down what is tried in a location; in nginx, not in those within it."""
    statement = level.said.get("try_files")
    if isinstance(statement, Statement):
        try:
            level.files["try_files"] = _tried(migration, level, statement)
            level.said["tries"] = True
        except Refused as refused:
            migration.report.leave_out(statement, refused.why)
    elif level.effective("tries", bool, default=False):
        level.files["try_files"] = _USUAL
        level.said["tries"] = False


def finish_try_files_of_server(migration: Migration, server: Level) -> None:
    """Carry over what a server tries: nginx does so where no location answers, which `/` stands for."""
    statement = server.said.pop("try_files", None)
    if not isinstance(statement, Statement):
        return
    if any(location.match in ("/", "^~ /") for location in server.locations):
        migration.report.note(statement, "nothing gets there: there is a location for every path")
        return
    rest = Level("location", None, server)
    rest.table["match"] = "/"
    rest.said["try_files"] = statement
    rest.comment("What no other location is for: nginx takes `try_files` of the server for that.")
    finish_try_files(migration, rest)
    server.locations.append(rest)


def _tried(migration: Migration, level: Level, statement: Statement) -> list[str]:
    items = [item.replace("${uri}", "$uri") for item in statement.arguments]
    *before, last = items
    before = [_one_tried(migration, item) for item in before]
    if last in ("$uri", "$uri/"):
        raise Refused(f"nginx sends what is not found to {last} again, for ever")
    if _STATUS.fullmatch(last):
        return [*before, last]
    if last.startswith("@"):
        return [*before, last]
    return [*before, name_for_path(migration, level, last)]


def _one_tried(migration: Migration, item: str) -> str:
    """Return what is tried, one of several, as chute writes it.

    Raises:
        Refused: chute tries no such thing.
    """
    if "$" not in item or "?" in item or not item.startswith(("$", "/")):
        raise Refused(f"chute tries {item} only as the last one")
    return migration.variables.template(item)


def name_for_path(migration: Migration, level: Level, path: str) -> str:
    """Return the name of a location that sends requests on to `path`, with the query that it names and no other.

    Raises:
        Refused: nothing can be sent there.
    """
    if not path.startswith("/"):
        raise Refused(f"{path!r} is no path")
    to = migration.variables.template(path)
    # nginx looks for a question mark in what the variables come to, chute in what is written.
    to = to.replace("$is_args$args", "?$args").replace("$is_args$query_string", "?$query_string")
    if "$is_args" in to or "${is_args}" in to:
        raise Refused("chute wants the query of a path behind a question mark")
    step: Table = {"to": to if to.endswith("?") else f"{to}?", "then": "last"}
    comment = f"Whatever is sent here goes on to {path}."
    return migration.name_location(level, "fallback", {"rewrite": [step]}, comment)


def carry_error_page(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `error_page`."""
    *statuses, page = statement.arguments or ("",)
    if any(word.startswith("=") for word in statuses):
        raise Refused("chute shows a page with the status that there is, and no other")
    if not statuses:
        raise Refused("an argument is missing")
    pages = level.table.setdefault("error_pages", {})
    assert isinstance(pages, dict)
    known = {int(status) for key in pages for status in key.split()}
    kept: list[str] = []
    for status in statuses:
        try:
            parse_statuses(status)
        except ConfigError as error:
            raise Refused(f"{status} is no status that chute shows a page for") from error
        if int(status) in known:
            migration.report.note(statement, f"nginx takes the first page for {status}, too")
        else:
            kept.append(status)
    if kept:
        pages[" ".join(kept)] = _page(migration, level, page)


def _page(migration: Migration, level: Level, page: str) -> str:
    if page.startswith("@"):
        return page
    if _URL.match(page):
        raise Refused(
            "chute shows a page with the status that there is, and sends nobody elsewhere"
        )
    if not page.startswith("/"):
        raise Refused(f"{page!r} is no path")
    return name_for_path(migration, level, page) if has_variables(page) else page


def finish_error_pages(migration: Migration, level: Level) -> None:
    """Say so where chute inherits a page that nginx does not: a level with one inherits none there."""
    pages = level.table.get("error_pages")
    if not isinstance(pages, dict):
        return
    if not pages:
        del level.table["error_pages"]
        return
    here = {status for key in pages for status in key.split()}
    inherited = set() if level.parent is None else set(level.parent.effective("pages", list, []))
    if inherited - here and level.statement is not None:
        lost = " ".join(sorted(inherited - here))
        migration.report.note(
            level.statement, f"chute keeps the page for {lost} of the level around it"
        )
    level.said["pages"] = sorted(here | inherited)
