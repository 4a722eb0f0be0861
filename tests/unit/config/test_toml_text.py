"""What the text looks like; that it says the same is in the property test."""

from __future__ import annotations

import tomllib

import pytest

from chute.config.toml_text import COLUMNS, render


def test_plain_keys_come_first_and_tables_have_headers():
    table = {
        "limits": {"a": 1, "b": 2, "c": 3, "d": 4},
        "title": "x",
        "site": [
            {"names": ["a", "b"], "location": [{"match": "/"}, {"match": "/b"}]},
            {"names": []},
        ],
        "on": True,
    }
    assert (
        render(table)
        == """\
title = "x"
on = true

[limits]
a = 1
b = 2
c = 3
d = 4

[[site]]
names = ["a", "b"]

[[site.location]]
match = "/"

[[site.location]]
match = "/b"

[[site]]
names = []
"""
    )


@pytest.mark.parametrize(
    ("table", "text"),
    [
        pytest.param({}, "\n", id="nothing"),
        pytest.param({"a": {}}, "[a]\n", id="empty table"),
        pytest.param({"a": []}, "a = []\n", id="empty array"),
        pytest.param({"a": [{}]}, "[[a]]\n", id="array of an empty table"),
        pytest.param({"a": {"b": {"c": {}}}}, "[a.b.c]\n", id="header only where it is needed"),
        pytest.param({"a": {"b": 1, "c": True}}, "a = { b = 1, c = true }\n", id="small table"),
        pytest.param({"a": {"b": [1]}}, "[a]\nb = [1]\n", id="small table with an array"),
        pytest.param({"a": [1, {"b": {}}]}, "a = [1, { b = {} }]\n", id="mixed array"),
        pytest.param({"a": (1, 2.5)}, "a = [1, 2.5]\n", id="tuple"),
        pytest.param({"a b": {"": []}}, '["a b"]\n"" = []\n', id="keys that need quotes"),
        pytest.param({"a.b": 1, "\u00e4": 2}, '"a.b" = 1\n"\u00e4" = 2\n', id="dot and umlaut"),
        pytest.param({"a": float("inf"), "b": -1e22}, "a = inf\nb = -1e+22\n", id="floats"),
    ],
)
def test_table_is_written(table: dict[str, object], text: str):
    assert render(table) == text
    assert tomllib.loads(text).keys() == table.keys()


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param("plain", '"plain"', id="plain"),
        pytest.param("it's", '"it\'s"', id="apostrophe"),
        pytest.param(r"^/(\d+)\.php$", r"'^/(\d+)\.php$'", id="regular expression"),
        pytest.param(r"it's \d", r'"it' + r"'s \\d" + '"', id="backslash and apostrophe"),
        pytest.param('say "a"', "'say \"a\"'", id="quotation marks"),
        pytest.param("a\n\\", '"a\\n\\\\"', id="line end and backslash"),
        pytest.param("\x00\x1f\x7f\t\r", '"\\u0000\\u001f\\u007f\\t\\r"', id="control characters"),
        pytest.param("\u2028\u0085", '"\u2028\u0085"', id="line ends of Unicode"),
    ],
)
def test_string_is_written_with_as_few_escapes_as_can_be(value: str, written: str):
    assert render({"a": value}) == f"a = {written}\n"
    assert tomllib.loads(f"a = {written}") == {"a": value}


def test_array_that_does_not_fit_goes_over_several_lines():
    names = [f"host-{number}.example.org" for number in range(5)]
    assert render({"names": names[:3]}).count("\n") == 1
    text = render({"names": names})
    assert text == "names = [\n" + "".join(f'    "{name}",\n' for name in names) + "]\n"


def test_array_in_an_array_is_broken_too():
    rows = [["x" * 30] * 4, [1, 2]]
    text = render({"rows": rows})
    assert tomllib.loads(text) == {"rows": rows}
    assert text.splitlines()[:3] == ["rows = [", "    [", f'        "{"x" * 30}",']
    assert max(map(len, text.splitlines())) <= COLUMNS


@pytest.mark.parametrize("length", [COLUMNS - 18, COLUMNS - 17])
def test_small_table_stands_on_a_line_only_if_it_fits(length: int):
    text = render({"table": {"k": "x" * length}})
    assert max(map(len, text.splitlines())) <= COLUMNS
    assert text.startswith("table = {" if length == COLUMNS - 18 else "[table]\n")


def test_comments_stand_before_what_they_are_about():
    table = {
        "title": "x",
        "small": {"a": 1},
        "big": {"in": {"x": []}},
        "site": [{"name": "a"}, {"name": "b"}],
    }
    comments = {
        ("title",): "about the title\n\nin two paragraphs",
        ("small",): "about the small table",
        ("big",): "about a table that needs no header",
        ("big", "in", "x"): "about a key",
        ("site",): "about all sites",
        ("site", 0): "about the first",
        ("site", 1, "name"): "about a name",
        ("nowhere",): "about nothing",
    }
    assert (
        render(table, comments)
        == """\
# about the title
#
# in two paragraphs
title = "x"
# about the small table
small = { a = 1 }

# about a table that needs no header
[big]

[big.in]
# about a key
x = []

# about all sites
# about the first
[[site]]
name = "a"

[[site]]
# about a name
name = "b"
"""
    )


def test_small_table_with_a_comment_within_gets_a_header():
    assert render({"a": {"b": 1}}, {("a", "b"): "why"}) == "[a]\n# why\nb = 1\n"


def test_comment_cannot_end_early():
    text = render({"a": 1}, {("a",): "x\x00y\x7f\rb = 2\x0bc = 3\u2028d = 4"})
    assert tomllib.loads(text) == {"a": 1}


def test_what_toml_does_not_have_is_refused():
    with pytest.raises(TypeError, match="no place in a configuration"):
        render({"a": None})
