"""The twin of chute.semantics.target."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chute.errors import PeerError
from chute.semantics.target import (
    RequestTargetForm,
    Target,
    decode_path,
    encode_path,
    split_target,
)

ORIGIN, ABSOLUTE = RequestTargetForm.ORIGIN, RequestTargetForm.ABSOLUTE
AUTHORITY, ASTERISK = RequestTargetForm.AUTHORITY, RequestTargetForm.ASTERISK


@pytest.mark.parametrize(
    ("method", "request_target", "expected"),
    [
        pytest.param(b"GET", b"/", Target(ORIGIN, None, b"/", None), id="root"),
        pytest.param(b"GET", b"/a%20b", Target(ORIGIN, None, b"/a%20b", None), id="stays encoded"),
        pytest.param(b"GET", b"/a?b=c", Target(ORIGIN, None, b"/a", b"b=c"), id="query"),
        pytest.param(b"GET", b"/a?", Target(ORIGIN, None, b"/a", b""), id="empty query"),
        pytest.param(b"GET", b"/a?b?c", Target(ORIGIN, None, b"/a", b"b?c"), id="second mark"),
        pytest.param(
            b"GET", b"//evil/a", Target(ORIGIN, None, b"//evil/a", None), id="no authority"
        ),
        pytest.param(b"OPTIONS", b"/a", Target(ORIGIN, None, b"/a", None), id="OPTIONS of a path"),
        pytest.param(b"GET", b"http://h/a?b", Target(ABSOLUTE, b"h", b"/a", b"b"), id="absolute"),
        pytest.param(
            b"GET", b"HTTPS://h:1/", Target(ABSOLUTE, b"h:1", b"/", None), id="https, port"
        ),
        pytest.param(b"GET", b"http://h", Target(ABSOLUTE, b"h", b"/", None), id="empty path"),
        pytest.param(b"GET", b"http://h?b", Target(ABSOLUTE, b"h", b"/", b"b"), id="only a query"),
        pytest.param(b"GET", b"http://h:/", Target(ABSOLUTE, b"h:", b"/", None), id="empty port"),
        pytest.param(
            b"GET", b"http://[::1]:8/", Target(ABSOLUTE, b"[::1]:8", b"/", None), id="IPv6"
        ),
        pytest.param(b"CONNECT", b"h:443", Target(AUTHORITY, b"h:443", b"", None), id="authority"),
        pytest.param(
            b"CONNECT", b"[::1]:1", Target(AUTHORITY, b"[::1]:1", b"", None), id="IPv6 authority"
        ),
        pytest.param(b"OPTIONS", b"*", Target(ASTERISK, None, b"*", None), id="asterisk"),
    ],
)
def test_split_target_knows_the_four_forms(
    method: bytes, request_target: bytes, expected: Target
) -> None:
    assert split_target(method, request_target) == expected


@pytest.mark.parametrize(
    ("method", "request_target"),
    [
        pytest.param(b"GET", b"", id="empty"),
        pytest.param(b"GET", b"a/b", id="relative"),
        pytest.param(b"GET", b"*", id="asterisk without OPTIONS"),
        pytest.param(b"OPTIONS", b"**", id="two asterisks"),
        pytest.param(b"GET", b"h:443", id="authority without CONNECT"),
        pytest.param(b"CONNECT", b"/", id="CONNECT to a path"),
        pytest.param(b"CONNECT", b"h", id="CONNECT without a port"),
        pytest.param(b"CONNECT", b"h:", id="CONNECT with an empty port"),
        pytest.param(b"CONNECT", b"http://h:1/", id="CONNECT to a URI"),
        pytest.param(b"GET", b"/a#b", id="fragment"),
        pytest.param(b"GET", b"http://h/#b", id="fragment of a URI"),
        pytest.param(b"GET", b"ftp://h/", id="another scheme"),
        pytest.param(b"GET", b"http:///a", id="empty authority"),
        pytest.param(b"GET", b"http:/a", id="one slash"),
        pytest.param(b"GET", b"http://good@evil/", id="userinfo"),
        pytest.param(b"GET", b"http://h:a/", id="port in letters"),
        pytest.param(b"GET", b"http://h\\a/", id="backslash in the authority"),
        pytest.param(b"GET", b"http://a b/", id="space in the authority"),
        pytest.param(b"GET", b"http://%zz/", id="invalid escape in the authority"),
    ],
)
def test_split_target_refuses_everything_else(method: bytes, request_target: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        split_target(method, request_target)
    assert caught.value.status_hint == 400


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param(b"/", b"/", id="root"),
        pytest.param(b"/a/b.txt", b"/a/b.txt", id="plain"),
        pytest.param(b"/a/", b"/a/", id="trailing slash"),
        pytest.param(b"/a%20b", b"/a b", id="escape"),
        pytest.param(b"/%C3%a9", b"/\xc3\xa9", id="both cases of hexadecimal"),
        pytest.param(b"/%ff", b"/\xff", id="not UTF-8"),
        pytest.param(b"/a+b", b"/a+b", id="a plus is a plus"),
        pytest.param(b"/a%2Fb", b"/a/b", id="encoded slash separates"),
        pytest.param(b"/a%3fb%23c", b"/a?b#c", id="encoded delimiters are names"),
        pytest.param(b"/%252e%252e/a", b"/%2e%2e/a", id="decoded only once"),
        pytest.param(b"/a%5C..%5Cb", b"/a\\..\\b", id="backslash is ordinary"),
        pytest.param(b"//a///b", b"/a/b", id="slashes merge"),
        pytest.param(b"/%2f%2fevil", b"/evil", id="encoded slashes merge"),
        pytest.param(b"//", b"/", id="only slashes"),
        pytest.param(b"/./a/./b", b"/a/b", id="single dots"),
        pytest.param(b"/a/.", b"/a/", id="trailing single dot"),
        pytest.param(b"/a/b/..", b"/a/", id="trailing double dot"),
        pytest.param(b"/a/..", b"/", id="back to the root"),
        pytest.param(b"/a/../b", b"/b", id="down and up"),
        pytest.param(b"/a/%2e%2e/b", b"/b", id="encoded dots"),
        pytest.param(b"/a%2f.%2e%2fb", b"/b", id="all of it encoded"),
        pytest.param(b"/a//../b", b"/b", id="merged before climbing, as nginx does"),
        pytest.param(b"/a/b/../", b"/a/", id="slash behind the dots"),
        pytest.param(b"/.", b"/", id="root and a dot"),
        pytest.param(b"/.hidden/..a/...", b"/.hidden/..a/...", id="names that begin with dots"),
    ],
)
def test_t21_decode_path_normalises_after_decoding(path: bytes, expected: bytes) -> None:
    assert decode_path(path) == expected


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"*", id="asterisk"),
        pytest.param(b"a", id="relative"),
        pytest.param(b"%2Fa", id="encoded leading slash"),
        pytest.param(b"/%", id="lone percent sign"),
        pytest.param(b"/%4", id="half an escape"),
        pytest.param(b"/%zz", id="not hexadecimal"),
        pytest.param(b"/%+1", id="sign that int() would take"),
        pytest.param(b"/%%41", id="double percent sign"),
        pytest.param(b"/a%00b", id="encoded NUL"),
        pytest.param(b"/a\0b", id="bare NUL"),
        pytest.param(b"/..", id="above the root"),
        pytest.param(b"/a/../../b", id="above the root at last"),
        pytest.param(b"//..", id="an empty segment is nothing to climb from"),
        pytest.param(b"/./..", id="nor is a dot"),
        pytest.param(b"/%2e%2e/%2e%2e/etc/passwd", id="encoded dots"),
        pytest.param(b"/..%2f..%2fetc", id="encoded slashes"),
    ],
)
def test_t22_decode_path_refuses(path: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        decode_path(path)
    assert caught.value.status_hint == 400


def test_decode_path_returns_a_plain_path_itself() -> None:
    path = b"/static/site/index.html"
    assert decode_path(path) is path


PIECES = st.lists(
    st.sampled_from([b"/", b".", b"..", b"a", b"%2f", b"%2e", b"%41", b"%25", b"\\", b"%ff"])
).map(lambda pieces: b"/" + b"".join(pieces))


@given(PIECES)
def test_t21_decoded_path_has_nothing_left_to_climb(path: bytes) -> None:
    try:
        decoded = decode_path(path)
    except PeerError:
        return
    segments = decoded.split(b"/")
    assert segments[0] == b""
    assert not {b".", b".."} & set(segments)
    assert b"" not in segments[1:-1]


@given(st.lists(st.binary(min_size=1).filter(lambda name: not {0, 47} & set(name)), max_size=4))
def test_t23_encode_and_decode_are_inverse(names: list[bytes]) -> None:
    path = b"/" + b"/".join(name for name in names if name not in (b".", b".."))
    assert decode_path(encode_path(path)) == path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param(b"/", b"/", id="root"),
        pytest.param(b"", b"/", id="empty"),
        pytest.param(b"/a/b-._~!$&'()*+,;=:@/", b"/a/b-._~!$&'()*+,;=:@/", id="allowed bytes"),
        pytest.param(b"a", b"/a", id="slash is added"),
        pytest.param(b"//evil.example", b"/evil.example", id="two slashes"),
        pytest.param(b"////evil.example//x", b"/evil.example//x", id="only leading ones merge"),
        pytest.param(b"/\\evil.example", b"/%5Cevil.example", id="backslash"),
        pytest.param(b"/\t/evil.example", b"/%09/evil.example", id="tab that clients drop"),
        pytest.param(b"/a\r\nset-cookie: b", b"/a%0D%0Aset-cookie:%20b", id="line end"),
        pytest.param(b"/100%?#", b"/100%25%3F%23", id="delimiters in names"),
        pytest.param(b"/\xc3\xa9\xff", b"/%C3%A9%FF", id="beyond ASCII"),
        pytest.param(b'/"<>', b"/%22%3C%3E", id="markup"),
    ],
)
def test_t24_encode_path_is_safe_in_a_location(path: bytes, expected: bytes) -> None:
    assert encode_path(path) == expected


@given(st.binary())
def test_t24_encode_path_never_names_another_host(path: bytes) -> None:
    encoded = encode_path(path)
    assert encoded[:1] == b"/"
    assert encoded[1:2] not in (b"/", b"\\")
    assert all(0x20 < byte < 0x7F for byte in encoded)
