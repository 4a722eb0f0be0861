"""Digests of representations (RFC 9530): what is told, what is asked for, and what a file beside another says."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chute.semantics.digests import (
    WANT_DIGEST_BYTES_MAX,
    parse_sha256_sidecar,
    parse_want_digest,
    repr_digest,
    wants_sha_256,
)

HASH = hashlib.sha256(b"content").digest()
HEX = HASH.hex().encode()


def test_digest_is_a_byte_sequence():
    assert repr_digest(HASH) == b"sha-256=:" + base64.b64encode(HASH) + b":"


def test_digest_is_not_made_of_hexadecimal_digits():
    with pytest.raises(AssertionError):
        repr_digest(HEX)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"sha-256=1", True),
        (b"sha-256=10", True),
        (b"sha-512=3, sha-256=10, unixsum=0", True),
        (b"sha-512=3 ,\tsha-256=1", True),
        (b"sha-256=1;a=b", True),
        (b'sha-256=1;a;b=-1;c=1.5;d="x, \\"=\\\\";e=t/k:n;f=:YQ==:;  g=?0, sha-512=3', True),
        (b" sha-256=1 ", True),
        (b"sha-256=1\t", True),
        (b"sha-256=01", True),
        (b"sha-256=0, sha-256=1", True),
        (b"sha-256=1, sha-256=0", False),
        (b"sha-256=0", False),
        (b"sha-512=5", False),
        (b"sha-256", False),
        (b"sha-256=11", False),
        (b"sha-256=-1", False),
        (b"sha-256=-0", False),
        (b"sha-256=1, sha-512=11", False),
        (b"sha-256=1, sha-512=?1", False),
        (b"sha-256=1, sha-512", False),
        (b"sha-256=0000000000000001", False),
        (b"sha-256=1;", False),
        (b"sha-256=1;, sha-512=1", False),
        (b"sha-256=1;A", False),
        (b"sha-256=1;a=", False),
        (b"sha-256=1;a=\xff", False),
        (b'sha-256=1;a="b', False),
        (b'sha-256=1;a="\\b"', False),
        (b"sha-256=1 ;a", False),
        (b"sha-256 =1", False),
        (b"sha-256= 1", False),
        (b"\tsha-256=1", False),
        (b",sha-256=1", False),
        (b"sha-256=1,,sha-512=1", False),
        (b"sha-256=1\n", False),
        (b"sha-256=1.5", False),
        (b"sha-256=1,", False),
        (b"sha-256=1 sha-512=1", False),
        (b"SHA-256=1", False),
        (b"sha-256=1, \xff", False),
        (b"", False),
        (b"sha-256=1," * 100 + b"a=1", False),
        (None, False),
    ],
)
def test_digest_is_wanted_by_a_well_formed_field_only(value: bytes | None, expected: bool):
    assert wants_sha_256(value) is expected


def test_every_preference_is_read():
    assert parse_want_digest(b"sha-512=3, sha-256=10, a.b*=0") == {
        b"sha-512": 3,
        b"sha-256": 10,
        b"a.b*": 0,
    }


@pytest.mark.parametrize("value", [b"a=-1", b"sha-256=1, a=-1", b"a=11, a=1"])
def test_one_preference_out_of_range_spoils_all(value: bytes):
    assert parse_want_digest(value) == {}


@pytest.mark.parametrize(
    ("length", "expected"),
    [(WANT_DIGEST_BYTES_MAX, {b"sha-256": 1}), (WANT_DIGEST_BYTES_MAX + 1, {}), (100_000, {})],
)
def test_length_of_a_field_is_bounded(length: int, expected: dict[bytes, int]):
    assert parse_want_digest(b"sha-256=1;a=".ljust(length, b"a")) == expected


@given(st.binary(max_size=100) | st.text('sha-256=1;a="\\?:*., \t').map(str.encode))
@example(b"a=1" + b";a" * 250)
@example(b'a=1;a="' + b'\\"' * 250)
@example(b"a=1" + b';a="a"' * 80 + b"!")
def test_any_field_has_preferences_in_range_or_none(value: bytes):
    assert all(0 <= preference <= 10 for preference in parse_want_digest(value).values())


KEYS = st.from_regex(r"[a-z*][a-z0-9_.*-]{0,8}", fullmatch=True).map(str.encode)
OPTIONAL_WHITE_SPACE = st.text(" \t", max_size=2).map(str.encode)


@given(
    st.lists(st.tuples(KEYS, st.integers(0, 10), OPTIONAL_WHITE_SPACE), min_size=1, max_size=10),
)
def test_well_formed_fields_come_back(members: list[tuple[bytes, int, bytes]]):
    value = b",".join(b"%b%b=%d%b" % (space, key, number, space) for key, number, space in members)
    expected = {key: number for key, number, _ in members}
    assert parse_want_digest(value.strip(b" \t")) == expected


@pytest.mark.parametrize(
    ("content", "name"),
    [
        pytest.param(HEX, b"a", id="bare"),
        pytest.param(HEX.upper() + b"\n", b"a", id="bare, capitals"),
        pytest.param(HEX + b"  a\n", b"a", id="text"),
        pytest.param(HEX + b" *a\n", b"a", id="binary"),
        pytest.param(HEX + b"  ./a\n", b"a", id="with a dot"),
        pytest.param(b"SHA256 (a) = " + HEX + b"\n", b"a", id="tagged"),
        pytest.param(b"0" * 64 + b"  b\n" + HEX + b"  a\n", b"a", id="second line"),
        pytest.param(b"\\" + HEX + b"  a\\nb\\\\c\n", b"a\nb\\c", id="escaped"),
        pytest.param(HEX + b"  a b\n", b"a b", id="with a space"),
        pytest.param(HEX + b"   a\n", b" a", id="with a space before it"),
        pytest.param(HEX + b" * a\n", b" a", id="binary, with a space before it"),
        pytest.param(HEX + b"  a\r\n", b"a", id="lines of Windows"),
        pytest.param(HEX + b"  a\rb\n", b"a\rb", id="carriage return as it is"),
        pytest.param(b"\\" + HEX + b"  a\\rb\n", b"a\rb", id="carriage return escaped"),
        pytest.param(HEX + b"  a\\nb\n", b"a\\nb", id="backslash of a line without escapes"),
        pytest.param(b"\\SHA256 (a\\nb) = " + HEX, b"a\nb", id="tagged and escaped"),
        pytest.param(b"SHA256 (a) = b) = " + HEX, b"a) = b", id="tagged, with its own tail within"),
        pytest.param(HEX + b"  \xff\n", b"\xff", id="not UTF-8"),
        pytest.param(b"# note\n\n" + HEX + b"  a\n", b"a", id="behind lines of another kind"),
        pytest.param(
            HEX + b"  a\n" + b"0" * 64 + b"  a\n", b"a", id="the first of two lines about it"
        ),
    ],
)
def test_hash_of_the_name_is_found(content: bytes, name: bytes):
    assert parse_sha256_sidecar(content, name) == HASH


@pytest.mark.parametrize(
    "content",
    [
        b"",
        HEX[:-1],
        HEX + b"  b\n",
        HEX + b" a\n",
        HEX + b"  sub/a\n",
        HEX + b"  ../a\n",
        HEX + b"  A\n",
        HEX + b"  \n\n" + HEX + b" *\n",
        HEX + b"0  a\n",
        b" " + HEX + b"  a\n",
        b"x" * 64,
        HEX + HEX,
        HEX + b"\n" + HEX + b"\n",
        b"SHA1 (a) = " + HEX,
        b"SHA256 (a) = " + HEX[:-1],
        b"SHA256 (a) = " + HEX + b"0",
        b"SHA256 (b) = " + HEX,
    ],
)
def test_hash_of_nothing_is_none(content: bytes):
    assert parse_sha256_sidecar(content, b"a") is None


def test_lines_without_a_name_are_about_nothing():
    assert parse_sha256_sidecar(b"note\n" + HEX + b"  ./\n" + HEX + b"  b\n", b"c") is None
    assert parse_sha256_sidecar(b"note\n", b"") is None


@pytest.mark.parametrize("options", [[], ["--tag"], ["--binary"]])
def test_what_sha256sum_writes_is_read(tmp_path: Path, options: list[str]):
    names = ["plain", "with space", "new\nline", "back\\slash", "é"]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    told = subprocess.run(
        ["sha256sum", *options, "--", *names], cwd=tmp_path, capture_output=True, check=True
    )
    for name in names:
        expected = hashlib.sha256(name.encode()).digest()
        assert parse_sha256_sidecar(told.stdout, name.encode()) == expected, name


FILE_NAMES = st.binary(min_size=1, max_size=20).filter(lambda name: not {0, ord("/")} & {*name})


def line_of_sha256sum(name: bytes, digest: bytes, is_tagged: bool) -> bytes:
    """Write what coreutils writes."""
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    start = b"\\" if escaped != name else b""
    digits = digest.hex().encode()
    if is_tagged:
        return b"%bSHA256 (%b) = %b\n" % (start, escaped, digits)
    return b"%b%b  %b\n" % (start, digits, escaped)


@given(st.lists(FILE_NAMES, min_size=1, max_size=8, unique=True), st.booleans())
def test_every_name_is_told_its_own_hash(names: list[bytes], is_tagged: bool):
    hashes = {name: hashlib.sha256(name).digest() for name in names}
    content = b"".join(line_of_sha256sum(name, hashes[name], is_tagged) for name in names)
    assert {name: parse_sha256_sidecar(content, name) for name in names} == hashes


@given(st.binary(max_size=300), st.binary(min_size=1, max_size=10))
def test_any_file_is_read(content: bytes, name: bytes):
    found = parse_sha256_sidecar(content, name)
    assert found is None or len(found) == 32
