"""What the tables of a document say about themselves."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.inspect import StructType

from chute.config import document
from chute.config.descriptions import (
    REQUIRED,
    Place,
    any_of,
    describe,
    first_places,
    in_words,
    keys_of,
    places,
    show_header,
    summary,
)
from chute.config.document import Document, FilesTable, LocationTable, Scope, SiteTable, Table

TABLES = [place.table for place in first_places()]


def fields_of(table: type[msgspec.Struct]) -> dict[str, msgspec.inspect.Field]:
    info = msgspec.inspect.type_info(table)
    assert isinstance(info, StructType)
    return {field.name: field for field in info.fields}


def test_every_table_of_the_module_has_a_place():
    tables = {each for each in vars(document).values() if isinstance(each, type)}
    assert set(TABLES) == {each for each in tables if issubclass(each, Table)} - {Table}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_every_key_is_described_and_no_description_is_left_over(table: type[msgspec.Struct]):
    assert set(describe(table)) == set(fields_of(table))
    assert all(describe(table).values())
    assert summary(table)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_description_says_required_where_the_type_does(table: type[msgspec.Struct]):
    marked = {key for key, text in describe(table).items() if text.startswith(REQUIRED)}
    assert marked == {field.name for field in fields_of(table).values() if field.required}
    assert not any(key.text.startswith(REQUIRED) for key in keys_of(table).values())


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_description_is_one_line_whose_backticks_are_closed(table: type[msgspec.Struct]):
    for text in (*describe(table).values(), summary(table)):
        assert text == " ".join(text.split())
        assert text.count("`") % 2 == 0


def test_description_goes_on_over_several_lines():
    assert describe(FilesTable)["try_files"] == (
        'what is tried for a path, in this order: `"$uri"`, `"$uri.html"`, `"$uri/"`, another path beneath the'
        " root with variables in it, the name of a file"
        ' beneath the root for navigations, `"@name"` for a location, `"=404"` for a status'
    )


def test_description_of_a_wider_table_is_found():
    assert describe(LocationTable)["root"] == describe(Scope)["root"]


def test_own_keys_come_before_inherited_ones():
    keys = list(keys_of(SiteTable).values())
    assert [key.is_inherited for key in keys] == sorted(key.is_inherited for key in keys)
    assert [keys[0].name, keys[-1].name] == ["names", "log"]


def test_summary_has_no_attributes_in_it():
    assert summary(Document) == "A configuration file."


def test_first_sentence_ends_at_a_full_stop_before_a_space():
    key = keys_of(Document)["include"]
    assert key.first_sentence == (
        'other files that belong to this one, such as `["sites/*.toml"]`, relative to it'
    )
    assert key.text.startswith(key.first_sentence + ". A pattern")


def test_places_are_in_the_order_of_the_document():
    headers = [place.header for place in places()]
    first = ["", "[limits]", "[listener.NAME]", "[log_format.NAME]", "[map.NAME]"]
    assert headers[:5] == first
    assert "[[site.location.log]]" in headers
    assert "[site.location.rewrite.redirect]" in headers
    assert not any("location.location" in header for header in headers)
    assert len(set(headers)) == len(headers)


def test_header_quotes_what_is_no_bare_key():
    assert show_header(("listener", "my web")) == "[listener.'my web']"
    assert show_header(("site", "rewrite"), is_repeated=True) == "[[site.rewrite]]"
    assert Place((), is_repeated=False, table=Document).header == ""


def test_words():
    assert any_of(["a"]) == "a"
    assert any_of(["a", "b"]) == "a or b"
    assert any_of(["a", "b", "c"]) == "a, b or c"


@pytest.mark.parametrize(
    ("table", "key", "words"),
    [
        (FilesTable, "listing", "true or false"),
        (FilesTable, "upload", "true, false or a table"),
        (FilesTable, "index", "an array of strings"),
        (FilesTable, "valid", "a duration"),
        (FilesTable, "sendfile_min", "a size"),
        (FilesTable, "limit_rate", "a rate"),
        (FilesTable, "compress_level", "a table of integers"),
        (FilesTable, "field", "a table of tables"),
        (FilesTable, "sendfile", '"auto", "off" or "on"'),
        (SiteTable, "log", "a string or an array of tables"),
        (LocationTable, "respond", "an integer, a string or a table"),
        (Document, "workers", 'an integer or "auto"'),
        (Document, "log_format", "a table of strings or tables"),
    ],
)
def test_what_a_key_takes_in_words(table: type[msgspec.Struct], key: str, words: str):
    assert in_words(keys_of(table)[key].kinds) == words


def test_literal_words_can_be_quoted():
    assert in_words(keys_of(Document)["workers"].kinds, quote="`") == 'an integer or `"auto"`'
    assert in_words(keys_of(FilesTable)["spa"].kinds, quote="`") == "`true` or `false`"
