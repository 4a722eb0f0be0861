"""What is rendered is read back as it was, and every part of it is found on its line.

Invariants:
    - `tomllib.loads(render(x)) == x` for every x of tables, arrays, strings, numbers and booleans, with and without
      comments;
    - keys and headers are in the order of x, plain ones first;
    - the line that `locate` names for a key holds the key, for an element its value, for a table its header; that stays
      so with other line ends, and is moved by as many lines as are put before the text.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chute.config.positions import Path, locate
from chute.config.toml_text import COLUMNS, render

CHARACTERS = st.characters(codec="utf-8")
BARE = st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True)
KEYS = st.one_of(BARE, st.sampled_from("ab"), st.text(CHARACTERS, max_size=6))
TEXTS = st.one_of(
    st.text(CHARACTERS, max_size=20),
    st.text("\\'\"#[]{}=,.\n\r\t x", max_size=12),
    st.text("x", min_size=80, max_size=120),
)
SCALARS = st.one_of(
    TEXTS,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=5),
        st.lists(st.dictionaries(KEYS, inner, max_size=4), max_size=3),
    ),
    max_leaves=20,
)
TABLES = st.dictionaries(KEYS, VALUES, max_size=6)


def paths_of(value: object, path: Path = ()) -> list[Path]:
    """Return the paths of `value` and of everything in it."""
    found = [path]
    if isinstance(value, dict):
        for key, each in value.items():
            found += paths_of(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            found += paths_of(each, (*path, index))
    return found


def at(value: object, path: Path) -> object:
    for step in path:
        value = value[step]  # type: ignore[index]
    return value


@given(TABLES, st.data())
@settings(max_examples=300)
def test_rendered_table_is_read_back(table: dict[str, object], data: st.DataObject):
    paths = st.sampled_from(paths_of(table))
    comments = data.draw(st.dictionaries(paths, TEXTS, max_size=4))
    assert tomllib.loads(render(table)) == table
    assert tomllib.loads(render(table, comments)) == table


@given(
    st.dictionaries(BARE, st.one_of(st.integers(), st.lists(st.integers(), min_size=1)), min_size=1)
)
def test_order_of_keys_is_kept(table: dict[str, object]):
    assert list(tomllib.loads(render(table))) == list(table)


@given(st.dictionaries(BARE, st.lists(st.text("xyz", max_size=60), max_size=6)))
def test_lines_of_arrays_are_short(table: dict[str, object]):
    assert max(map(len, render(table).splitlines()), default=0) <= COLUMNS


WORDS = st.text("abcdefgh", min_size=1, max_size=5)


@st.composite
def marked_tables(draw: st.DrawFn) -> dict[str, object]:
    """Return a table in which every key and every value occurs once, so that a line tells which it holds."""
    count = 0

    def mark(value: object) -> object:
        nonlocal count
        if isinstance(value, dict):
            marked = {}
            for key, each in value.items():
                count += 1
                marked[f"{key}<{count}>" if len(key) > 2 else f"{key}-{count}-"] = mark(each)
            return marked
        if isinstance(value, list):
            return [mark(each) for each in value]
        count += 1
        return f"{value}({count})"

    shape = st.recursive(
        st.one_of(
            WORDS, st.sampled_from(["[", "]]", "#", "{", "}", ",", "=", '"', "'", "\\", "a\nb"])
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(WORDS, inner, max_size=4),
            st.lists(st.dictionaries(WORDS, inner, min_size=1, max_size=3), max_size=3),
        ),
        max_leaves=25,
    )
    marked = mark(draw(st.dictionaries(WORDS, shape, min_size=1, max_size=5)))
    assert isinstance(marked, dict)
    return marked


class Hand:
    """Writes as no program does: dotted keys, strings of every form, arrays over lines, comments in them."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self._draw = draw

    def table(self, table: dict[str, object], above: tuple[str, ...] = ()) -> str:
        lines = []
        for key, value in table.items():
            keys = (*above, key)
            if isinstance(value, dict) and value and self._perhaps():
                lines.append(self.table(value, keys))
                continue
            dotted = f"{self._blank()}.{self._blank()}".join(map(self._key, keys))
            written = self._value(value, within_a_line=False)
            lines.append(f"{self._blank()}{dotted}{self._blank()}={self._blank()}{written}")
            lines.extend([self._one_of("", " ", "# a = 1")])
        return "\n".join(lines)

    def _value(self, value: object, *, within_a_line: bool) -> str:
        if isinstance(value, dict):
            return self._inline_table(value)
        if isinstance(value, list):
            return self._array(value, within_a_line=within_a_line)
        assert isinstance(value, str)
        return self._text(value, within_a_line=within_a_line)

    def _inline_table(self, table: dict[str, object]) -> str:
        """Return a table on a line; only within the brackets of arrays, and within strings, may lines end."""
        pairs = [
            f"{self._blank()}{self._key(key)}{self._blank()}={self._blank()}"
            f"{self._value(value, within_a_line=True)}{self._blank()}"
            for key, value in table.items()
        ]
        return f"{{{','.join(pairs)}}}"

    def _array(self, array: list[object], *, within_a_line: bool) -> str:
        parts = [
            f"{self._gap()}{self._value(each, within_a_line=within_a_line)}{self._gap()}"
            for each in array
        ]
        last = "," if parts and self._perhaps() else ""
        return f"[{','.join(parts)}{last}{self._gap()}]"

    def _text(self, text: str, *, within_a_line: bool) -> str:
        ways = [json.dumps(text)]
        if "'" not in text and "\n" not in text:
            ways.append(f"'{text}'")
        if not within_a_line:
            ways.append(f'"""\\\n  {json.dumps(text)[1:-1]}"""')
        if not within_a_line and "'" not in text:
            ways.append(f"'''\n{text}'''")
        return self._one_of(*ways)

    def _key(self, key: str) -> str:
        ways = [f"'{key}'", json.dumps(key)]
        if re.fullmatch(r"[A-Za-z0-9_-]+", key):
            ways.append(key)
        return self._one_of(*ways)

    def _blank(self) -> str:
        return self._one_of("", " ", "\t ")

    def _gap(self) -> str:
        return self._one_of("", " ", "\n", ' # a ] comment, "\n', "\n\n  # '''\n")

    def _perhaps(self) -> bool:
        return bool(self._draw(st.booleans()))

    def _one_of(self, *ways: str) -> str:
        return str(self._draw(st.sampled_from(ways)))


def holds(line: str, path: Path, value: object) -> bool:
    """Whether what `path` leads to is on `line`: its key, or, of an element, its value or its start."""
    step = path[-1]
    if isinstance(step, str):
        return step in line
    if isinstance(value, str):
        mark = value[value.index("(") :]
        return mark in line or '"""' in line or "'''" in line
    if isinstance(value, dict):
        return "{" in line or "[[" in line
    return "[" in line


def check(text: str, table: dict[str, object]) -> None:
    assert tomllib.loads(text) == table
    positions = locate(text)
    lines = text.split("\n")
    moved = locate("# one\n\n" + text)
    windows = text.replace("\n", "\r\n")
    on_windows = locate(windows)
    for path in paths_of(table)[1:]:
        number = positions.line_of(path)
        assert number is not None
        assert holds(lines[number - 1], path, at(table, path)), (path, number, text)
        assert on_windows.line_of(path) == number
        assert moved.line_of(path) == number + 2
        if not isinstance(at(table, path), dict | list):
            assert positions.line_of((*path, "missing")) == number


@given(marked_tables())
@settings(max_examples=200)
def test_every_part_of_a_rendered_table_is_on_its_line(table: dict[str, object]):
    check(render(table), table)


@given(marked_tables(), st.data())
@settings(max_examples=200)
def test_every_part_of_a_table_written_by_hand_is_on_its_line(
    table: dict[str, object], data: st.DataObject
):
    check(Hand(data.draw).table(table), table)
