"""Digests of representations: what Repr-Digest tells, and how it is asked for.

RFC 9530. Only SHA-256 is spoken. Both fields are dictionaries of structured fields (RFC 8941): one
malformed member makes the whole of it malformed, and what is malformed asks for nothing. So does a
preference that is no integer from 0 to 10, the only values that have a meaning.

A hash may also stand in a file beside another, as `sha256sum` and its like write it.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

WANT_DIGEST_BYTES_MAX: Final = 512
"""A longer value is disregarded unread. All algorithms that are registered fit into a quarter."""

_PREFERENCE_MAX: Final = 10
_SHA_256_BYTES: Final = 32

# Runs of characters are possessive, groups are not: see negotiation.py.
# A key has no capitals: ( lcalpha / "*" ) *( lcalpha / DIGIT / "_" / "-" / "." / "*" )
_KEY = rb"[a-z*][a-z0-9_.*-]*+"
# bare-item = sf-integer / sf-decimal / sf-string / sf-token / sf-binary / sf-boolean
_BARE_ITEM = (
    rb"(?:-?(?:[0-9]{1,12}\.[0-9]{1,3}|[0-9]{1,15}+)"
    rb'|"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"'
    rb"|[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*+"
    rb"|:[A-Za-z0-9+/=]*+:"
    rb"|\?[01])"
)
# dict-member = member-key "=" sf-integer parameters ; parameters = *( ";" *SP key [ "=" bare-item ] )
_MEMBER = re.compile(
    rb"(" + _KEY + rb")=(-?[0-9]{1,15}+)(?:;[ ]*+" + _KEY + rb"(?:=" + _BARE_ITEM + rb")?)*"
)
# sf-dictionary = dict-member *( OWS "," OWS dict-member )
_SEPARATOR = re.compile(rb"[ \t]*+,[ \t]*+")

_HEX_64 = re.compile(rb"[0-9A-Fa-f]{64}")
_LINE = re.compile(rb"(\\?)([0-9A-Fa-f]{64}) [ *](.+)")
_TAGGED_LINE = re.compile(rb"(\\?)SHA256 \((.+)\) = ([0-9A-Fa-f]{64})")
_ESCAPE = re.compile(rb"\\([nr\\])")
_ESCAPED: Final = {b"n": b"\n", b"r": b"\r", b"\\": b"\\"}


def repr_digest(sha_256: bytes) -> bytes:
    """Return the value of Repr-Digest for a hash of 32 bytes."""
    assert len(sha_256) == _SHA_256_BYTES, "a hash as bytes, not as hexadecimal digits"
    return b"sha-256=:" + base64.b64encode(sha_256) + b":"


def wants_sha_256(value: bytes | None) -> bool:
    """Whether a Want-Repr-Digest field, None if absent, asks for SHA-256: above 0."""
    return value is not None and parse_want_digest(value).get(b"sha-256", 0) > 0


def parse_want_digest(value: bytes) -> dict[bytes, int]:
    """Read Want-Repr-Digest (RFC 9530, 4).

    Returns:
        The preference by algorithm, from 0 (not acceptable) to 10; of one that is named twice, the
        last. Empty when the value is malformed or too long.
    """
    wanted: dict[bytes, int] = {}
    if len(value) > WANT_DIGEST_BYTES_MAX:
        return wanted
    # Structured fields may begin with spaces, and a dictionary may end in tabs too (RFC 8941, 4.2).
    text = value.lstrip(b" ").rstrip(b" \t")
    position = 0
    while True:
        match = _MEMBER.match(text, position)
        if match is None or not 0 <= int(match[2]) <= _PREFERENCE_MAX:
            return {}
        wanted[match[1]] = int(match[2])
        if match.end() == len(text):
            return wanted
        separator = _SEPARATOR.match(text, match.end())
        if separator is None:
            return {}
        position = separator.end()


def parse_sha256_sidecar(content: bytes, name: bytes) -> bytes | None:
    """Return the hash of `name` that a file beside it tells.

    Args:
        content: of the file: what `sha256sum` or `sha256sum --tag` has written (lines in which
            newlines, carriage returns and backslashes of names are escaped), or nothing but a hash
            in hexadecimal digits, which is then taken for that of `name`.
        name: of the file that the hash is wanted of, without a path.

    Returns:
        The 32 bytes, or None when it tells none; of two lines about `name`, what the first says.
    """
    if _HEX_64.fullmatch(content.strip()):
        return binascii.unhexlify(content.strip())
    # Not splitlines(): an older sha256sum leaves a carriage return within a name as it is.
    for line in content.split(b"\n"):
        told = _told(line.removesuffix(b"\r"))
        if told is not None and told[0].removeprefix(b"./") == name:
            return told[1]
    return None


def _told(line: bytes) -> tuple[bytes, bytes] | None:
    """Return the name and the hash of one line, or None if it tells none."""
    if tagged := _TAGGED_LINE.fullmatch(line):
        is_escaped, name, digits = tagged.groups()
    elif plain := _LINE.fullmatch(line):
        is_escaped, digits, name = plain.groups()
    else:
        return None
    if is_escaped:
        name = _ESCAPE.sub(lambda match: _ESCAPED[match[1]], name)
    return name, binascii.unhexlify(digits)
