"""Conditions on a request, in the notation of nginx's `if`: `$request_method = POST`, `$http_user_agent ~* bot`.

A value alone holds unless it is empty or `0`; `!` before it turns that round. `=` and `!=` compare, `~` and `~*` look
for a regular expression (with and without regard to case), `!~` and `!~*` see that it is not there. What is compared
with may be put in quotation marks: `$arg_page = ""`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from chute.errors import ConfigError
from chute.exchange import Answered, Request
from chute.variables.lookup import Phase
from chute.variables.names import Names, remember_captures
from chute.variables.patterns import compile_pattern
from chute.variables.template import Template, log_reader, split

Operator = Literal["is set", "is not set", "=", "!=", "~", "~*", "!~", "!~*"]
Condition = Callable[[Request], bool]
LogCondition = Callable[[Answered], bool]

_COMPARISON = re.compile(
    r"(?P<left>\S+)\s+(?P<operator>!?~\*?|!?=)(?:\s+(?P<right>.*))?", re.DOTALL
)
_ALONE = re.compile(r"(?P<negation>!?)\s*(?P<left>\$\S+)")

_OPERATORS: dict[str, Operator] = {
    "=": "=",
    "!=": "!=",
    "~": "~",
    "~*": "~*",
    "!~": "!~",
    "!~*": "!~*",
}

EXAMPLE = "for example '$request_method = POST', '$http_user_agent ~* bot' or '$arg_debug'"


class Parsed(NamedTuple):
    """A condition as written.

    Attributes:
        left: what is looked at; contains variables.
        operator: how.
        right: what it is compared with: a text, which may contain variables, or a regular expression.
    """

    left: str
    operator: Operator
    right: str

    @property
    def pattern(self) -> re.Pattern[bytes] | None:
        """The regular expression in it, if there is one.

        Raises:
            ConfigError: it is none.
        """
        if "~" not in self.operator:
            return None
        return compile_pattern(self.right, ignores_case=self.operator.endswith("*"))


def parse_condition(text: str) -> Parsed:
    """Read a condition.

    Raises:
        ConfigError: it is none.
    """
    text = text.strip()
    alone = _ALONE.fullmatch(text)
    if alone is not None:
        return Parsed(alone["left"], "is not set" if alone["negation"] else "is set", "")
    match = _COMPARISON.fullmatch(text)
    if match is None or "$" not in match["left"]:
        raise ConfigError(f"{text!r} is no condition", hint=EXAMPLE)
    right = match["right"] or ""
    if len(right) > 1 and right[0] == right[-1] and right[0] in "\"'":
        right = right[1:-1]
    elif not right:
        raise ConfigError(f"{text!r} compares with nothing", hint='write "" for an empty value')
    return Parsed(match["left"], _OPERATORS[match["operator"]], right)


def compile_conditions(
    texts: Sequence[str], names: Names, *, until: Phase = Phase.REQUEST
) -> Condition | None:
    """Return what tells whether all of `texts` hold; None if there are none.

    A regular expression that matches makes its groups known, as those of locations and rewrites do; one that does not
    leaves none known.

    Raises:
        ConfigError: one is no condition, or names an unknown variable.
    """
    conditions = [_compile(parse_condition(text), names, until) for text in texts]
    if not conditions:
        return None
    if len(conditions) == 1:
        return conditions[0]
    return lambda request: all(condition(request) for condition in conditions)


def _compile(parsed: Parsed, names: Names, until: Phase) -> Condition:
    read = Template(parsed.left, names, until=until).render
    if parsed.operator in ("is set", "is not set"):
        wanted = parsed.operator == "is set"
        return lambda request: (read(request) not in (b"", b"0")) is wanted
    is_negated = parsed.operator.startswith("!")
    pattern = parsed.pattern
    if pattern is None:
        other = Template(parsed.right, names, until=until).render
        return lambda request: (read(request) == other(request)) is not is_negated

    def matches(request: Request) -> bool:
        match = pattern.search(read(request))
        if match is None:
            request.captures = ()
            return is_negated
        remember_captures(request, match)
        return not is_negated

    return matches


def compile_log_conditions(texts: Sequence[str], names: Names) -> LogCondition | None:
    """Return what tells of an answer that has been sent whether all of `texts` hold; None if there are none.

    Raises:
        ConfigError: one is no condition, or names an unknown variable.
    """
    conditions = [_compile_for_log(parse_condition(text), names) for text in texts]
    return (lambda answered: all(each(answered) for each in conditions)) if conditions else None


def _compile_for_log(parsed: Parsed, names: Names) -> LogCondition:
    read = _log_text(parsed.left, names)
    if parsed.operator in ("is set", "is not set"):
        wanted = parsed.operator == "is set"
        return lambda answered: (read(answered) not in (b"", b"0")) is wanted
    is_negated = parsed.operator.startswith("!")
    pattern = parsed.pattern
    if pattern is None:
        other = _log_text(parsed.right, names)
        return lambda answered: (read(answered) == other(answered)) is not is_negated
    return lambda answered: (pattern.search(read(answered)) is None) is is_negated


def _log_text(text: str, names: Names) -> Callable[[Answered], bytes]:
    readers = [
        (literal, None if name is None else log_reader(name, names))
        for literal, name in split(text)
    ]
    return lambda answered: b"".join(
        [literal if read is None else read(answered) for literal, read in readers]
    )
