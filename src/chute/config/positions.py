"""On which line of a TOML text a value is written.

`tomllib` does not tell, and neither does any library that is well kept; so when there is a problem to report, and only
then, the text, which is known to be TOML, is gone through once more for its keys. Nothing is interpreted: strings are
passed over, brackets are counted.
"""

from __future__ import annotations

import re
import tomllib

Path = tuple[str | int, ...]

_BLANK = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^,\]}\r\n#]+")
_STRINGS = (
    re.compile(r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})', re.DOTALL),
    re.compile(r"'''.*?'''(?:'{0,2})", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)
_AT_LINE = re.compile(r"\(at line ([0-9]+)")


class Positions:
    """Where the values of one text are."""

    def __init__(self, offsets: dict[Path, int], text: str) -> None:
        """Keep the offset of each path in `text`."""
        self._offsets = offsets
        self._text = text

    def line_of(self, path: Path) -> int | None:
        """Return the line, from 1, on which `path` is written; of what is not there, that of what it would be in."""
        for length in range(len(path), 0, -1):
            offset = self._offsets.get(path[:length])
            if offset is not None:
                return self._text.count("\n", 0, offset) + 1
        return 1


def locate(text: str) -> Positions:
    """Return where the values of `text`, which is TOML, are written."""
    scan = _Scan(text)
    scan.document()
    return Positions(scan.offsets, text)


def line_of_syntax_error(error: tomllib.TOMLDecodeError) -> int | None:
    """Return the line that `error` names, or None if it names none (the end of the text)."""
    line = getattr(error, "lineno", None)  # from Python 3.14 on
    if isinstance(line, int):
        return line
    match = _AT_LINE.search(str(error))
    return None if match is None else int(match[1])


class _Scan:
    """One way through a text."""

    def __init__(self, text: str) -> None:
        self.offsets: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._counts: dict[Path, int] = {}

    def document(self) -> None:
        table: Path = ()
        while True:
            self._skip(_GAP)
            if self._at >= len(self._text):
                return
            if self._text.startswith("[[", self._at):
                table = self._header(2)
            elif self._text[self._at] == "[":
                table = self._header(1)
            else:
                self._pair(table)

    def _header(self, brackets: int) -> Path:
        """Read a header and return the path of its table."""
        start = self._at
        self._at += brackets
        keys = self._keys()
        self._skip(_BLANK)
        self._at += brackets
        path: Path = ()
        for index, key in enumerate(keys):
            path = (*path, key)
            if brackets == 2 and index == len(keys) - 1:
                number = self._counts.get(path, 0)
                self._counts[path] = number + 1
                self.offsets.setdefault(path, start)
                path = (*path, number)
            elif path in self._counts:
                path = (*path, self._counts[path] - 1)
            self.offsets.setdefault(path, start)
        self.offsets[path] = start
        return path

    def _keys(self) -> list[str]:
        """Read a key, which may have dots in it."""
        keys = []
        while True:
            self._skip(_BLANK)
            start = self._at
            if self._text[start] in "\"'":
                self._string()
                keys.append(_value_of(self._text[start : self._at]))
            else:
                self._skip(_BARE_KEY)
                keys.append(self._text[start : self._at])
            self._skip(_BLANK)
            if self._text[self._at : self._at + 1] != ".":
                return keys
            self._at += 1

    def _pair(self, table: Path) -> None:
        start = self._at
        path = table
        for key in self._keys():
            path = (*path, key)
            self.offsets.setdefault(path, start)
        self._at += 1  # the equals sign
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip(_BLANK)
        first = self._text[self._at]
        if first in "\"'":
            self._string()
        elif first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        else:
            self._skip(_BARE_VALUE)

    def _array(self, path: Path) -> None:
        self._at += 1
        number = 0
        while True:
            self._skip(_GAP)
            if self._text[self._at] == "]":
                self._at += 1
                return
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self.offsets[(*path, number)] = self._at
            self._value((*path, number))
            number += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while True:
            self._skip(_GAP)
            if self._text[self._at] == "}":
                self._at += 1
                return
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._pair(path)

    def _string(self) -> None:
        for pattern in _STRINGS:
            match = pattern.match(self._text, self._at)
            if match is not None:
                self._at = match.end()
                return
        raise AssertionError("the text was TOML")

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()


def _value_of(quoted: str) -> str:
    """Return the key that is written in quotation marks."""
    (key,) = tomllib.loads(f"{quoted} = 0")
    return key
