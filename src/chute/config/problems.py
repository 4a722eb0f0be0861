"""What is wrong with a configuration: every problem of a run, each with its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from chute.errors import ConfigError

Path = tuple[str | int, ...]
"""Keys and indices that lead to a value in a document."""


class Problem(NamedTuple):
    """One thing that is wrong in a document.

    Attributes:
        path: where.
        what: in one sentence, without a full stop.
        hint: what to do instead, or empty.
    """

    path: Path
    what: str
    hint: str = ""


class Located(NamedTuple):
    """A problem, and the line that it is on.

    Attributes:
        file: as the user named it, or as the file that includes it does.
        line: from 1; 0 where it is not known.
        path: in words, or empty.
        what: see `Problem`.
        hint: see `Problem`.
    """

    file: str
    line: int
    path: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        path = f" {self.path}:" if self.path else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}:{path} {self.what}{hint}".replace("\n", " ")


class InvalidConfig(ConfigError):
    """A configuration cannot be used.

    Attributes:
        problems: all that was found.
    """

    def __init__(self, problems: Sequence[Located]) -> None:
        """Collect `problems`, of which there is at least one."""
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def show_path(path: Path) -> str:
    """Return a path as people write it: `site[2].location[0].match`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            key = step if step.replace("-", "_").isidentifier() else f'"{step}"'
            text += f".{key}" if text else key
    return text
