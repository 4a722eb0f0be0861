"""Content-Types as an operator wants them."""

from __future__ import annotations

import pytest

from chute.errors import ConfigError
from chute.static.media_types import MediaTypes, parse_media_type_override


def test_table_holds_where_nothing_was_said():
    assert MediaTypes().of(b"deep/a.html") == b"text/html; charset=utf-8"
    assert MediaTypes([(".ts", "text/typescript")]).of(b"a.html") == b"text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"a.ts", b"text/typescript"),
        (b"folder/a.TS", b"text/typescript"),
        (b"a.tar.gz", b"application/x-gtar"),
        (b"a.b.gz", b"application/gzip"),
        (b".ts", b"application/octet-stream"),
        (b"folder.ts/file", b"application/octet-stream"),
    ],
)
def test_longest_ending_wins(name: bytes, expected: bytes):
    types = MediaTypes([("ts", "text/typescript"), (".tar.gz", "application/x-gtar")])
    assert types.of(name) == expected


@pytest.mark.parametrize(
    ("charset", "expected"),
    [
        ("utf-8", b"text/plain; charset=utf-8"),
        ("ISO-8859-1", b"text/plain; charset=iso-8859-1"),
        ("", b"text/plain"),
    ],
)
def test_charset_is_that_of_text_only(charset: str, expected: bytes):
    types = MediaTypes(charset=charset)
    assert types.of(b"a.txt") == expected
    assert types.of(b"a.json") == b"application/json"


def test_override_is_taken_as_it_is():
    types = MediaTypes([("x", "text/x; charset=koi8-r")], charset="latin1")
    assert types.of(b"a.x") == b"text/x; charset=koi8-r"


@pytest.mark.parametrize(
    "text", ["ts", "=text/plain", "ts=", "ts=text", "ts=text/plain\r\nA: b", "a/b=text/plain"]
)
def test_override_that_cannot_be_meant_is_refused(text: str):
    with pytest.raises(ConfigError):
        parse_media_type_override(text)


@pytest.mark.parametrize("charset", ["utf 8", "a\r\nb", ";", "x" * 50])
def test_charset_that_is_none_is_refused(charset: str):
    with pytest.raises(ConfigError):
        MediaTypes(charset=charset)
