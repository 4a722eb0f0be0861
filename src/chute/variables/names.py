"""The variables of one configuration: those that every request has, and those that it adds itself."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable

from chute.errors import ConfigError
from chute.exchange import Request
from chute.variables.lookup import BUILT_IN, FAMILIES, Phase, Variable, find_built_in

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Names:
    """What `$name` means in one configuration.

    Everything that a configuration adds is announced first (`add_set`, `add_captures`, `add_lazy`), so that the order
    in which things are written does not matter; after that, an unknown name is an error and not an empty value.
    """

    def __init__(self) -> None:
        """Begin with those that every request has."""
        self._added: dict[str, Variable] = {}
        self._lazy: dict[str, Callable[[], Variable]] = {}

    def add_set(self, name: str) -> None:
        """Announce a variable that is set for a request; it is empty until then.

        Raises:
            ConfigError: nothing can have that name, or something else has.
        """
        self._check_new(name, may_be_set=True)
        self._added[name] = _stored(name, is_decoded=False)

    def add_captures(self, pattern: re.Pattern[bytes]) -> None:
        """Announce the named groups of a regular expression.

        Raises:
            ConfigError: something else has the name of one.
        """
        for name in pattern.groupindex:
            self._check_new(name, may_be_set=True)
            self._added[name] = _stored(name, is_decoded=True)

    def add_lazy(self, name: str, make: Callable[[], Variable]) -> None:
        """Announce a variable that `make` makes when it is first looked up: its own text may name others.

        Raises:
            ConfigError: nothing can have that name, or something else has.
        """
        self._check_new(name, may_be_set=False)
        self._lazy[name] = make

    def find(self, name: str) -> Variable:
        """Return the variable `name`.

        Raises:
            ConfigError: there is none, or it is defined by itself.
        """
        known = self._added.get(name) or find_built_in(name)
        if known is not None:
            return known
        make = self._lazy.get(name)
        if make is None:
            raise ConfigError(f"there is no variable ${name}", hint=self._hint(name))
        self._lazy[name] = _refuse_cycle(name)
        variable = make()
        self._added[name] = variable
        return variable

    @property
    def known(self) -> list[str]:
        """All names but those of families, in order."""
        return sorted({*BUILT_IN, *self._added, *self._lazy})

    def _check_new(self, name: str, *, may_be_set: bool) -> None:
        if _NAME.fullmatch(name) is None:
            raise ConfigError(
                f"{name!r} is no name of a variable", hint="use letters, digits and underscores"
            )
        if find_built_in(name) is not None:
            raise ConfigError(
                f"${name} has a meaning already and cannot be changed", hint="choose another name"
            )
        is_taken = name in self._lazy or (name in self._added and not may_be_set)
        if is_taken:
            raise ConfigError(f"${name} is defined twice", hint="give one of the two another name")

    def _hint(self, name: str) -> str:
        if name == "request_body":
            return "the content of a request is not kept"
        if name.startswith("sent_http_"):
            return "the server adds this field when the answer is on its way"
        near = difflib.get_close_matches(name, self.known, n=1)
        if near:
            return f"did you mean ${near[0]}?"
        if any(name.startswith(family.rstrip("_")) for family in FAMILIES):
            return "name what you mean, for example $http_user_agent, $arg_page or $cookie_session"
        return "set it, define a [map], or write $$ for a dollar sign"


def _stored(name: str, *, is_decoded: bool) -> Variable:
    def read(request: Request) -> bytes:
        return b"" if request.variables is None else request.variables.get(name, b"")

    return Variable(read, Phase.REQUEST, is_decoded)


def _refuse_cycle(name: str) -> Callable[[], Variable]:
    def refuse() -> Variable:
        raise ConfigError(f"${name} is defined by itself", hint="break the circle of maps")

    return refuse


def remember_captures(request: Request, match: re.Match[bytes]) -> None:
    """Make the groups of `match` known as `$1` and by their names."""
    request.captures = (match[0], *(group or b"" for group in match.groups()))
    if match.re.groupindex:
        if request.variables is None:
            request.variables = {}
        for name, number in match.re.groupindex.items():
            request.variables[name] = request.captures[number]
