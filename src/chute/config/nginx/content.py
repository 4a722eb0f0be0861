"""Who answers for a location, where that is neither a file nor a fixed answer: `proxy_pass`, and other programs."""

from __future__ import annotations

import re

from chute.config.nginx.levels import Level, Migration, Table
from chute.config.nginx.names import has_variables, literal
from chute.config.nginx.statements import Refused, Statement

NOT_BUILT = "chute does not pass requests on yet; carried over for the day it does"
_NOT_IMPLEMENTED = 501
_HOST = re.compile(r"http://(?P<host>[^/:]+)/?")
_PORT = re.compile(r":[0-9]+$")

OTHERS = {
    "fastcgi_pass": "chute does not speak FastCGI; a Python application is hosted by `chute app`",
    "uwsgi_pass": "chute does not speak the uwsgi protocol; `chute app MODULE:ATTR` hosts the application itself",
    "scgi_pass": "chute does not speak SCGI; a Python application is hosted by `chute app`",
    "grpc_pass": "chute does not speak gRPC",
    "memcached_pass": "chute does not ask memcached",
    "js_content": "chute runs no njs; Python is hosted by `chute app`",
    "perl": "chute runs no Perl",
    "content_by_lua_block": "chute runs no Lua; Python is hosted by `chute app`",
    "content_by_lua_file": "chute runs no Lua; Python is hosted by `chute app`",
    "stub_status": "chute has no page about its status yet",
    "empty_gif": "chute has no picture of its own; serve one as a file",
    "random_index": "chute serves no page at random",
    "api": "chute has no page about its status yet",
    "hls": "chute cuts no video",
    "f4f": "chute cuts no video",
    "xslt_stylesheet": "chute transforms nothing",
    "image_filter": "chute transforms no images",
    "secure_link_secret": "chute checks no signed links",
}
"""What answers by something that chute has not, and why that is left out."""


def carry_other_program(migration: Migration, level: Level, statement: Statement) -> None:
    """Leave a handler out, and have its location answer 501: it must not serve the program's source."""
    if level.kind == "location" and statement.arguments != ("off",):
        level.said["answered by"] = statement
    migration.report.leave_out(statement, OTHERS[statement.name])


def carry_proxy_pass(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `proxy_pass`."""
    url = statement.argument()
    if level.kind != "location":
        raise Refused("it stands in no location")
    if has_variables(url):
        level.said["answered by"] = statement
        raise Refused("chute takes no variables here")
    host = _HOST.fullmatch(url)
    is_named = host is not None and not url.endswith("/") and host["host"] in migration.upstreams
    level.table["proxy"] = host["host"] if host is not None and is_named else url
    migration.report.leave_out(statement, NOT_BUILT)


def finish_content(level: Level) -> None:
    """Have a location whose handler was left out answer 501."""
    statement = level.said.get("answered by")
    if not isinstance(statement, Statement) or level.always_answers:
        return
    level.table["respond"] = _NOT_IMPLEMENTED
    level.comment(
        f"{statement.written} was left out; files must not be sent in its place.", "respond"
    )


def carry_upstream(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over an `upstream` block: its servers, and nothing about how they take turns."""
    del level
    servers: list[str] = []
    for inner in statement.inner:
        if inner.name != "server":
            migration.report.leave_out(inner, "chute does not balance yet")
            continue
        address = literal(inner.argument())
        if "down" in inner.arguments:
            migration.report.note(inner, "it is down")
            continue
        if not address.startswith("unix:") and not _PORT.search(address):
            address += ":80"
        servers.append(address)
        if len(inner.arguments) > 1:
            migration.report.leave_out(
                inner, "chute does not balance yet; the address is carried over"
            )
    table: Table = {"servers": servers}
    migration.upstreams[literal(statement.argument())] = table
    migration.report.leave_out(statement, NOT_BUILT)
