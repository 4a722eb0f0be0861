r"""Making values safe where they are put: in a URL, in its query, in a field.

A decoded path may contain anything: a space, a `?`, a line break (`%0D%0A`). Where nginx puts it into a Location
field as it is, such a path ends the field and begins another (CRLF injection), or names another resource than was
asked for. Here it is encoded again. A value that came encoded, such as a query, keeps its escapes; only octets that
no URL may contain are encoded.
"""

from __future__ import annotations

import re

# RFC 3986: unreserved, sub-delims, ":" and "@", and the slash between segments; as `semantics.target` writes paths.
_NOT_IN_A_PATH = re.compile(rb"[^A-Za-z0-9._~!$&'()*+,;=:@/-]")
# What nginx escapes in arguments (NGX_ESCAPE_ARGS), and "+", which stands for a space in forms.
_NOT_IN_A_VALUE = re.compile(rb"[^A-Za-z0-9._~!$'()*,=:@/-]")
# Everything that RFC 3986 lets stand in a URL somewhere, with "%" of the escapes that are there already.
_NOT_IN_A_URL = re.compile(rb"[^A-Za-z0-9._~!$&'()*+,;=:@/?#%\[\]-]")
_NOT_IN_A_FIELD = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def _escape(match: re.Match[bytes]) -> bytes:
    return b"%%%02X" % match[0][0]


def encode_path_part(value: bytes) -> bytes:
    """Return decoded `value` for use in the path of a URL; slashes stay."""
    return _NOT_IN_A_PATH.sub(_escape, value)


def encode_query_value(value: bytes) -> bytes:
    """Return decoded `value` for use in a query."""
    return _NOT_IN_A_VALUE.sub(_escape, value)


def keep_within_url(value: bytes) -> bytes:
    """Return `value`, which is encoded already, with what no URL may contain encoded too."""
    return _NOT_IN_A_URL.sub(_escape, value)


def keep_within_field(value: bytes) -> bytes:
    """Return `value` without octets that would end a field line or break it (RFC 9110, 5.5): each becomes a space."""
    return _NOT_IN_A_FIELD.sub(b" ", value)
