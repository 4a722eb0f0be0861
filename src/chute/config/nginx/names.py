"""The variables of a configuration, and text that contains them.

nginx and chute write templates alike. What differs: nginx takes no notice of case in a name, knows more of them, and
has no way to write a dollar sign.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from chute.config.nginx.statements import Refused, Statement
from chute.errors import ConfigError
from chute.variables.lookup import Phase, find_built_in
from chute.variables.patterns import compile_pattern

_VARIABLE = re.compile(r"\$(?:(?P<group>[1-9])|\{(?P<braced>\w+)\}|(?P<plain>\w+)|)", re.ASCII)
_NAMED_GROUP = re.compile(r"\(\?(?:P?<|')([A-Za-z_][A-Za-z0-9_]*)[>']")
_ENVIRONMENT = re.compile(r"(\\?)\$(?=\{[A-Z_][A-Z0-9_]*(?::-[^}]*)?\})")

_Definition = tuple[str, tuple[str, ...]]


class Variables:
    """What `$name` means in one configuration."""

    def __init__(self, statements: Sequence[Statement]) -> None:
        """Find what the configuration itself adds to what every request has.

        What is defined by an unknown variable is unknown too, so the definitions are gone through until nothing is
        added any more.
        """
        everything = list(_walk(statements))
        self.maps = {
            statement.arguments[1].lstrip("$").lower()
            for statement in everything
            if statement.name == "map" and len(statement.arguments) > 1
        }
        self._known: dict[str, Phase] = {
            name.lower(): Phase.REQUEST
            for statement in everything
            for word in (statement.name, *statement.arguments)
            for name in _NAMED_GROUP.findall(word)
        }
        waiting = [found for statement in everything for found in _definitions(statement)]
        while True:
            rest = [found for found in waiting if not self._learn(*found)]
            if len(rest) == len(waiting):
                break
            waiting = rest

    def _learn(self, name: str, texts: tuple[str, ...]) -> bool:
        try:
            phase = max((self._phase_of(text) for text in texts), default=Phase.REQUEST)
        except Refused:
            return False
        self._known[name] = max(phase, self._known.get(name, Phase.REQUEST))
        return True

    def _phase_of(self, text: str) -> Phase:
        names = [_name_of(match) for match in _VARIABLE.finditer(text)]
        return max((self._find(name) for name in names), default=Phase.REQUEST)

    def _find(self, name: str) -> Phase:
        """Return from when on the variable `name` has a value.

        Raises:
            Refused: there is none.
        """
        if name.isdigit():
            return Phase.REQUEST
        known = self._known.get(name)
        if known is not None:
            return known
        built_in = find_built_in(name)
        if built_in is None:
            raise Refused(f"chute has no variable ${name}" if name else "a dollar sign is alone")
        return built_in.phase

    def template(self, text: str, until: Phase = Phase.REQUEST) -> str:
        """Return `text`, which is evaluated at `until`, as chute writes it.

        Raises:
            Refused: it contains a variable that chute does not have, or not by then.
        """
        phase = self._phase_of(text)
        if phase > until:
            late = [m[0] for m in _VARIABLE.finditer(text) if self._find(_name_of(m)) > until]
            raise Refused(f"chute does not know {late[0]} at that time")
        return _VARIABLE.sub(lambda match: match[0].lower(), text)


def _name_of(match: re.Match[str]) -> str:
    return (match["group"] or match["braced"] or match["plain"] or "").lower()


def has_variables(text: str) -> bool:
    """Whether nginx sees a variable in `text`."""
    return "$" in text


def literal(text: str) -> str:
    """Return `text`, which is to be taken as it is.

    Raises:
        Refused: there is a variable in it, and chute looks for none in this place.
    """
    if has_variables(text):
        raise Refused("chute takes no variables here")
    return text


def pattern(text: str, *, ignores_case: bool = False) -> str:
    """Return the regular expression `text` as chute writes it.

    Raises:
        Refused: chute does not understand it, or it could take for ever.
    """
    try:
        compile_pattern(text, ignores_case=ignores_case)
    except ConfigError as error:
        raise Refused(f"{error} ({error.hint})" if error.hint else str(error)) from error
    # `${NAME}` would be looked up in the environment; an anchor within a group is still an anchor.
    return _ENVIRONMENT.sub(lambda match: "[$]" if match[1] else "(?:$)", text)


def _walk(statements: Iterable[Statement]) -> Iterator[Statement]:
    for statement in statements:
        yield statement
        yield from _walk(statement.inner)


def _definitions(statement: Statement) -> Iterator[_Definition]:
    """Yield the variables that a statement defines, each with the texts that it is made of."""
    arguments = statement.arguments
    if statement.name == "set" and len(arguments) > 1:
        yield arguments[0].lstrip("$").lower(), (arguments[1],)
    elif statement.name == "map" and len(arguments) > 1:
        values = (inner.arguments[-1] for inner in statement.inner if inner.arguments)
        yield arguments[1].lstrip("$").lower(), (arguments[0], *values)
