"""Digests of representations (RFC 9530): what is told, what is asked for, and what a file beside another says."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chute.semantics.digests import (
    parse_sha256_sidecar,
    parse_want_digest,
    repr_digest,
    wants_sha_256,
)

HASH = hashlib.sha256(b"content").digest()
HEX = HASH.hex().encode()


def test_digest_is_a_byte_sequence():
    assert repr_digest(HASH) == b"sha-256=:" + base64.b64encode(HASH) + b":"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"sha-256=1", True),
        (b"sha-256=10", True),
        (b"sha-512=3, sha-256=10, unixsum=0", True),
        (b"sha-512=3 ,\tsha-256=1", True),
        (b"sha-256=1;a=b", True),
        (b" sha-256=1 ", True),
        (b"sha-256=1, sha-256=0", False),
        (b"sha-256=0", False),
        (b"sha-512=5", False),
        (b"sha-256", False),
        (b"sha-256=11", False),
        (b"sha-256=-1", False),
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


@given(st.binary(max_size=100))
def test_any_field_is_read(value: bytes):
    parse_want_digest(value)


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
    ],
)
def test_hash_of_the_name_is_found(content: bytes, name: bytes):
    assert parse_sha256_sidecar(content, name) == HASH


@pytest.mark.parametrize(
    "content",
    [b"", HEX[:-1], HEX + b"  b\n", HEX + b" a\n", b"x" * 64, HEX + HEX, b"SHA1 (a) = " + HEX],
)
def test_hash_of_nothing_is_none(content: bytes):
    assert parse_sha256_sidecar(content, b"a") is None


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


@given(st.binary(max_size=300), st.binary(min_size=1, max_size=10))
def test_any_file_is_read(content: bytes, name: bytes):
    found = parse_sha256_sidecar(content, name)
    assert found is None or len(found) == 32
