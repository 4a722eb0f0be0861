"""Digests of representations: what Repr-Digest tells, and how it is asked for.

RFC 9530. Only SHA-256 is spoken. Both fields are dictionaries of structured fields (RFC 9651): one malformed member
makes the whole of it malformed, and what is malformed asks for nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

WANT_DIGEST_BYTES_MAX: Final = 512

_KEY = rb"[a-z*][a-z0-9_.*-]*+"
# sf-dictionary = dict-member *( OWS "," OWS dict-member ); the members here are integers from 0 to 10.
_MEMBER = re.compile(rb"(" + _KEY + rb")=(10|[0-9])(?:;[ ]*+" + _KEY + rb"(?:=[^,;\"]*+)?)*+")
_SEPARATOR = re.compile(rb"[ \t]*+,[ \t]*+")

_HEX_64 = re.compile(rb"[0-9A-Fa-f]{64}")
_LINE = re.compile(rb"(\\?)([0-9A-Fa-f]{64}) [ *](.+)")
_TAGGED_LINE = re.compile(rb"(\\?)SHA256 \((.+)\) = ([0-9A-Fa-f]{64})")
_ESCAPE = re.compile(rb"\\([nr\\])")
_ESCAPED: Final = {b"n": b"\n", b"r": b"\r", b"\\": b"\\"}


def repr_digest(sha_256: bytes) -> bytes:
    """Return the value of Repr-Digest for a hash of 32 bytes."""
    return b"sha-256=:" + base64.b64encode(sha_256) + b":"


def wants_sha_256(value: bytes | None) -> bool:
    """Whether a Want-Repr-Digest field asks for SHA-256: with a preference above 0."""
    if value is None or len(value) > WANT_DIGEST_BYTES_MAX:
        return False
    return parse_want_digest(value).get(b"sha-256", 0) > 0


def parse_want_digest(value: bytes) -> dict[bytes, int]:
    """Read Want-Repr-Digest: the preference by algorithm, from 0 (not acceptable) to 10; empty when malformed."""
    wanted: dict[bytes, int] = {}
    text = value.strip(b" ")
    position = 0
    while position < len(text):
        match = _MEMBER.match(text, position)
        if match is None:
            return {}
        wanted[match[1]] = int(match[2])
        position = match.end()
        if position == len(text):
            return wanted
        separator = _SEPARATOR.match(text, position)
        if separator is None:
            return {}
        position = separator.end()
    return {}  # empty, or with a comma at its end


def parse_sha256_sidecar(content: bytes, name: bytes) -> bytes | None:
    """Return the hash of `name` that a file beside it tells.

    Args:
        content: of the file: what `sha256sum` or `sha256sum --tag` has written, or nothing but a hash.
        name: of the file that the hash is wanted of, without a path.

    Returns:
        The 32 bytes, or None when it tells none.
    """
    if _HEX_64.fullmatch(content.strip()):
        return binascii.unhexlify(content.strip())
    for line in content.splitlines():
        tagged = _TAGGED_LINE.fullmatch(line)
        plain = _LINE.fullmatch(line)
        if tagged is not None:
            is_escaped, told, digest = tagged.groups()
        elif plain is not None:
            is_escaped, digest, told = plain.groups()
        else:
            continue
        if is_escaped:
            told = _ESCAPE.sub(lambda match: _ESCAPED[match[1]], told)
        if told.removeprefix(b"./") == name:
            return binascii.unhexlify(digest)
    return None
