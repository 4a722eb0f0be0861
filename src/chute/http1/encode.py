"""A status and field lines in, the bytes of a response head out.

RFC 9112, 4 and 5. This is the last gate before the wire: a control character in any name or value,
from whichever handler, is a `MisuseError` here, so that no response can be split (RFC 9110, 5.5).
Order, spelling and repeats of the field lines are the caller's.

`render_head_parts` leaves a gap where the value of Date goes. A plan keeps both parts and joins
them around the date of the present second, so a prepared head never has to be searched or rendered
again. Date stands second for that reason alone: what varies comes early, what belongs to the answer
follows in one piece.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chute.errors import MisuseError
from chute.http1 import grammar
from chute.semantics.status import status_line

if TYPE_CHECKING:
    from collections.abc import Iterable

# Everything that no field line may contain, HTAB excepted (RFC 9110, 5.5).
_CONTROLS: Final = bytes({*range(0x20), 0x7F} - {ord("\t")})


def _render_fields(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the field lines, each with its CRLF, without the blank line."""
    lines = [b"%b: %b\r\n" % field for field in fields]
    block = b"".join(lines)
    # One pass in C over the whole block finds what a check per value would: any control character
    # beyond the CR and LF that were put in above.
    if len(block) - len(block.translate(None, _CONTROLS)) != 2 * len(lines):
        raise MisuseError("a field line contains a control character")
    return block


def _check_names(fields: Iterable[tuple[bytes, bytes]]) -> None:
    for name, _ in fields:
        if grammar.TOKEN.fullmatch(name) is None:
            raise MisuseError(f"{name!r} is no field name")


def render_head(status: int, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a complete head: status line, the field lines as given, blank line.

    Raises:
        MisuseError: a name is no token, or a value contains a control character.
    """
    fields = list(fields)
    _check_names(fields)
    return status_line(status) + _render_fields(fields) + b"\r\n"


def render_head_parts(
    status: int, fields: Iterable[tuple[bytes, bytes]], *, server: bytes = b"chute"
) -> tuple[bytes, bytes]:
    """Return everything before the value of Date and everything after it.

    Args:
        status: the status code.
        fields: what the handler gave; follows Server and Date.
        server: the value of Server; empty to send none.

    Raises:
        MisuseError: a name is no token, or a value contains a control character.
    """
    fields = list(fields)
    _check_names(fields)
    server_line = _render_fields([(b"Server", server)]) if server else b""
    before = status_line(status) + server_line + b"Date: "
    return before, b"\r\n" + _render_fields(fields) + b"\r\n"


CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""The interim response that a client may wait for before it sends content (RFC 9110, 10.1.1 and 15.2.1)."""

LAST_CHUNK: Final = b"0\r\n\r\n"
"""The chunk that ends a body in the chunked transfer coding, without trailers (RFC 9112, 7.1)."""

CHUNK_END: Final = b"\r\n"
"""What follows the content of a chunk."""


def chunk_line(count: int) -> bytes:
    """Return what precedes `count` bytes of content, more than none, in the chunked transfer coding."""
    assert count > 0, "an empty chunk would end the body"
    return b"%x\r\n" % count
