"""The patterns that other modules share, against independent statements of the same grammar."""

from __future__ import annotations

import ipaddress
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chute.http1 import grammar


def test_token_has_exactly_the_octets_of_tchar():
    tchar = (string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~").encode()
    accepted = {octet for octet in range(256) if grammar.TOKEN.fullmatch(bytes([octet]))}
    assert accepted == set(tchar)


def test_token_is_not_empty():
    assert grammar.TOKEN.fullmatch(b"") is None


@pytest.mark.parametrize("value", [b"", b"a", b"a b", b"a\tb", b"\xff", b"a: b, c"])
def test_field_value_accepts(value: bytes):
    assert grammar.FIELD_VALUE.fullmatch(value)


@pytest.mark.parametrize(
    "value", [b" ", b" a", b"a ", b"\ta", b"a\t", b"a\rb", b"a\nb", b"\0", b"\x7f"]
)
def test_field_value_refuses(value: bytes):
    assert grammar.FIELD_VALUE.fullmatch(value) is None


def is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


@given(st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address))
def test_host_accepts_every_ipv6_address(address: ipaddress.IPv6Address):
    for spelling in (address.compressed, address.exploded):
        assert grammar.HOST.fullmatch(f"[{spelling}]:80".encode())


@given(st.text("01af:.", max_size=24) | st.from_regex(r"[0-9a-f:]{2,20}(\d\.\d\.\d\.\d)?"))
def test_host_judges_ipv6_as_the_standard_library_does(text: str):
    accepted = grammar.HOST.fullmatch(f"[{text}]".encode()) is not None
    assert accepted == is_ipv6(text)


@pytest.mark.parametrize("host", [b"", b":80", b"a:b", b"a:123456", b"a b", b"a/b", b"[v1.a]"])
def test_host_refuses(host: bytes):
    assert grammar.HOST.fullmatch(host) is None


@pytest.mark.parametrize(
    ("target", "accepted"),
    [
        (b"/", True),
        (b"/a?b=%20", True),
        (b'/"$', True),
        (b"/a#b", False),
        (b"a", False),
        (b"/a b", False),
        (b"/\x7f", False),
        (b"/\xe9", False),
    ],
)
def test_origin_form(target: bytes, accepted: bool):
    assert (grammar.ORIGIN_FORM.fullmatch(target) is not None) is accepted
