"""The rewrite module: `rewrite`, `set`, `return`, `break` and `if`, as steps.

Both run them in the order of the text. An `if` becomes a condition of each step within it. nginx asks once, chute at
each step; where a step changes what the next condition asks for, the answer is kept in a variable.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from chute.config.nginx.conditions import condition_of
from chute.config.nginx.levels import Level, Migration, Table
from chute.config.nginx.names import pattern
from chute.config.nginx.statements import Refused, Statement
from chute.routing.answers import WITHOUT_CONTENT
from chute.routing.options import REDIRECTS, RespondOptions
from chute.semantics.status import reason_phrase
from chute.variables.lookup import find_built_in

_URL = re.compile(r"https?://|\$scheme", re.IGNORECASE)
_VARIABLES = re.compile(r"\$\{?(\w+)")
_OF_THE_PATH = frozenset(
    {"uri", "document_uri", "request_filename", "args", "query_string", "is_args"}
)
_FLAGS = frozenset({"last", "break", "redirect", "permanent"})
_FOUND = 302
_STATUS_MIN, _STATUS_MAX = 200, 599
_PLAIN = "text/plain"
_USUAL = RespondOptions().media_type

Step = Table
_Maker = Callable[[Migration, Level, Statement], Step]


def carry_step(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over `rewrite`, `set`, `return` or `break`."""
    level.steps.append(_MAKERS[statement.name](migration, level, statement))


def carry_if(migration: Migration, level: Level, statement: Statement) -> None:
    """Carry over an `if` and what is in it."""
    condition = condition_of(statement, migration.variables)
    steps: list[Step] = []
    for inner in statement.inner:
        make = _MAKERS.get(inner.name)
        if make is None:
            migration.report.leave_out(
                inner, "in chute a condition is for rewrite, set, return and break alone"
            )
            continue
        try:
            steps.append(make(migration, level, inner))
        except Refused as refused:
            migration.report.leave_out(inner, refused.why)
    if not statement.inner:
        migration.report.note(statement, "there is nothing in it")
    if _changes_its_condition(condition, steps):
        name = f"if_line_{statement.line}"
        level.steps.append({"set": name, "to": ""})
        level.steps.append({"when": condition, "set": name, "to": "1"})
        condition = f"${name}"
    level.steps.extend({"when": condition, **step} for step in steps)


def _changes_its_condition(condition: str, steps: list[Step]) -> bool:
    """Whether one of `steps` but the last has `condition` come out otherwise at the next."""
    asked_for = {name.lower() for name in _VARIABLES.findall(condition)}
    asks_for_path = bool(asked_for & _OF_THE_PATH) or any(n.startswith("arg_") for n in asked_for)
    has_groups = " ~" in condition
    for step in steps[:-1]:
        if step.get("set") in asked_for:
            return True
        if "match" in step and (asks_for_path or has_groups):
            return True
    return False


def _rewrite(migration: Migration, level: Level, statement: Statement) -> Step:
    del level
    expression, to = statement.argument(0), statement.argument(1)
    step: Step = {"match": pattern(expression), "to": migration.variables.template(to)}
    flag = statement.arguments[2] if len(statement.arguments) > len(("match", "to")) else ""
    if flag and flag not in _FLAGS:
        raise Refused(f"there is no flag {flag!r}")
    is_url = _URL.match(to) is not None
    if is_url and flag != "permanent":
        flag = "redirect"
    if not is_url and not to.startswith(("/", "$")) and flag not in ("redirect", "permanent"):
        raise Refused("the new path does not begin with a slash")
    if flag:
        step["then"] = flag
    return step


def _set(migration: Migration, level: Level, statement: Statement) -> Step:
    del level
    name = statement.argument().removeprefix("$").lower()
    if find_built_in(name) is not None:
        raise Refused(f"${name} is a variable of every request, which chute does not change")
    if name in migration.variables.maps:
        raise Refused(f"${name} is a map, and chute does not set those")
    return {"set": name, "to": migration.variables.template(statement.argument(1))}


def _break(migration: Migration, level: Level, statement: Statement) -> Step:
    del migration, level, statement
    return {"then": "break"}


def _return(migration: Migration, level: Level, statement: Statement) -> Step:
    first = statement.argument()
    if not first.isdecimal():
        if len(statement.arguments) > 1:
            raise Refused(f"{first!r} is no status")
        return _redirect(migration, _FOUND, first)
    status = int(first)
    text = statement.arguments[1] if len(statement.arguments) > 1 else None
    if status in REDIRECTS and text is not None:
        return _redirect(migration, status, text)
    if not (_STATUS_MIN <= status <= _STATUS_MAX and reason_phrase(status)):
        # It is there to keep somebody out, so something has to stand in its place.
        migration.report.leave_out(
            statement, f"chute has no answer {status}; what it is for is answered with 400"
        )
        return {"respond": 400}
    if status in REDIRECTS:
        raise Refused(f"a redirect needs somewhere to lead to, and {status} is one")
    if text is None or status in WITHOUT_CONTENT:
        return {"respond": status}
    answer: Table = {} if status == _STATUS_MIN else {"status": status}
    answer["text"] = migration.variables.template(text)
    media_type = _type_of_text(level)
    if media_type != _USUAL:
        answer["type"] = media_type
    return {"respond": answer}


def _redirect(migration: Migration, status: int, to: str) -> Step:
    to = migration.variables.template(to)
    return {"redirect": to if status == _FOUND else {"to": to, "status": status}}


def _type_of_text(level: Level) -> str:
    """Return the media type that nginx gives a text, with the charset that it says of text."""
    media_type = _bare_type_of_text(level)
    charset = level.effective("charset", str, "")
    is_text = media_type.startswith("text/") and charset
    return f"{media_type}; charset={charset.lower()}" if is_text else media_type


def _bare_type_of_text(level: Level) -> str:
    """Return the media type by the extension in the path, if that is known, or the default."""
    types = level.effective("types", dict, {"html": "text/html"})
    default = level.effective("default_type", str, _PLAIN)
    if not level.match.startswith("= "):
        return default
    extension = posixpath.splitext(level.match)[1].removeprefix(".").lower()
    return str(types.get(extension, default))


_MAKERS: dict[str, _Maker] = {
    "rewrite": _rewrite,
    "set": _set,
    "return": _return,
    "break": _break,
}


def finish_steps(level: Level) -> None:
    """Write down the steps of `level`; what a location answers at their end is what it is.

    It stays a step where one before it has changed the path by then: chute would look for a location first.
    """
    steps = level.steps
    if level.kind == "location":
        number = next((n for n, step in enumerate(steps) if _answers_always(step)), None)
        if number is not None and not any(_may_change_path(step) for step in steps[:number]):
            level.table.update(steps[number])
            steps = steps[:number]
    if steps:
        level.table["rewrite"] = steps


def _answers_always(step: Step) -> bool:
    return set(step) <= {"redirect", "respond"}


def _may_change_path(step: Step) -> bool:
    return step.get("then") == "break" or (
        "to" in step and "set" not in step and step.get("then") not in ("redirect", "permanent")
    )
