"""Content-Disposition: every client saves what it gets under the name, and nobody is fooled (T25)."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chute.semantics.content_disposition import NAME_BYTES_MAX, NAMELESS, attachment, inline


def parsed(value: bytes) -> str:
    """Read the name as RFC 6266, 4.3 has it: `filename*` if there is one, else `filename`."""
    extended = re.search(rb"; filename\*=UTF-8''([^;]+)$", value)
    if extended is not None:
        return unquote(extended[1].decode("ascii"), errors="strict")
    plain = re.search(rb'; filename="([^"]*)"', value)
    assert plain is not None
    return plain[1].decode("ascii")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"a.txt", b'attachment; filename="a.txt"'),
        (b"a b;c.txt", b'attachment; filename="a b;c.txt"'),
        (b'a"b.txt', b"attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        (b"a\\b.txt", b"attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%5Cb.txt"),
        (b"a%41.txt", b"attachment; filename=\"a_41.txt\"; filename*=UTF-8''a%2541.txt"),
        (
            "naïve.txt".encode(),
            b"attachment; filename=\"na_ve.txt\"; filename*=UTF-8''na%C3%AFve.txt",
        ),
        (b"dir/a.txt", b'attachment; filename="a.txt"'),
        (b"a\r\nX-Evil: y", b'attachment; filename="a__X-Evil: y"'),
        (b"", b'attachment; filename="download"'),
        (b"..", b'attachment; filename="download"'),
        (b"dir/", b'attachment; filename="download"'),
        (b"\xff.bin", b"attachment; filename=\"_.bin\"; filename*=UTF-8''%EF%BF%BD.bin"),
    ],
)
def test_t25_name_is_told_in_ascii_and_as_it_is(name: bytes, expected: bytes):
    assert attachment(name) == expected


def test_inline_is_shown():
    assert inline(b"a.txt") == b'inline; filename="a.txt"'


@pytest.mark.parametrize(
    "name", ["日本語.txt", "👩‍🔬.png", "a'b(c)*.txt", "e\u0301.txt", "100% sure.txt"]
)
def test_t25_name_comes_back(name: str):
    assert parsed(attachment(name.encode())) == name


def test_t25_direction_cannot_be_turned():
    """A name with U+202E shows `gpj.exe` as `exe.jpg`."""
    assert "\u202e" not in parsed(attachment("a\u202egpj.exe".encode()))


def test_long_name_keeps_its_extension():
    name = parsed(attachment(b"n" * 400 + b".tar.gz"))
    assert len(name) == NAME_BYTES_MAX
    assert name.endswith(".gz")
    assert len(parsed(attachment("é".encode() * 400)).encode()) <= NAME_BYTES_MAX


@given(st.binary(max_size=400))
def test_t25_any_bytes_make_one_field_of_printable_ascii(name: bytes):
    value = attachment(name)
    assert re.fullmatch(rb"[\x20-\x7e]+", value)
    match = re.fullmatch(
        rb'attachment; filename="([^"\\%/]*)"(; filename\*=UTF-8\'\'[!-~]+)?', value
    )
    assert match is not None
    assert "/" not in parsed(value)
    assert parsed(value).strip(". ") or parsed(value) == NAMELESS
