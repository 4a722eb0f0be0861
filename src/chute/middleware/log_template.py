"""Access-log lines of one's own: text with variables, nginx's log_format.

A line is made when the answer has ended, from the request as it was routed, the connection, and what was sent. Values
are escaped: `default` as nginx does (an empty one becomes `-`), `json` for use between the quotation marks of a JSON
string, `none` not at all but for line breaks, which would be another line.

Where a template begins with what is the same for a connection, goes on with what is the same for a second, and has
neither behind that, its lines are as cheap as those of the built-in formats (`exchange.LineFormat`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from chute.exchange import Answered, Ends
from chute.middleware.access_log import escape
from chute.variables.lookup import LogReader, find_built_in
from chute.variables.names import Names
from chute.variables.template import log_reader, split

Escape = Literal["default", "json", "none"]

_OF_THE_CONNECTION: Final = frozenset({"remote_addr", "remote_port", "server_addr"})
_OF_THE_SECOND: Final = frozenset({"time_local", "time_iso8601"})
_NEVER_THE_SAME: Final = frozenset({"msec", "request_id"})
_LINE_BREAK = re.compile(rb"[\r\n]")


class _Piece(NamedTuple):
    """A literal, or a variable."""

    literal: bytes
    name: str | None
    read: LogReader | None


class TemplateFormat:
    """Lines made from a template.

    Attributes:
        is_repeatable: see `exchange.LineFormat`.
    """

    def __init__(self, template: str, names: Names, escaping: Escape = "default") -> None:
        """Compile `template`.

        Args:
            template: text with variables; a line feed is added.
            names: what variables there are.
            escaping: see the module.

        Raises:
            ConfigError: a variable is unknown.
        """
        self._escape = _ESCAPES[escaping]
        pieces = [
            _Piece(literal, name, None if name is None else log_reader(name, names))
            for literal, name in split(template)
        ]
        pieces.append(_Piece(b"\n", None, None))
        self._peer, pieces = _take(pieces, _OF_THE_CONNECTION)
        self._moment, self._rest = _take(pieces, _OF_THE_SECOND)
        changing = _OF_THE_CONNECTION | _OF_THE_SECOND | _NEVER_THE_SAME
        self.is_repeatable = not any(
            piece.name is not None and (piece.name in changing or _may_be_anything(piece.name))
            for piece in self._rest
        )

    def peer(self, ends: Ends) -> bytes:
        """Return the beginning that is the connection's."""
        return self._render(self._peer, _about(ends))

    def moment(self, second: int) -> bytes:
        """Return the part that is the second's; which one that is, the variables find out by themselves."""
        del second
        return self._render(self._moment, _about(Ends("")))

    def rest(self, answered: Answered) -> bytes:
        """Return everything else."""
        return self._render(self._rest, answered)

    def _render(self, pieces: list[_Piece], answered: Answered) -> bytes:
        return b"".join(
            [
                literal if read is None else self._escape(read(answered))
                for literal, _, read in pieces
            ]
        )


def _take(pieces: list[_Piece], names: frozenset[str]) -> tuple[list[_Piece], list[_Piece]]:
    """Split off the beginning that has no variables but `names`; nothing, if none of them is in it."""
    count = 0
    for index, piece in enumerate(pieces):
        if piece.name in names:
            count = index + 1
        elif piece.name is not None:
            break
    return pieces[:count], pieces[count:]


def _may_be_anything(name: str) -> bool:
    """Whether the configuration has defined `name`: a map looks up whatever it likes, the client's address too."""
    return not name.isdigit() and find_built_in(name) is None


def _about(ends: Ends) -> Answered:
    """Return what is known of an answer when only its connection is."""
    return Answered(None, b"", 0, 0, 0.0, b"", is_complete=True, ends=ends)


def _escape_default(value: bytes) -> bytes:
    return escape(value) if value else b"-"


def _escape_json(value: bytes) -> bytes:
    return json.dumps(value.decode("utf-8", "backslashreplace"))[1:-1].encode()


def _escape_none(value: bytes) -> bytes:
    return _LINE_BREAK.sub(b" ", value)


_ESCAPES: dict[Escape, Callable[[bytes], bytes]] = {
    "default": _escape_default,
    "json": _escape_json,
    "none": _escape_none,
}
