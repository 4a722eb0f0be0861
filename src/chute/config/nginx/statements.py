"""One directive of an `nginx.conf`, and what becomes of those that cannot be carried over."""

from __future__ import annotations

import re

import msgspec

from chute.errors import ChuteError

_NEEDS_QUOTES = re.compile(r"[\s;{}\"']|^$|^#")


class Refused(ChuteError):
    """A directive cannot be carried over.

    Attributes:
        why: in words for the person whose directive it is, without a full stop.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Statement(msgspec.Struct, frozen=True):
    """One directive.

    Attributes:
        file: where it stands.
        line: on which line it begins, from 1.
        name: of the directive.
        arguments: without their quotation marks.
        block: what stands between its braces, or None if it has none.
    """

    file: str
    line: int
    name: str
    arguments: tuple[str, ...] = ()
    block: tuple[Statement, ...] | None = None

    @property
    def written(self) -> str:
        """The directive with its arguments, in one line."""
        words = [self.name, *(_quoted(argument) for argument in self.arguments)]
        if self.name == "if":
            return f"if ({' '.join(words[1:])})"
        return " ".join(words)

    def argument(self, number: int = 0) -> str:
        """Return the argument `number`.

        Raises:
            Refused: there are fewer.
        """
        if number >= len(self.arguments):
            raise Refused("an argument is missing")
        return self.arguments[number]

    @property
    def inner(self) -> tuple[Statement, ...]:
        """The directives in its block."""
        return self.block or ()


def _quoted(argument: str) -> str:
    if not _NEEDS_QUOTES.search(argument):
        return argument
    escaped = argument.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r") + '"'


class Remark(msgspec.Struct, frozen=True):
    """Something to say about a directive.

    Attributes:
        file: where it stands.
        line: on which line.
        directive: as written, with its arguments.
        why: what there is to say.
    """

    file: str
    line: int
    directive: str
    why: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.directive}: {self.why}"


class LeftOut(Remark, frozen=True):
    """A directive that was not carried over, or not with all of its meaning."""


class Note(Remark, frozen=True):
    """A directive that needs no words in chute, or that means a little less or more there."""


class Report:
    """What there is to say about the directives of one configuration, in the order of the text."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.left_out: list[LeftOut] = []
        self.notes: list[Note] = []

    def leave_out(self, statement: Statement, why: str) -> None:
        """Note that `statement` was not carried over."""
        remark = LeftOut(statement.file, statement.line, statement.written, why)
        if remark not in self.left_out:
            self.left_out.append(remark)

    def note(self, statement: Statement, why: str) -> None:
        """Note something about `statement`, which is not lost."""
        remark = Note(statement.file, statement.line, statement.written, why)
        if remark not in self.notes:
            self.notes.append(remark)
