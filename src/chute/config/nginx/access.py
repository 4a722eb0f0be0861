"""Who may come in: passwords, and what guards a location that chute cannot guard in the same way.

chute knows passwords. Addresses (`allow`, `deny`) and other programs that are asked are not built. A location behind
one of these answers 403: who has moved a configuration must not find out from others that a door was left open.
"""

from __future__ import annotations

import os

from chute.config.nginx.levels import Level, Migration
from chute.config.nginx.names import has_variables
from chute.config.nginx.statements import Refused, Statement

CLOSED = "not built yet; what it guards answers 403 until you decide otherwise"
_OPEN = "not built yet, and what it keeps out is let in"
_FORBIDDEN = 403
_ALL = ("all",)


def carry_auth_basic(migration: Migration, level: Level, statement: Statement) -> None:
    """Note the realm; `off` lets everybody in."""
    realm = statement.argument()
    if has_variables(realm):
        migration.report.leave_out(
            statement, "chute takes no variables here, and asks everybody for a password"
        )
        realm = "Restricted"
    level.said["realm"] = realm


def carry_user_file(migration: Migration, level: Level, statement: Statement) -> None:
    """Note the file with users and passwords."""
    path = statement.argument()
    if has_variables(path):
        level.said["guard"] = True
        raise Refused(f"chute takes no variables here; {CLOSED.partition('; ')[2]}")
    level.said["users"] = os.path.join(migration.folder, path)


def carry_rule(migration: Migration, level: Level, statement: Statement) -> None:
    """Note one `allow` or `deny`."""
    del migration
    rules = level.said.setdefault("rules", [])
    assert isinstance(rules, list)
    rules.append(statement)


def carry_satisfy(migration: Migration, level: Level, statement: Statement) -> None:
    """Note whether one of password and address is enough."""
    is_any = statement.argument() == "any"
    level.said["is any enough"] = is_any
    if is_any:
        migration.report.leave_out(
            statement, "addresses are not built yet: everybody is asked for the password"
        )


def carry_guard(migration: Migration, level: Level, statement: Statement) -> None:
    """Note that somebody else decides who may come in."""
    is_off = statement.argument() in ("off", "optional", "optional_no_ca")
    level.said["guard"] = not is_off
    if not is_off:
        migration.report.leave_out(statement, CLOSED)
    elif statement.argument() != "off":
        migration.report.leave_out(statement, "TLS is not built yet")


def finish_access(migration: Migration, level: Level) -> None:
    """Write down who may come in at this level, and close it if that cannot be said."""
    _finish_passwords(level)
    verdict = _judge(level.effective("rules", list, []))
    rules = level.said.get("rules")
    for rule in rules if isinstance(rules, list) else []:
        _remark(migration, level, rule, verdict)
    is_closed = verdict in ("everybody", "most") and not _is_password_enough(level)
    level.said["is closed"] = is_closed or level.effective("guard", bool, default=False)
    level.said["is closed to all"] = verdict == "everybody"
    if level.said["is closed"] and level.kind == "location":
        close(level)


def close(level: Level) -> None:
    """Have the location answer 403, unless its own steps answer before anybody is asked for anything."""
    if level.always_answers:
        return
    level.table.pop("proxy", None)
    level.table["respond"] = _FORBIDDEN
    if not level.effective("is closed to all", bool, default=False):
        level.comment("Closed, for what guards it was left out.", "respond")


def _finish_passwords(level: Level) -> None:
    if "realm" not in level.said and "users" not in level.said:
        return
    realm = level.effective("realm", str, "off")
    users = level.effective("users", str, "")
    if realm != "off" and users:
        level.table["auth"] = {"file": users, "realm": realm}
        level.said["asks"] = True
    elif level.effective("asks", bool, default=False):
        level.table["auth"] = "off"
        level.said["asks"] = False


def _is_password_enough(level: Level) -> bool:
    return level.effective("is any enough", bool, default=False) and level.effective(
        "asks", bool, default=False
    )


def _judge(rules: list[Statement]) -> str:
    """Return whom rules keep out: `nobody`, `everybody`, `most` (but a few), or `some`. The first that fits counts."""
    if not rules or (rules[0].name == "allow" and rules[0].arguments == _ALL):
        return "nobody"
    if rules[0].arguments == _ALL:
        return "everybody"
    last = next((rule for rule in rules if rule.arguments == _ALL), None)
    return "most" if last is not None and last.name == "deny" else "some"


def _remark(migration: Migration, level: Level, rule: Statement, verdict: str) -> None:
    if _is_password_enough(level):
        migration.report.leave_out(rule, "addresses are not built yet: everybody is asked")
    elif verdict == "most":
        migration.report.leave_out(rule, CLOSED)
    elif verdict == "some":
        migration.report.leave_out(rule, _OPEN)
    elif verdict == "everybody":
        migration.report.note(rule, "answers 403")
    else:
        migration.report.note(rule, "keeps nobody out")
