"""Content-Disposition: every client saves what it gets under the name, and nobody is fooled (T25)."""

from __future__ import annotations

import re
from email.message import Message
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


def parsed_by_the_email_package(value: bytes) -> tuple[str, str]:
    """Read the fallback and the name as a stranger does, by MIME's rules for parameters (RFC 2231)."""
    message = Message()
    message["Content-Disposition"] = value.decode("ascii")
    parameters = message.get_params(header="content-disposition")
    assert parameters is not None
    told = [told for parameter, told in parameters[1:] if parameter == "filename"]
    assert len(told) == len(parameters) - 1
    if len(told) == 1:
        return told[0], told[0]
    charset, language, text = told[1]
    assert (charset, language) == ("UTF-8", "")
    return told[0], text.encode("latin-1").decode("utf-8")


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
        (
            b"..\\..\\a",
            b"attachment; filename=\".._.._a\"; filename*=UTF-8''..%5C..%5Ca",
        ),
        (
            b"=?utf-8?q?a?=",
            b"attachment; filename=\"_utf-8?q?a?=\"; filename*=UTF-8''%3D%3Futf-8%3Fq%3Fa%3F%3D",
        ),
        (b"/", b'attachment; filename="download"'),
        (b".", b'attachment; filename="download"'),
        (b". .", b'attachment; filename="download"'),
        (b"   ", b'attachment; filename="download"'),
        (b".profile", b'attachment; filename=".profile"'),
        (b"\0", b'attachment; filename="_"'),
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


@pytest.mark.parametrize("name", ["con", "AUX.c", "nul .txt", "Com1.tar.gz", "lpt9.", "CONIN$"])
def test_t25_fallback_is_not_a_device_of_windows(name: str):
    value = attachment(name.encode())
    assert value.startswith(f'attachment; filename="_{name}"; '.encode())
    assert parsed(value) == name


@pytest.mark.parametrize("name", ["console", "com", "com10", "a.con", "nul-1", "_con"])
def test_t25_names_that_only_resemble_devices_are_told_once(name: str):
    assert attachment(name.encode()) == f'attachment; filename="{name}"'.encode()


@pytest.mark.parametrize(
    "name", ["日本語.txt", "👩‍🔬.png", "a'b(c)*.txt", "e\u0301.txt", "100% sure.txt"]
)
def test_t25_name_comes_back(name: str):
    assert parsed(attachment(name.encode())) == name


def test_t25_direction_cannot_be_turned():
    """A name with U+202E shows `gpj.exe` as `exe.jpg`."""
    assert "\u202e" not in parsed(attachment("a\u202egpj.exe".encode()))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("n" * 255, "n" * 255, id="as long as allowed"),
        pytest.param("n" * 256, "n" * 255, id="one byte too long"),
        pytest.param("n" * 400 + ".tar.gz", "n" * 252 + ".gz", id="the last of two extensions"),
        pytest.param("é" * 400 + ".txt", "é" * 125 + ".txt", id="cut through a character"),
        pytest.param("n" * 400 + ".é", "n" * 252 + ".é", id="extension beyond ASCII"),
        pytest.param("a." + "b" * 400, "a." + "b" * 253, id="long extension"),
        pytest.param("." + "b" * 400, "." + "b" * 254, id="hidden"),
        pytest.param("." * 400 + "b", "." * 254 + "b", id="dots"),
    ],
)
def test_long_name_keeps_its_extension(name: str, expected: str):
    assert parsed(attachment(name.encode())) == expected


def test_long_name_of_a_device_has_a_bounded_fallback():
    fallback, name = parsed_by_the_email_package(attachment(b"con." + b"n" * 400))
    assert fallback == "_con." + "n" * 250
    assert name == "con." + "n" * 251


def test_megabyte_is_as_short_as_any_name():
    """Shortened by one character at a time it would take hours, and run into the test's limit."""
    assert len(attachment(b"\xff" * 2**20)) < 1200


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
    assert len(parsed(value).encode()) <= NAME_BYTES_MAX


@given(st.binary(max_size=400) | st.text(max_size=80).map(str.encode))
def test_t25_a_stranger_reads_the_same(name: bytes):
    fallback, told = parsed_by_the_email_package(inline(name))
    assert told == parsed(inline(name))
    assert 0 < len(fallback) <= NAME_BYTES_MAX


@given(st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="/"), min_size=1))
def test_t25_every_name_without_controls_comes_back(name: str):
    if len(name.encode()) <= NAME_BYTES_MAX and name.strip("."):
        assert parsed(attachment(name.encode())) == name
