"""The conditions of nginx's `if`, as chute writes them."""

from __future__ import annotations

from chute.config.nginx.names import Variables, pattern
from chute.config.nginx.statements import Refused, Statement

_FILE_TESTS = frozenset({"-f", "-d", "-e", "-x", "!-f", "!-d", "!-e", "!-x"})
_COMPARISONS = frozenset({"=", "!="})
_PATTERNS = frozenset({"~", "~*", "!~", "!~*"})

_TERMS = 3


def condition_of(statement: Statement, variables: Variables) -> str:
    """Return the condition of the `if` that `statement` is.

    Raises:
        Refused: chute cannot ask for it.
    """
    arguments = statement.arguments
    if arguments and arguments[0] in _FILE_TESTS:
        raise Refused("chute tests for no files here: try_files does, for paths")
    left = statement.argument()
    if not left.startswith("$"):
        raise Refused("the condition cannot be understood")
    if len(arguments) == 1:
        return variables.template(left)
    if len(arguments) != _TERMS:
        raise Refused("the condition cannot be understood")
    operator, right = arguments[1:]
    if operator in _COMPARISONS:
        return f"{variables.template(left)} {operator} {_quoted(variables.template(right))}"
    if operator in _PATTERNS:
        right = pattern(right, ignores_case=operator.endswith("*"))
        return f"{variables.template(left)} {operator} {_quoted(right)}"
    raise Refused(f"chute has no comparison {operator}")


def _quoted(right: str) -> str:
    """Return what is compared with, in quotation marks if it would not be itself without them."""
    is_plain = (
        right and right == right.strip() and not (right[0] == right[-1] and right[0] in "\"'")
    )
    return right if is_plain else f'"{right}"'
