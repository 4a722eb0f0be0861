"""Values are safe where they are put, whatever they are."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chute.variables.encoding import (
    encode_path_part,
    encode_query_value,
    keep_within_field,
    keep_within_url,
)

ALL = bytes(range(256))

# RFC 3986: pchar and "/"; query; and any character of a URL at all.
PATH = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-F]{2})*")
VALUE = re.compile(rb"(?:[A-Za-z0-9._~!$'()*,;=:@/-]|%[0-9A-F]{2})*")
URL = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=:@/?#%\[\]-]*")


@given(st.binary())
def test_path_is_one_and_means_what_it_was(value: bytes):
    encoded = encode_path_part(value)
    assert PATH.fullmatch(encoded)
    assert unquote_to_bytes(encoded) == value


@given(st.binary())
def test_value_stays_one_value_and_means_what_it_was(value: bytes):
    encoded = encode_query_value(value)
    assert VALUE.fullmatch(encoded)
    assert not set(encoded) & set(b"&+#; \r\n")
    assert unquote_to_bytes(encoded) == value


@given(st.binary())
def test_encoded_value_has_nothing_that_no_url_has(value: bytes):
    assert URL.fullmatch(keep_within_url(value))


@given(st.binary())
def test_what_is_within_a_url_already_is_not_touched_again(value: bytes):
    once = keep_within_url(value)
    assert keep_within_url(once) == once


@pytest.mark.parametrize("value", [b"a%20b", b"%2F%5c", b"x=1&y=[2]", b"#a?b"])
def test_escapes_that_were_sent_are_kept(value: bytes):
    assert keep_within_url(value) == value


@given(st.binary())
def test_field_value_never_ends_its_field(value: bytes):
    kept = keep_within_field(value)
    assert len(kept) == len(value)
    assert not set(kept) & (set(range(32)) - {9} | {127})


def test_only_controls_are_taken_from_a_field():
    kept = keep_within_field(ALL)
    controls = {*range(9), *range(10, 32), 127}
    assert kept == bytes(32 if octet in controls else octet for octet in range(256))


@pytest.mark.parametrize(
    "attack",
    [b"/x\r\nSet-Cookie: a=1", b"/x\nA: b", b"/x\rA: b", b"/\\evil.example", b"/x\x00", b"/\xe5\x98\x8a"],
)  # fmt: skip
def test_t24_line_breaks_and_backslashes_are_encoded_in_a_url(attack: bytes):
    for encode in (encode_path_part, encode_query_value, keep_within_url):
        encoded = encode(attack)
        assert not re.search(rb"[\r\n\0\\\x80-\xff]", encoded)
