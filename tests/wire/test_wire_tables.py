"""The wire tables: bytes in, values or a status out.

A head is judged whole, as the engine hands it over, and twice: by a parser that has seen nothing
and by one that has seen every other row. A body arrives in any pieces, so its rows run whole, byte
by byte and cut in two at every index.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from chute.errors import PeerError
from chute.http1.framing import ChunkedDecoder
from chute.http1.head_parser import HeadParser

TABLES = Path(__file__).parent
CONTENT_BYTES_MAX = 20


def rows(table: str) -> list[Any]:
    loaded = tomllib.loads((TABLES / table).read_text("utf-8"))["row"]
    return [
        pytest.param(row["input"].encode("latin-1"), row["expect"], id=row["name"])
        for row in loaded
    ]


def head_outcome(parser: HeadParser, data: bytes, keys: set[str]) -> dict[str, Any]:
    """Return what the parser says of `data`, limited to what the row names."""
    try:
        head = parser.parse(data)
    except PeerError as error:
        return {"status": error.status_hint}
    outcome = {
        "method": head.method.decode("latin-1"),
        "target": head.request_target.decode("latin-1"),
        "fields": [[part.decode("latin-1") for part in line] for line in head.field_lines],
        "minor_version": head.minor_version,
        "content_length": head.content_length,
        "is_chunked": head.is_chunked,
        "wants_close": head.wants_close,
        "expects_continue": head.expects_continue,
    }
    return {key: outcome[key] for key in outcome.keys() & (keys | {"method", "target"})}


HEADS = rows("request_heads.toml")


def numbers_as_written(expect: dict[str, Any]) -> dict[str, Any]:
    """TOML's integers end at 63 bits, so a longer length is written as a string."""
    if isinstance(expect.get("content_length"), str):
        return expect | {"content_length": int(expect["content_length"])}
    return expect


@pytest.mark.parametrize(("data", "expect"), HEADS)
def test_head_by_a_new_parser(data: bytes, expect: dict[str, Any]):
    assert head_outcome(HeadParser(), data, set(expect)) == numbers_as_written(expect)


def test_head_by_a_parser_with_a_past():
    """What one peer sent must never change the verdict on another."""
    parser = HeadParser()
    plain = b"GET /plain HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n"
    for _ in range(2):
        for row in HEADS:
            data, expect = row.values
            assert head_outcome(parser, data, set(expect)) == numbers_as_written(expect), row.id
            assert parser.parse(plain).field_lines == [(b"host", b"a"), (b"accept", b"*/*")]


def body_outcome(pieces: list[bytes]) -> dict[str, Any]:
    """Feed the pieces as they would arrive; bytes that are not used begin what is left."""
    decoder = ChunkedDecoder(CONTENT_BYTES_MAX)
    content = b""
    rest = b""
    try:
        for piece in pieces:
            views, used = decoder.feed(piece)
            content += b"".join(views)
            rest += piece[used:]
    except PeerError as error:
        return {"status": error.status_hint}
    assert decoder.is_complete
    assert decoder.content_bytes == len(content)
    return {"content": content.decode("latin-1"), "rest": rest.decode("latin-1")}


BODIES = rows("chunked_bodies.toml")


@pytest.mark.parametrize(("data", "expect"), BODIES)
def test_chunked_body_whole(data: bytes, expect: dict[str, Any]):
    assert body_outcome([data]) == expect


@pytest.mark.parametrize(("data", "expect"), BODIES)
def test_chunked_body_byte_by_byte(data: bytes, expect: dict[str, Any]):
    assert body_outcome([data[at : at + 1] for at in range(len(data))]) == expect


@pytest.mark.parametrize(("data", "expect"), BODIES)
def test_chunked_body_cut_at_every_index(data: bytes, expect: dict[str, Any]):
    for at in range(len(data) + 1):
        assert body_outcome([data[:at], data[at:]]) == expect, f"cut at {at}"
