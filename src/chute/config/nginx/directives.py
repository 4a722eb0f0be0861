"""Which function carries which directive over, and the order in which a level is finished."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from chute.config.nginx import access, content, fallbacks, fields, logs, media_types, serving, steps
from chute.config.nginx.bounds import BOUNDS, carry_bound, carry_workers
from chute.config.nginx.content import OTHERS, carry_other_program
from chute.config.nginx.levels import Level, Migration
from chute.config.nginx.maps import carry_map
from chute.config.nginx.reasons import IMPLIED, why_left_out
from chute.config.nginx.statements import Refused, Statement

Carry = Callable[[Migration, Level, Statement], None]

CARRIED: Final[dict[str, Carry]] = {
    "access_log": logs.carry_access_log,
    "add_header": fields.carry_add_header,
    "alias": serving.carry_alias,
    "allow": access.carry_rule,
    "auth_basic": access.carry_auth_basic,
    "auth_basic_user_file": access.carry_user_file,
    "auth_jwt": access.carry_guard,
    "auth_request": access.carry_guard,
    "autoindex": serving.carry_listing,
    "autoindex_format": serving.carry_listing_format,
    "break": steps.carry_step,
    "charset": serving.carry_charset,
    "default_type": media_types.carry_default_type,
    "deny": access.carry_rule,
    "disable_symlinks": serving.carry_links,
    "error_page": fallbacks.carry_error_page,
    "expires": fields.carry_expires,
    "gzip": serving.carry_compress,
    "gzip_comp_level": serving.carry_compress_level,
    "gzip_min_length": serving.carry_compress_min,
    "gzip_static": serving.carry_sidecars,
    "gzip_types": serving.carry_compress_types,
    "if": steps.carry_if,
    "index": serving.carry_index,
    "internal": serving.carry_internal,
    "limit_rate": serving.carry_limit_rate,
    "limit_rate_after": serving.carry_limit_rate_after,
    "log_format": logs.carry_log_format,
    "map": carry_map,
    "open_file_cache": serving.carry_open_files,
    "open_file_cache_valid": serving.carry_valid,
    "proxy_pass": content.carry_proxy_pass,
    "return": steps.carry_step,
    "rewrite": steps.carry_step,
    "root": serving.carry_root,
    "satisfy": access.carry_satisfy,
    "sendfile": serving.carry_sendfile,
    "set": steps.carry_step,
    "ssl_verify_client": access.carry_guard,
    "try_files": fallbacks.carry_try_files,
    "types": media_types.carry_types,
    "upstream": content.carry_upstream,
    "worker_processes": carry_workers,
    **dict.fromkeys(BOUNDS, carry_bound),
    **dict.fromkeys(OTHERS, carry_other_program),
}


_NOT_HERE: Final = {
    "http": frozenset(
        {"alias", "break", "if", "internal", "return", "rewrite", "set", "try_files"}
    ),
    "server": frozenset({"alias", "internal"}),
    "location": frozenset({"log_format", "map", "upstream", "worker_processes"}),
}
"""Where nginx itself takes no such directive."""


_FIRST: Final = frozenset({"charset", "default_type", "types"})
"""What has to be known about a level for what else it says, wherever in it that stands."""


def in_order(statements: Iterable[Statement]) -> list[Statement]:
    """Return the directives of a level in the order in which they are carried over."""
    return sorted(statements, key=lambda statement: statement.name not in _FIRST)


def carry_over(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry one directive over, or say why not."""
    carry = CARRIED.get(statement.name)
    if carry is None:
        _pass_over(migration, statement)
        return
    if statement.name in _NOT_HERE[level.kind]:
        migration.report.leave_out(statement, "nginx does not take it here either")
        return
    try:
        carry(migration, level, statement)
    except Refused as refused:
        migration.report.leave_out(statement, refused.why)


def _pass_over(migration: Migration, statement: Statement) -> None:
    why = IMPLIED.get(statement.name)
    if why is None:
        migration.report.leave_out(statement, why_left_out(statement.name))
    else:
        migration.report.note(statement, why)


def finish(migration: Migration, level: Level) -> None:
    """Write down what is known only when all of a level has been read; in nginx's order of phases."""
    serving.finish_alias(migration, level)
    steps.finish_steps(level)
    content.finish_content(level)
    access.finish_access(migration, level)
    if level.kind == "location":
        fallbacks.finish_try_files(migration, level)
    fallbacks.finish_error_pages(migration, level)
    fields.finish_fields(migration, level)
    media_types.finish_default_type(migration, level)
    logs.finish_logs(level)
