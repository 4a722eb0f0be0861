"""HeadParser against a slow validator that shares nothing with it.

Invariants, for any bytes at all:
1. `parse` returns a head or raises PeerError; nothing else ever leaves it.
2. What it returns is what the validator below reads from the same bytes. The validator follows the
   ABNF with str methods and its own patterns, so a leniency of llhttp would show here.
3. A parser with a past judges as a new one does.
4. The plain path returns what the exact path does, or leaves the head to it.
"""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from chute.errors import PeerError
from chute.http1.head_parser import HeadParser
from chute.semantics.messages import RequestHead

LINE = re.compile(
    r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*"
)
START = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-\"$-~]+) HTTP/1\.([0-9])")


def read_strictly(head: bytes) -> tuple[str, str, int, list[tuple[str, str]]]:
    """Return method, target, minor version and fields of a head that is valid beyond doubt."""
    text = head.decode("latin-1")
    assert text.endswith("\r\n\r\n")
    first, *lines = text[:-4].split("\r\n")
    start = START.fullmatch(first)
    assert start, first
    fields = []
    for line in lines:
        match = LINE.fullmatch(line)
        assert match, line
        fields.append((match[1].lower(), match[2]))
    check_framing(fields, minor_version=int(start[3]))
    return start[1], start[2], min(int(start[3]), 1), fields


def check_framing(fields: list[tuple[str, str]], *, minor_version: int) -> None:
    values = {name: [v for n, v in fields if n == name] for name, _ in fields}
    assert len(values.get("host", [])) <= 1
    assert minor_version == 0 or "host" in values
    for host in values.get("host", []):
        assert re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(:[0-9]*)?", host)
    lengths = values.get("content-length", [])
    codings = values.get("transfer-encoding", [])
    assert len(lengths) + len(codings) <= 1
    assert all(re.fullmatch(r"[0-9]{1,19}", length) for length in lengths)
    assert all(coding.lower() == "chunked" and minor_version > 0 for coding in codings)


METHODS = [b"GET", b"HEAD", b"POST", b"OPTIONS", b"CONNECT", b"PRI", b"get", b"FOO", b"G T"]
TARGETS = [b"/", b"/a?b", b"*", b"a:80", b"http://a/", b"/a#b", b"/a\xff", b""]
VERSIONS = [b"HTTP/1.1"] * 4 + [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b""]
NAMES = [
    *(b"Host", b"host", b"Connection", b"connection", b"Content-Length", b"content-length"),
    *(b"Transfer-Encoding", b"Expect", b"Upgrade", b"Proxy-Connection", b"Accept", b"X", b""),
]
VALUES = [
    *(b"a", b"b:80", b"", b"5", b"6", b"5, 5", b"0", b"chunked", b"gzip, chunked", b"close"),
    *(b"keep-alive", b"upgrade", b"100-continue", b"a ", b"a\t", b"\xff"),
]
SEPARATORS = [b": "] * 8 + [b":", b" : ", b":\t", b""]
LINE_ENDS = [b"\r\n"] * 20 + [b"\n", b"\r", b"\r\n ", b"\r\r\n", b"\r\n\r\n"]

pick = st.sampled_from
field_lines = st.lists(
    st.tuples(pick(NAMES), pick(SEPARATORS), pick(VALUES), pick(LINE_ENDS)).map(b"".join),
    max_size=6,
).map(b"".join)
heads = st.builds(
    lambda method, target, version, end, host, lines: (
        method + b" " + target + b" " + version + end + host + lines + b"\r\n"
    ),
    pick(METHODS),
    pick(TARGETS),
    pick(VERSIONS),
    pick(LINE_ENDS),
    pick([b"Host: a\r\n", b"Host: a\r\n", b"host: a\r\n", b""]),
    field_lines,
)


@st.composite
def mutated_heads(draw: st.DrawFn) -> bytes:
    """Draw a head, then overwrite, insert or delete up to three octets of it."""
    head = bytearray(draw(heads))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(head)))
        octets = draw(
            st.binary(max_size=2) | pick([b"\r", b"\n", b" ", b"\t", b":", b"\0", b"\r\n"])
        )
        head[at : at + draw(st.integers(0, 2))] = octets
    return bytes(head)


def outcome(parser: HeadParser, data: bytes) -> list[object]:
    try:
        head = parser.parse(data)
    except PeerError as error:
        return [error.status_hint, str(error)]
    return [getattr(head, name.lstrip("_")) for name in RequestHead.__slots__]


def check(data: bytes) -> None:
    try:
        head = HeadParser().parse(data)
    except PeerError:
        return
    lines = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.field_lines]
    read = (head.method.decode(), head.request_target.decode(), head.minor_version, lines)
    assert read == read_strictly(data)


@given(mutated_heads())
@example(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
@example(b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
def test_accepted_head_obeys_the_strict_grammar(data: bytes):
    check(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_judged(data: bytes):
    check(data)


PAST = HeadParser()


@given(st.lists(mutated_heads(), min_size=1, max_size=5))
def test_past_of_a_parser_does_not_matter(data: list[bytes]):
    """One parser is kept over all examples, so that its past is as odd as can be."""
    for head in data:
        assert outcome(PAST, head) == outcome(HeadParser(), head)


# Heads that the plain path takes, but for one line or one octet; the drawn ones above hardly ever are.
plain_lines = st.lists(
    st.tuples(pick([*NAMES, b"Accept", b"Cookie", b"x"]), pick(VALUES)).map(
        lambda line: line[0] + b": " + line[1] + b"\r\n"
    ),
    max_size=3,
).map(b"".join)
plain_targets = pick([b"/", b"/a", b"/a?b=c", b'/"|', b"/a#b", b"/ ", b"*"])
plain_heads = st.builds(
    lambda method, target, lines: (
        method + b" " + target + b" HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n"
    ),
    pick([b"GET", b"GET", b"HEAD", b"POST"]),
    plain_targets,
    plain_lines,
)


@st.composite
def nearly_plain_heads(draw: st.DrawFn) -> bytes:
    head = bytearray(draw(plain_heads))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(head)))
        head[at : at + draw(st.integers(0, 1))] = draw(st.binary(max_size=1) | pick(LINE_ENDS))
    return bytes(head)


@given(st.lists(nearly_plain_heads(), min_size=1, max_size=4))
@example([b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n"])
def test_plain_path_agrees_with_the_exact_one(data: list[bytes]):
    for head in data:
        PAST.parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        plain = PAST._parse_plain(head)
        if plain is not None:
            facts = [getattr(plain, name.lstrip("_")) for name in RequestHead.__slots__]
            exact = HeadParser()._parse_exactly(head)
            assert facts == [getattr(exact, name.lstrip("_")) for name in RequestHead.__slots__]
