"""Limits, memos and the two paths of HeadParser; its grammar is in tests/wire/request_heads.toml."""

from __future__ import annotations

import pytest

from chute.errors import PeerError
from chute.http1.head_parser import HeadParser
from chute.semantics.messages import RequestHead

PLAIN = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nAccept: */* \t\r\n\r\n"


def head_with(*lines: bytes, request_line: bytes = b"GET / HTTP/1.1") -> bytes:
    return b"\r\n".join([request_line, b"Host: a", *lines, b"", b""])


def status_of(parser: HeadParser, head: bytes) -> int:
    with pytest.raises(PeerError) as caught:
        parser.parse(head)
    return caught.value.status_hint


def facts(head: RequestHead) -> list[object]:
    return [getattr(head, name.lstrip("_")) for name in RequestHead.__slots__]


def test_target_of_the_longest_length_passes():
    target = b"/" + b"a" * 99
    head = HeadParser(target_bytes_max=100).parse(
        head_with(request_line=b"GET " + target + b" HTTP/1.1")
    )
    assert head.request_target == target


@pytest.mark.parametrize("length", [101, 110, 1_000, 100_000])
def test_target_above_the_limit_is_414(length: int):
    request_line = b"GET /" + b"a" * (length - 1) + b" HTTP/1.1"
    parser = HeadParser(target_bytes_max=100)
    assert status_of(parser, head_with(request_line=request_line)) == 414


def test_target_above_the_limit_is_414_for_a_known_host():
    parser = HeadParser(target_bytes_max=100)
    parser.parse(PLAIN)
    assert status_of(parser, PLAIN.replace(b"/a", b"/a" + b"a" * 99)) == 414


def test_head_of_the_longest_length_passes():
    parser = HeadParser(head_bytes_max=len(PLAIN))
    assert parser.parse(PLAIN).method == b"GET"


def test_head_above_the_limit_is_431():
    assert status_of(HeadParser(head_bytes_max=len(PLAIN) - 1), PLAIN) == 431


def test_as_many_fields_as_allowed_pass():
    parser = HeadParser(fields_max=4)
    lines = [b"X%d: 1" % number for number in range(3)]
    assert len(parser.parse(head_with(*lines)).field_lines) == 4


@pytest.mark.parametrize("name", [b"X", b"X%d"], ids=["one name", "many names"])
def test_more_fields_than_allowed_are_431(name: bytes):
    parser = HeadParser(fields_max=4)
    parser.parse(PLAIN)
    lines = [(name % number if b"%" in name else name) + b": 1" for number in range(4)]
    assert status_of(parser, head_with(*lines)) == 431


def test_second_head_of_a_known_host_takes_the_plain_path():
    """Without this the fast path could rot unnoticed: the exact one gives the same answers."""
    parser = HeadParser()
    assert parser._parse_plain(PLAIN) is None
    parser.parse(PLAIN)
    assert parser._parse_plain(PLAIN) is not None


@pytest.mark.parametrize(
    "head",
    [
        PLAIN,
        head_with(b"X: 1", b"Y: 2"),
        head_with(request_line=b"HEAD /?q HTTP/1.1"),
        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: Keep-Alive\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=["browser", "two fields", "head", "lower-case names", "post without content"],
)
def test_both_paths_give_the_same_head(head: bytes):
    parser = HeadParser()
    parser.parse(PLAIN)
    plain = parser._parse_plain(head)
    assert plain is not None
    assert facts(plain) == facts(parser._parse_exactly(head))


@pytest.mark.parametrize(
    "line",
    [
        b"Content-Length: 3",
        b"Transfer-Encoding: chunked",
        b"Expect: 100-continue",
        b"Connection: close",
        b"Connection: upgrade\r\nUpgrade: x",
        b"CONNECTION: close",
        b"HOST: a",
        b"Proxy-Connection: close",
        b"X: 1\r\nX: 2",
    ],
)
def test_weighty_head_is_left_to_the_exact_path(line: bytes):
    parser = HeadParser()
    parser.parse(PLAIN)
    assert parser._parse_plain(head_with(line)) is None


def test_invented_names_do_not_fill_the_memory():
    parser = HeadParser(fields_max=1000)
    for batch in range(20):
        lines = [b"X-%d-%d: 1" % (batch, number) for number in range(90)]
        names = [name for name, _ in parser.parse(head_with(*lines)).field_lines]
        assert names == [b"host", *(b"x-%d-%d" % (batch, number) for number in range(90))]
    assert len(parser._names) <= 512
    parser.parse(PLAIN)
    assert parser._parse_plain(PLAIN) is not None


def test_long_names_are_not_remembered():
    parser = HeadParser()
    parser.parse(PLAIN)
    before = len(parser._names)
    assert parser.parse(head_with(b"X" * 65 + b": 1")).field_lines[1][0] == b"x" * 65
    assert len(parser._names) == before


def test_invented_hosts_do_not_fill_the_memory():
    parser = HeadParser()
    for number in range(1500):
        parser.parse(b"GET / HTTP/1.1\r\nHost: h%d\r\n\r\n" % number)
    assert len(parser._hosts) <= 1024


def test_long_hosts_are_not_remembered():
    parser = HeadParser()
    parser.parse(b"GET / HTTP/1.1\r\nHost: " + b"a" * 256 + b"\r\n\r\n")
    assert parser._hosts == set()


def test_head_behind_one_that_ends_its_connection_takes_the_plain_path():
    """llhttp wants nothing behind `Connection: close`; the next peer must not pay for that."""
    parser = HeadParser()
    parser.parse(PLAIN)
    parser.parse(head_with(b"Connection: close"))
    assert parser._parse_plain(PLAIN) is not None


@pytest.mark.parametrize(
    "lines",
    [
        [(b"content-length", b"5"), (b"transfer-encoding", b"chunked")],
        [(b"content-length", b"5"), (b"content-length", b"5")],
    ],
    ids=["both framings", "two lengths"],
)
def test_smuggling_is_refused_even_if_llhttp_lets_it_pass(
    lines: list[tuple[bytes, bytes]], monkeypatch: pytest.MonkeyPatch
):
    found = [(b"host", b"a"), *lines]
    monkeypatch.setattr(HeadParser, "_field_lines", lambda _self, _head, _method: found)
    assert status_of(HeadParser(), head_with(request_line=b"POST / HTTP/1.1")) == 400


@pytest.mark.parametrize(
    "head",
    [
        b"GET /\r\nAccept: HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /sub?\r\nX: HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\nhttp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_parser_that_knows_the_host_refuses_a_request_line_without_version(head: bytes):
    """llhttp takes it for HTTP/0.9; the plain path once went on to split across the end of the line."""
    parser = HeadParser()
    parser.parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    parser.parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    with pytest.raises(PeerError) as caught:
        parser.parse(head)
    assert caught.value.status_hint == 400
