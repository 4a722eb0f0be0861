"""Text with variables in it: `https://$host$request_uri`, compiled once.

`$name` and `${name}` stand for a variable, `$1` to `$9` for a group of the regular expression that matched last, `$$`
for a dollar sign. A name that nobody has defined is an error when the configuration is loaded.

What becomes of a value depends on where the text goes: see `Purpose`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from chute.errors import ConfigError
from chute.exchange import Answered, Request
from chute.variables.encoding import (
    encode_path_part,
    encode_query_value,
    keep_within_field,
    keep_within_url,
)
from chute.variables.lookup import LogReader, Phase, Reader, Variable
from chute.variables.names import Names

_PART = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<group>[1-9])|\{(?P<braced>[A-Za-z0-9_]+)\}|(?P<plain>[A-Za-z_][A-Za-z0-9_]*))"
)

_PHASE_WORDS = {
    Phase.REQUEST: "while the request is routed",
    Phase.RESPONSE: "before the answer is sent",
}


class Purpose(Enum):
    """Where the text goes."""

    TEXT = "text"
    """Taken as it is: content, a value to compare, a key."""
    FIELD = "field"
    """The value of a field: it can never end the field."""
    URL = "url"
    """A URL for the client: what was decoded is encoded again, in the query as a value."""
    PATH = "path"
    """A path, decoded, as rewrites have it, with a query behind a `?`, where what was decoded is encoded."""


class Piece(NamedTuple):
    """A literal, or a reader of a variable."""

    literal: bytes
    read: Reader | None


class Template:
    """Text with variables.

    Attributes:
        text: as written.
        constant: the value, if there is no variable in it.
        phase: from when on all of its variables have values.
    """

    __slots__ = ("_pieces", "constant", "phase", "text")

    def __init__(
        self,
        text: str,
        names: Names,
        *,
        purpose: Purpose = Purpose.TEXT,
        until: Phase = Phase.REQUEST,
    ) -> None:
        """Compile `text`.

        Args:
            text: see the module.
            names: what variables there are.
            purpose: where it goes.
            until: when it is rendered.

        Raises:
            ConfigError: a variable is unknown, or has no value by then.
        """
        self.text = text
        self.phase = Phase.REQUEST
        self.constant: bytes | None = None
        self._pieces: list[Piece] = []
        if "$" not in text:
            constant = text.encode("utf-8", "surrogateescape")
            self.constant = keep_within_url(constant) if purpose is Purpose.URL else constant
            return
        is_query = False
        for literal, name in split(text):
            if name is None:
                is_query = is_query or b"?" in literal
                self._add_literal(keep_within_url(literal) if purpose is Purpose.URL else literal)
                continue
            variable = find(name, names, until)
            self.phase = max(self.phase, variable.phase)
            assert variable.read is not None, "only logs read what only logs have"
            encode = _encoder(purpose, variable, is_query=is_query)
            self._pieces.append(Piece(b"", _encoding(variable.read, encode)))
        if all(piece.read is None for piece in self._pieces):
            self.constant = b"".join([piece.literal for piece in self._pieces])

    def render(self, request: Request) -> bytes:
        """Return the text for `request`."""
        if self.constant is not None:
            return self.constant
        return b"".join(
            [literal if read is None else read(request) for literal, read in self._pieces]
        )

    def _add_literal(self, literal: bytes) -> None:
        if self._pieces and self._pieces[-1].read is None:
            literal = self._pieces.pop().literal + literal
        self._pieces.append(Piece(literal, None))


def split(text: str) -> list[tuple[bytes, str | None]]:
    """Return the literals and the names of variables in `text`, in order: `(literal, None)` or `(b"", name)`.

    Raises:
        ConfigError: a dollar sign stands for nothing.
    """
    parts: list[tuple[bytes, str | None]] = []
    position = 0
    while position < len(text):
        dollar = text.find("$", position)
        end = len(text) if dollar < 0 else dollar
        if end > position:
            parts.append((text[position:end].encode("utf-8", "surrogateescape"), None))
        if dollar < 0:
            break
        match = _PART.match(text, dollar)
        if match is None:
            raise ConfigError(
                f"the dollar sign in {text!r} begins no variable", hint="write $$ for a dollar sign"
            )
        if match["dollar"]:
            parts.append((b"$", None))
        else:
            parts.append((b"", match["group"] or match["braced"] or match["plain"]))
        position = match.end()
    return parts


def find(name: str, names: Names, until: Phase) -> Variable:
    """Return the variable `name`, which is read at `until`.

    Raises:
        ConfigError: there is none, or it has no value by then.
    """
    if name.isdigit():
        return _group(int(name))
    variable = names.find(name)
    if variable.phase > until:
        raise ConfigError(
            f"${name} is not known {_PHASE_WORDS[until]}",
            hint="it can be used in access logs"
            if variable.phase is Phase.LOG
            else "it can be used in fields and access logs",
        )
    return variable


def _group(number: int) -> Variable:
    def read(request: Request) -> bytes:
        captures = request.captures
        return captures[number] if number < len(captures) else b""

    return Variable(read, is_decoded=True)


def _encoder(
    purpose: Purpose, variable: Variable, *, is_query: bool
) -> Callable[[bytes], bytes] | None:
    if purpose is Purpose.TEXT:
        return None
    if purpose is Purpose.FIELD:
        return keep_within_field
    if purpose is Purpose.PATH:
        return encode_query_value if is_query and variable.is_decoded else None
    if not variable.is_decoded:
        return keep_within_url
    return encode_query_value if is_query else encode_path_part


def _encoding(read: Reader, encode: Callable[[bytes], bytes] | None) -> Reader:
    return read if encode is None else lambda request: encode(read(request))


def log_reader(name: str, names: Names) -> LogReader:
    """Return what reads the variable `name` when the answer has been sent.

    Raises:
        ConfigError: there is none.
    """
    variable = find(name, names, Phase.LOG)
    if variable.read_answered is not None:
        return variable.read_answered
    read = variable.read
    assert read is not None, "what only logs have is read from the answer"

    def read_request(answered: Answered) -> bytes:
        return b"" if answered.request is None else read(answered.request)

    return read_request
