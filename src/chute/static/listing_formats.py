"""A listing for programs and for terminals: nginx's JSON, and plain text. Also what all three forms share.

The JSON is that of nginx's `autoindex_format json`, byte for byte down to its spaces and line ends, so that what reads
nginx's listings reads these. One consequence: a name that is not UTF-8 is written as the bytes it is, as nginx does,
and the document is then no valid JSON to a strict reader; every other reader gets the very name back.

Plain text is for people with a terminal and for awk: a line per entry, columns of fixed width, the name last. There
nothing is written as it is that a terminal would obey (control characters, and bytes that are no text).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Final

from chute.semantics.dates import format_http_date
from chute.static.listing import FILE, FOLDER, Item, text_of

BLOCK_BYTES: Final = 64 * 1024
"""The size a block has at least, save the last. It is passed by one piece at most."""

_NS_PER_S: Final = 1_000_000_000
_DAY_S: Final = 86_400
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_MINUTES: Final = tuple(f"{minute // 60:02}:{minute % 60:02}" for minute in range(24 * 60))
_SECONDS: Final = tuple(f"{second:02}" for second in range(60))

# RFC 8259, 7: what a string may not hold as it is. The spelling of the escapes is ngx_escape_json's.
_JSON_SPECIAL: Final = re.compile(rb'["\\\x00-\x1f]')
_JSON_ESCAPES: Final = {bytes((octet,)): b"\\u%04X" % octet for octet in range(0x20)} | {
    b'"': b'\\"',
    b"\\": b"\\\\",
    b"\n": b"\\n",
    b"\r": b"\\r",
    b"\t": b"\\t",
    b"\b": b"\\b",
    b"\f": b"\\f",
}


def in_blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Gather pieces to blocks of about `BLOCK_BYTES`."""
    gathered: list[bytes] = []
    size = 0
    for piece in pieces:
        gathered.append(piece)
        size += len(piece)
        if size >= BLOCK_BYTES:
            yield b"".join(gathered)
            gathered.clear()
            size = 0
    if gathered:
        yield b"".join(gathered)


def utc_texts(modified_ns: int) -> tuple[str, str, str] | None:
    """Return a time in UTC as the day, the minute and the second of it: `2024-01-31`, `23:59`, `07`.

    Returns:
        None when the year is none that four digits can name: file systems do hand out such times.
    """
    seconds = modified_ns // _NS_PER_S
    day = _day_text(seconds // _DAY_S)
    if day is None:
        return None
    return day, _MINUTES[seconds % _DAY_S // 60], _SECONDS[seconds % 60]


@functools.lru_cache(maxsize=4096)
def _day_text(days: int) -> str | None:
    try:
        return date.fromordinal(days + _EPOCH_ORDINAL).isoformat()
    except (ValueError, OverflowError):
        return None


def render_json(items: Sequence[Item]) -> Iterator[bytes]:
    """Write `items` as nginx's `autoindex_format json` does, in blocks."""
    return in_blocks(_json_pieces(items))


def _json_pieces(items: Sequence[Item]) -> Iterator[bytes]:
    # nginx writes `[`, a line end, and before each object but the first a comma and a line end.
    before = b"[\r\n"
    for item in items:
        yield before + _json_object(item)
        before = b",\r\n"
    yield b"\r\n]" if items else b"[\r\n]"


def _json_object(item: Item) -> bytes:
    name = _JSON_SPECIAL.sub(lambda match: _JSON_ESCAPES[match[0]], item.name)
    kind = b"file" if item.kind is FILE else b"directory" if item.kind is FOLDER else b"other"
    date = format_http_date(item.modified_ns // _NS_PER_S)
    mtime = b"" if date is None else b', "mtime":"%b"' % date
    size = b"" if item.size is None else b', "size":%d' % item.size
    return b'{ "name":"%b", "type":"%b"%b%b }' % (name, kind, mtime, size)


def render_text(items: Sequence[Item]) -> Iterator[bytes]:
    """Write `items` as plain text, in blocks: date and time (UTC), bytes, name; a slash ends the name of a folder."""
    return in_blocks(map(_text_line, items))


def _text_line(item: Item) -> bytes:
    times = utc_texts(item.modified_ns)
    modified = "-" if times is None else f"{times[0]} {times[1]}:{times[2]}"
    size = "-" if item.size is None else item.size
    slash = "/" if item.kind is FOLDER else ""
    return f"{modified:19} {size:>15}  {_for_terminal(item.name)}{slash}\n".encode()


def _for_terminal(name: bytes) -> str:
    r"""Return a name on one line, its unprintable parts as a Python literal would have them (`\n`, `\x1b`, `\xff`)."""
    text = text_of(name)
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(_literal(character) for character in text)


def _literal(character: str) -> str:
    if 0xDC80 <= ord(character) <= 0xDCFF:
        return f"\\x{ord(character) - 0xDC00:02x}"
    if character.isprintable() and character != "\\":
        return character
    return character.encode("unicode_escape").decode("ascii")
