"""Listings for programs and for terminals."""

from __future__ import annotations

import json

import pytest

from chute.static.listing import Item, Kind
from chute.static.listing_formats import (
    BLOCK_BYTES,
    in_blocks,
    render_json,
    render_text,
    utc_texts,
)

NEW_YEAR_NS = 1_704_067_200_000_000_000
SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS


def file(name: bytes, size: int = 5, modified_ns: int = NEW_YEAR_NS) -> Item:
    return Item(name, Kind.FILE, size, modified_ns)


def as_json(*items: Item) -> bytes:
    return b"".join(render_json(items))


def as_text(*items: Item) -> bytes:
    return b"".join(render_text(items))


def test_json_is_what_nginx_writes():
    """Recorded from nginx 1.22.1, `autoindex_format json`, of a folder with these entries."""
    assert as_json(
        Item(b"dir", Kind.FOLDER, None, NEW_YEAR_NS),
        file(b"a&b"),
        Item(b"fifo", Kind.OTHER, None, NEW_YEAR_NS),
        file(b'q"u'),
    ) == (
        b"[\r\n"
        b'{ "name":"dir", "type":"directory", "mtime":"Mon, 01 Jan 2024 00:00:00 GMT" },\r\n'
        b'{ "name":"a&b", "type":"file", "mtime":"Mon, 01 Jan 2024 00:00:00 GMT", "size":5 },\r\n'
        b'{ "name":"fifo", "type":"other", "mtime":"Mon, 01 Jan 2024 00:00:00 GMT" },\r\n'
        b'{ "name":"q\\"u", "type":"file", "mtime":"Mon, 01 Jan 2024 00:00:00 GMT", "size":5 }\r\n'
        b"]"
    )


def test_json_of_nothing_is_what_nginx_writes():
    assert as_json() == b"[\r\n]"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (b"a\nb", rb"a\nb"),
        (b"tab\t", rb"tab\t"),
        (b"\r\b\f", rb"\r\b\f"),
        (b"\x01\x1b\x7f", b"\\u0001\\u001B\x7f"),
        (b"back\\slash", rb"back\\slash"),
        (b"<script>", b"<script>"),
        (b"c\xc2\x80", b"c\xc2\x80"),
        (b"e\xcc\x81", b"e\xcc\x81"),
        ("é日🚀".encode(), "é日🚀".encode()),
        (b"\xff\xfe", b"\xff\xfe"),
    ],
)
def test_t23_names_in_json_are_what_nginx_writes(name: bytes, written: bytes):
    """Recorded like the above. What is not UTF-8 stays as it is, so that the name is not lost."""
    assert b'"name":"%b"' % written in as_json(file(name))
    document = as_json(file(name)).decode("utf-8", "surrogateescape")
    assert json.loads(document)[0]["name"].encode("utf-8", "surrogateescape") == name


def test_json_leaves_out_a_date_that_no_http_date_can_be():
    (entry,) = json.loads(as_json(file(b"f", 5, 400_000 * 366 * DAY_NS)))
    assert entry == {"name": "f", "type": "file", "size": 5}


def test_text_has_a_line_per_entry():
    assert as_text(
        Item(b"folder", Kind.FOLDER, None, NEW_YEAR_NS),
        file(b"a file", 1_234_567, NEW_YEAR_NS + 3661 * SECOND_NS),
    ) == (
        b"2024-01-01 00:00:00               -  folder/\n"
        b"2024-01-01 01:01:01         1234567  a file\n"
    )


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (b"new\nline", rb"new\nline"),
        (b"\x1b[2Jgone", rb"\x1b[2Jgone"),
        (b"\xff", rb"\xff"),
        (b"a\\nb", rb"a\\nb"),
        ("\u202egpj.exe".encode(), rb"\u202egpj.exe"),
        (b"two  spaces ", b"two  spaces "),
        ("é日🚀".encode(), "é日🚀".encode()),
        (b"\xc2\x9b2J", rb"\x9b2J"),
    ],
)
def test_t24_terminal_is_told_nothing_by_a_name(name: bytes, written: bytes):
    assert as_text(file(name)).endswith(b"  " + written + b"\n")


def test_text_of_a_date_without_a_year_is_a_dash():
    assert as_text(file(b"f", 5, 400_000 * 366 * DAY_NS)).split() == [b"-", b"5", b"f"]


@pytest.mark.parametrize(
    ("modified_ns", "expected"),
    [
        (0, ("1970-01-01", "00:00", "00")),
        (-1, ("1969-12-31", "23:59", "59")),
        (NEW_YEAR_NS + 86_399 * SECOND_NS, ("2024-01-01", "23:59", "59")),
        (4_102_444_800 * SECOND_NS, ("2100-01-01", "00:00", "00")),
        (-62_135_596_800 * SECOND_NS, ("0001-01-01", "00:00", "00")),
        (-62_135_596_801 * SECOND_NS, None),
        (253_402_300_799 * SECOND_NS, ("9999-12-31", "23:59", "59")),
        (253_402_300_800 * SECOND_NS, None),
        (2**100, None),
    ],
)
def test_t19_every_time_that_a_file_can_have_is_written(
    modified_ns: int, expected: tuple[str, str, str] | None
):
    assert utc_texts(modified_ns) == expected


def test_pieces_are_gathered_to_blocks():
    blocks = list(in_blocks([b"x" * 1000] * 200))
    assert b"".join(blocks) == b"x" * 200_000
    assert all(BLOCK_BYTES <= len(block) < BLOCK_BYTES + 1000 for block in blocks[:-1])
    assert list(in_blocks([])) == []


@pytest.mark.parametrize("render", [render_json, render_text])
def test_long_listing_comes_in_blocks(render: object):
    items = [file(b"a name of some length %d" % number) for number in range(5000)]
    blocks = list(render(items))
    assert len(blocks) > 3
    assert all(len(block) < BLOCK_BYTES + 1024 for block in blocks)
