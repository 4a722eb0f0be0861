"""How files are served: the folder, its index and listing, and what becomes of a file on the way."""

from __future__ import annotations

import os

from chute.config.nginx.amounts import parse_size, parse_switch, parse_time
from chute.config.nginx.levels import Level, Migration
from chute.config.nginx.names import literal
from chute.config.nginx.statements import Refused, Statement
from chute.config.units import show_duration, show_rate, show_size

OF_NGINX = {
    "hidden": True,
    "links": "follow",
    "sidecars": False,
    "compress": False,
    "charset": "",
    "cache": {"*": "off"},
}
"""What nginx does when nobody says otherwise, and chute does not."""

_RELATIVE = "is relative to nginx's own prefix, which `nginx -V` tells; write the whole path"
_LINKS = {"off": "follow", "on": "deny", "if_not_owner": "owner"}


def carry_root(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `root`."""
    path = literal(statement.argument())
    if not os.path.isabs(path):
        migration.report.leave_out(statement, _RELATIVE)
    level.table["root"] = path if path == "/" else path.rstrip("/")
    level.said["alias"] = ""


def carry_alias(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `alias`, where what stands for what is plain."""
    path = literal(statement.argument())
    if not os.path.isabs(path):
        migration.report.leave_out(statement, _RELATIVE)
    match = level.match
    if match.startswith(("~", "@")):
        raise Refused("chute takes `alias` where a location begins with a path")
    bare = match.removeprefix("= ").removeprefix("^~ ")
    if match.startswith("= ") and path.endswith("/"):
        raise Refused("one path cannot stand for a folder in chute")
    if not match.startswith("= ") and bare.endswith("/") and not path.endswith("/"):
        raise Refused("the location ends with a slash and the folder does not: nginx glues names")
    level.table["alias"] = path
    level.said["alias"] = path
    level.said["alias of"] = bare


def finish_alias(migration: Migration, level: Level) -> None:
    """Carry the alias of a location over to one within it, which inherits it in nginx and not in chute."""
    outer = level.parent
    if outer is None or outer.kind != "location" or "alias" in level.said:
        return
    alias = outer.effective("alias", str, "")
    if not alias:
        return
    beneath = outer.effective("alias of", str, "")
    bare = level.match.removeprefix("^~ ")
    if bare.startswith("/") and bare.startswith(beneath):
        level.table["alias"] = alias + bare.removeprefix(beneath)
        level.said["alias"] = level.table["alias"]
        level.said["alias of"] = bare
    elif beneath.endswith("/") and alias.endswith(beneath):
        # `/static/` at `/srv/static/` is the same as beneath `/srv`.
        level.table["root"] = alias.removesuffix(beneath) or "/"
        level.said["alias"] = ""
    elif level.statement is not None:
        migration.report.leave_out(
            level.statement, f"the alias {alias} around it cannot be carried over to this location"
        )


def carry_index(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `index`."""
    names = []
    for name in statement.arguments:
        if "/" in name:
            migration.report.leave_out(
                statement, f"chute looks for an index page in the folder itself, and not for {name}"
            )
        else:
            names.append(literal(name))
    level.files["index"] = names
    level.said["index"] = statement


def carry_listing(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `autoindex`."""
    del migration
    level.files["listing"] = parse_switch(statement)


def carry_listing_format(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `autoindex_format`: chute has more than one, and the client chooses."""
    del level
    if statement.argument() != "html":
        raise Refused("clients ask for JSON with `?format=json` or an Accept field")
    migration.report.note(statement, "it is a page")


def carry_charset(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `charset`."""
    del migration
    word = literal(statement.argument())
    level.files["charset"] = "" if word == "off" else word
    level.said["charset"] = level.files["charset"]


def carry_links(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `disable_symlinks`."""
    word = literal(statement.argument())
    if word not in _LINKS:
        raise Refused(f"{word!r} is not known")
    level.files["links"] = _LINKS[word]
    if len(statement.arguments) > 1:
        migration.report.leave_out(statement, "chute looks at links beneath the root alone")


def carry_compress(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `gzip`."""
    del migration
    level.files["compress"] = parse_switch(statement)


def carry_sidecars(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `gzip_static`, which looks for `.gz` alone."""
    word = statement.argument()
    level.files["sidecars"] = word != "off"
    if word == "always":
        migration.report.leave_out(statement, "chute sends `name.gz` to those who accept it")


def carry_compress_types(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `gzip_types`; chute has a list of its own, which these are added to."""
    if "*" in statement.arguments:
        raise Refused("chute compresses what is worth it, and what is named, but not everything")
    level.files["compress_type"] = [literal(word) for word in statement.arguments]
    migration.report.note(statement, "beside the types that chute finds worth it anyway")


def carry_compress_min(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `gzip_min_length`."""
    del migration
    level.files["compress_min"] = show_size(parse_size(statement.argument()))


def carry_compress_level(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `gzip_comp_level`."""
    del migration
    level.files["compress_level"] = {"gzip": _number(statement.argument())}


def carry_limit_rate(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `limit_rate`."""
    del migration
    level.files["limit_rate"] = show_rate(parse_size(literal(statement.argument())))


def carry_limit_rate_after(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `limit_rate_after`."""
    del migration
    level.files["limit_rate_after"] = show_size(parse_size(literal(statement.argument())))


def carry_open_files(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `open_file_cache`: chute always keeps files open, for a second unless told otherwise."""
    words = dict(word.partition("=")[::2] for word in statement.arguments)
    if "off" in words:
        level.files["valid"] = show_duration(0)
        return
    level.files["open_files"] = _number(words.get("max", ""))
    level.files.setdefault("valid", "1m")
    if "inactive" in words:
        migration.report.note(statement, "the longest unused files are closed first")


def carry_valid(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `open_file_cache_valid`."""
    del migration
    level.files["valid"] = show_duration(parse_time(statement.argument()))


def carry_sendfile(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `sendfile`: when it is on, chute's own choice is as good or better."""
    if parse_switch(statement):
        migration.report.note(statement, "chute does so wherever it is safe")
    else:
        level.files["sendfile"] = "off"


def carry_internal(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `internal`."""
    del migration, statement
    level.table["internal"] = True


def _number(text: str) -> int:
    if not text.isdecimal():
        raise Refused(f"{text!r} is no number")
    return int(text)
