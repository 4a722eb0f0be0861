"""Writing TOML for people: what is read first comes first, and lines stay short.

Only what a configuration consists of: tables, arrays, text, numbers and booleans; dates have no place in one. Within
a table the order is kept, except that what has a header comes after what has none, as TOML wants it. A table of few
values that needs no comments within stands on one line, like an array that fits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

Path = tuple[str | int, ...]

COLUMNS = 100

INLINE_MAX = 3
"""Entries of a table that is written on one line."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\"\\]")
_NO_LITERAL = re.compile(r"[\x00-\x1f\x7f']")
_NO_COMMENT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_ESCAPES = {
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\f": "\\f",
    "\r": "\\r",
    '"': '\\"',
    "\\": "\\\\",
}


def render(table: Mapping[str, object], comments: Mapping[Path, str] | None = None) -> str:
    """Return `table` as TOML.

    Args:
        table: values are tables, arrays, strings, numbers and booleans.
        comments: text that is written before the header or the key of a path; that of an array of tables comes before
            its first table. Elements of arrays within a line have none.

    Raises:
        TypeError: a value is none of these.
    """
    writer = _Writer(comments or {})
    writer.table((), (), table)
    return "\n".join(writer.lines).strip("\n") + "\n"


class _Writer:
    """Collects lines."""

    def __init__(self, comments: Mapping[Path, str]) -> None:
        self.lines: list[str] = []
        self._comments = comments

    def table(self, path: Path, keys: tuple[str, ...], table: Mapping[str, object]) -> None:
        """Write the contents of a table: first what fits on lines, then what has headers."""
        with_headers = []
        for key, value in table.items():
            if _has_header(value) and not self._fits((*path, key), value):
                with_headers.append((key, value))
            else:
                self._comment((*path, key))
                self._pair(key, value)
        for key, value in with_headers:
            if isinstance(value, Mapping):
                self._header((*path, key), (*keys, key), value)
            else:
                assert isinstance(value, Sequence)
                for index, element in enumerate(value):
                    self.lines.append("")
                    if index == 0:
                        self._comment((*path, key))
                    self._element((*path, key, index), (*keys, key), element)

    def _header(self, path: Path, keys: tuple[str, ...], table: Mapping[str, object]) -> None:
        # A table that holds nothing but tables needs no header of its own.
        is_needed = not table or any(
            not _has_header(value) or self._fits((*path, key), value)
            for key, value in table.items()
        )
        if is_needed or path in self._comments:
            self.lines.append("")
            self._comment(path)
            self.lines.append(f"[{_dotted(keys)}]")
        self.table(path, keys, table)

    def _element(self, path: Path, keys: tuple[str, ...], table: Mapping[str, object]) -> None:
        self._comment(path)
        self.lines.append(f"[[{_dotted(keys)}]]")
        self.table(path, keys, table)

    def _fits(self, path: Path, value: object) -> bool:
        """Whether a value is a table that is better written on one line."""
        if not isinstance(value, Mapping) or not 0 < len(value) <= INLINE_MAX:
            return False
        if any(isinstance(each, Mapping | list | tuple) for each in value.values()):
            return False
        if any((*path, key) in self._comments for key in value):
            return False
        return len(f"{_key(str(path[-1]))} = {_inline(value)}") <= COLUMNS

    def _pair(self, key: str, value: object) -> None:
        self.lines.extend(_lines(f"{_key(key)} = ", value, ""))

    def _comment(self, path: Path) -> None:
        comment = self._comments.get(path)
        if comment is not None:
            plain = (_NO_COMMENT.sub(" ", line) for line in comment.splitlines())
            self.lines.extend(f"# {line}".rstrip() for line in plain)


def _has_header(value: object) -> bool:
    if isinstance(value, Mapping):
        return True
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(isinstance(element, Mapping) for element in value)
    )


def _lines(before: str, value: object, after: str) -> list[str]:
    """Return the lines of a value; `before` begins with the indentation of all of them."""
    line = f"{before}{_inline(value)}{after}"
    if len(line) <= COLUMNS or not isinstance(value, list | tuple) or not value:
        return [line]
    indentation = before[: len(before) - len(before.lstrip(" "))]
    lines = [f"{before}["]
    for element in value:
        lines.extend(_lines(f"{indentation}    ", element, ","))
    return [*lines, f"{indentation}]{after}"]


def _dotted(keys: tuple[str, ...]) -> str:
    return ".".join(map(_key, keys))


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _inline(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        pairs = [f"{_key(key)} = {_inline(each)}" for key, each in value.items()]
        return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_inline, value))}]"
    raise TypeError(f"{value!r} has no place in a configuration")


def _text(text: str) -> str:
    """Return a string: literal where that spares escapes, as with regular expressions."""
    if ("\\" in text or '"' in text) and _NO_LITERAL.search(text) is None:
        return f"'{text}'"
    return f'"{_UNSAFE.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return _ESCAPES.get(character) or f"\\u{ord(character):04x}"
