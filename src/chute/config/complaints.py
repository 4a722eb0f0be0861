"""Collecting what is wrong with one file while it is resolved."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from chute.config.load import Source
from chute.config.problems import Located, Path
from chute.errors import ConfigError

P = ParamSpec("P")
T = TypeVar("T")


class Complaints:
    """Problems of one file.

    Attributes:
        source: the file.
        problems: what was found, each once.
    """

    def __init__(self, source: Source) -> None:
        """Begin with none about `source`."""
        self.source = source
        self.problems: list[Located] = []

    def add(self, path: Path, what: str, hint: str = "") -> None:
        """Complain about what is at `path`."""
        if self.source.is_incomplete(path):
            return
        located = self.source.locate(path, what, hint)
        if located not in self.problems:
            self.problems.append(located)

    def attempt(
        self, path: Path, function: Callable[P, T], *arguments: P.args, **more: P.kwargs
    ) -> T | None:
        """Return what `function` returns, or None after a complaint if it raises a ConfigError."""
        try:
            return function(*arguments, **more)
        except ConfigError as error:
            self.add(path, str(error), error.hint)
            return None
