"""The line of every value of a text."""

from __future__ import annotations

import tomllib

import pytest

from chute.config.positions import Path, line_of_syntax_error, locate

SITES = """\
# The first line is a comment: [[site]]
title = "a"
"quoted key" = 1
'literal.key' = 2
"caf\\u00e9" = 3
owner.name = "x"
owner . mail = "y"

[[site]]
name = "one"
  [[site.location]]
  match = "/"
  [site.location.files]
  root = "."
[[site]]  # the second
name = "two"
[[site.location]]
match = "/a"
[[site.location]]
match = "/b"
[site.location.files]
root = "b"
[limits."per client"]
rate = 5
[limits]
all = 7
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        pytest.param((), 1, id="whole document"),
        pytest.param(("title",), 2, id="key at the top"),
        pytest.param(("quoted key",), 3, id="quoted key"),
        pytest.param(("literal.key",), 4, id="literal key with a dot"),
        pytest.param(("caf\u00e9",), 5, id="key with an escape"),
        pytest.param(("owner",), 6, id="table that dotted keys make"),
        pytest.param(("owner", "name"), 6, id="dotted key"),
        pytest.param(("owner", "mail"), 7, id="dotted key with blanks"),
        pytest.param(("site",), 9, id="array of tables"),
        pytest.param(("site", 0), 9, id="first table of an array"),
        pytest.param(("site", 0, "name"), 10, id="key in the first table"),
        pytest.param(("site", 0, "location", 0), 11, id="nested array of tables"),
        pytest.param(("site", 0, "location", 0, "match"), 12, id="key in a nested table"),
        pytest.param(("site", 0, "location", 0, "files"), 13, id="table in a nested table"),
        pytest.param(("site", 0, "location", 0, "files", "root"), 14, id="key three deep"),
        pytest.param(("site", 1), 15, id="second table of an array"),
        pytest.param(("site", 1, "name"), 16, id="key in the second table"),
        pytest.param(("site", 1, "location"), 17, id="nested array begins anew"),
        pytest.param(("site", 1, "location", 0, "match"), 18, id="counting begins anew"),
        pytest.param(("site", 1, "location", 1, "match"), 20, id="second nested table"),
        pytest.param(("site", 1, "location", 1, "files", "root"), 22, id="belongs to the last"),
        pytest.param(("limits",), 25, id="header that comes after a table within it"),
        pytest.param(("limits", "per client"), 23, id="quoted header"),
        pytest.param(("limits", "per client", "rate"), 24, id="key under a quoted header"),
        pytest.param(("limits", "all"), 26, id="last key"),
        pytest.param(("site", 1, "names"), 15, id="missing key: its table"),
        pytest.param(("site", 9, "name"), 9, id="missing table: its array"),
        pytest.param(("limits", "per client", "rate", 3), 24, id="within what is no table"),
        pytest.param(("nowhere", "at", "all"), 1, id="nothing of it there: the document"),
    ],
)
def test_path_is_on_its_line(path: Path, line: int):
    assert locate(SITES).line_of(path) == line


def test_implicit_table_is_where_it_is_first_named():
    positions = locate("\n[a.b.c]\nd = 1\n[a.e]\n")
    assert [positions.line_of(path) for path in [("a",), ("a", "b"), ("a", "e")]] == [2, 2, 4]


ARRAYS = """\
plain = [1, 2]
lines = [
  "a",  # with a comment, [ and ]
  # only a comment, "
  'b', "c,]",
  [
    10,
    [20]
  ],
]
tables = [
  { name = "x", deep = { k = [1,
    2] } },
  {}, {name="y"}
]
date = [1979-05-27 07:32:00, inf,
  0x1F]
empty = []
after = 1
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        pytest.param(("plain", 1), 1, id="one line"),
        pytest.param(("lines",), 2, id="array itself"),
        pytest.param(("lines", 0), 3, id="first element"),
        pytest.param(("lines", 1), 5, id="after a comment"),
        pytest.param(("lines", 2), 5, id="two on a line"),
        pytest.param(("lines", 3), 6, id="array in an array"),
        pytest.param(("lines", 3, 0), 7, id="its element"),
        pytest.param(("lines", 3, 1, 0), 8, id="three deep"),
        pytest.param(("tables", 0), 12, id="inline table"),
        pytest.param(("tables", 0, "name"), 12, id="key of it"),
        pytest.param(("tables", 0, "deep", "k", 1), 13, id="array within goes on"),
        pytest.param(("tables", 1), 14, id="empty inline table"),
        pytest.param(("tables", 2, "name"), 14, id="third inline table"),
        pytest.param(("date", 0), 16, id="date with a blank in it"),
        pytest.param(("date", 2), 17, id="number in hexadecimal"),
        pytest.param(("empty", 0), 18, id="nothing in it: the array"),
        pytest.param(("after",), 19, id="what comes after"),
    ],
)
def test_element_is_where_it_starts(path: Path, line: int):
    assert locate(ARRAYS).line_of(path) == line


@pytest.mark.parametrize(
    "value",
    [
        pytest.param('"""\n[x]\nafter = 1 # no\n"""', id="multi-line"),
        pytest.param("'''\n[x]\nafter = 1\n'''", id="multi-line literal"),
        pytest.param('"""\nquote " two "" and \\""" end\\\\"""', id="quotes within"),
        pytest.param('"""\nends in two quotes"""""', id="quotes at the end"),
        pytest.param("'''\nends in two'''''", id="quotes at the end of a literal"),
        pytest.param('"""\\\n  joined \\\n  lines"""', id="joined lines"),
        pytest.param('""', id="empty"),
        pytest.param("''", id="empty literal"),
        pytest.param('""""""', id="empty multi-line"),
        pytest.param("''''''", id="empty multi-line literal"),
        pytest.param('"# \\" [ { \\\\"', id="escapes"),
        pytest.param("'\\'", id="backslash at the end of a literal"),
        pytest.param('["]", \'[\', """\n]"""]', id="brackets in strings in an array"),
        pytest.param("{ a = '}', b = \"{\" }", id="braces in strings in an inline table"),
        pytest.param("1979-05-27T07:32:00Z # after = 1", id="date and comment"),
        pytest.param("-1_000.5e+3", id="number"),
    ],
)
def test_value_is_passed_over(value: str):
    text = f"before = {value}\n  after = 1\n"
    tomllib.loads(text)  # the test itself is TOML
    line = text[: text.index("  after")].count("\n") + 1
    assert locate(text).line_of(("after",)) == line


def test_lines_that_end_as_on_windows_are_counted_once():
    text = 'a = """\r\nx\r\n"""\r\n\r\n[b]\r\nc = [\r\n 1,\r\n 2\r\n]\r\n'
    positions = locate(text)
    assert positions.line_of(("b",)) == 5
    assert positions.line_of(("b", "c", 1)) == 8


@pytest.mark.parametrize("text", ["", "\n\n", "# only this", "a=1", "[a]", "[[a]]", "a = [ ]"])
def test_end_of_the_text_may_come_anywhere(text: str):
    tomllib.loads(text)
    assert locate(text).line_of(()) == 1


def test_depth_that_tomllib_takes_is_taken():
    """The scan needs no more of the stack than the parser that has read the text before."""
    for open_, close in (("[", "]"), ("{a=", "}")):
        depth = 1
        while _is_parsed(f"x = {open_ * depth}0{close * depth}") and depth < 5000:
            depth += 10
        depth -= 10
        text = f"\nx = {open_ * depth}0{close * depth}"
        assert locate(text).line_of(("x",)) == 2


def _is_parsed(text: str) -> bool:
    try:
        tomllib.loads(text)
    except RecursionError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("a = 1\nb = \nc = 2\n", 2, id="no value"),
        pytest.param("a = 1\n\n[x\n", 3, id="open header"),
        pytest.param("a = 1\na = 2\nb = 3\n", 2, id="twice"),
    ],
)
def test_line_of_a_syntax_error_is_read_from_it(text: str, line: int):
    with pytest.raises(tomllib.TOMLDecodeError) as caught:
        tomllib.loads(text)
    assert line_of_syntax_error(caught.value) == line


def test_line_of_a_syntax_error_is_taken_from_its_attribute():
    """From Python 3.14 on."""
    error = tomllib.TOMLDecodeError("broken")
    error.lineno = 7  # type: ignore[attr-defined]
    assert line_of_syntax_error(error) == 7


def test_error_without_a_line_has_none():
    assert line_of_syntax_error(tomllib.TOMLDecodeError("broken (at end of document)")) is None
