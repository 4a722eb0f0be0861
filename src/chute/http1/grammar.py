"""The grammar of the wire, compiled once: every pattern below its ABNF.

RFC 9110, 5; RFC 9112, 3, 5 and 7.1; RFC 3986, 3.2. The patterns are what the slow, exact path of
`head_parser`, the framing decoders and the encoder agree on. They take bytes and are written for
`fullmatch`; none of them can backtrack more than linearly, for the peer chooses the input.

Absent on purpose: lists, quoted strings and parameters. They belong to field values and so to
`semantics`.
"""

# ruff: noqa: ERA001 -- quoted ABNF looks like code.

from __future__ import annotations

import re

# token = 1*tchar
# tchar = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "."
#       / "^" / "_" / "`" / "|" / "~" / DIGIT / ALPHA
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
TOKEN = re.compile(_TOKEN)

# field-value   = *field-content
# field-content = field-vchar [ 1*( SP / HTAB / field-vchar ) field-vchar ]
# field-vchar   = VCHAR / obs-text
# White space at either end is no part of the value; whoever matches has removed it.
_FIELD_OCTET = rb"[\t\x20-\x7e\x80-\xff]"
FIELD_VALUE = re.compile(rb"(?![\t ])" + _FIELD_OCTET + rb"*(?<![\t ])")

# field-line = field-name ":" OWS field-value OWS
# With its CRLF, for the trailer section; obs-fold is no part of it.
FIELD_LINE = re.compile(_TOKEN + rb":" + _FIELD_OCTET + rb"*\r\n")

# request-line = method SP request-target SP HTTP-version CRLF
# HTTP-version = %s"HTTP" "/" DIGIT "." DIGIT
# The groups are method, request-target, major and minor version. The target is VCHAR here; the
# forms below say more.
REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([!-~]+) HTTP/([0-9])\.([0-9])\r\n")

# IPv6address, IPv4address: RFC 3986, 3.2.2.
_H16 = rb"[0-9A-Fa-f]{1,4}"
_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_LS32 = rb"(?:" + _H16 + rb":" + _H16 + rb"|" + _OCTET + rb"(?:\." + _OCTET + rb"){3})"
_H16_COLON = rb"(?:" + _H16 + rb":)"


def _elided(before: int, after: bytes) -> bytes:
    """Return the pattern for `[ *before( h16 ":" ) h16 ] "::" after`."""
    return rb"(?:" + _H16_COLON + rb"{0,%d}" % before + _H16 + rb")?::" + after


# IPv6address =                            6( h16 ":" ) ls32
#             /                       "::" 5( h16 ":" ) ls32
#             / [               h16 ] "::" 4( h16 ":" ) ls32
#             / [ *1( h16 ":" ) h16 ] "::" 3( h16 ":" ) ls32
#             / [ *2( h16 ":" ) h16 ] "::" 2( h16 ":" ) ls32
#             / [ *3( h16 ":" ) h16 ] "::"    h16 ":"   ls32
#             / [ *4( h16 ":" ) h16 ] "::"              ls32
#             / [ *5( h16 ":" ) h16 ] "::"              h16
#             / [ *6( h16 ":" ) h16 ] "::"
_IPV6 = rb"|".join(
    [
        _H16_COLON + rb"{6}" + _LS32,
        rb"::" + _H16_COLON + rb"{5}" + _LS32,
        *(_elided(4 - more, _H16_COLON + rb"{%d}" % more + _LS32) for more in (4, 3, 2, 1, 0)),
        _elided(5, _H16),
        _elided(6, b""),
    ]
)

# host       = IP-literal / IPv4address / reg-name
# IP-literal = "[" ( IPv6address / IPvFuture ) "]"
# reg-name   = *( unreserved / pct-encoded / sub-delims )
# port       = *DIGIT
# Stricter in three ways. A host is not empty: RFC 9110, 4.2.1 makes every recipient refuse an http
# URI without one. IPvFuture has no member yet. A port of more than five digits names no port.
_REG_NAME = rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+"
_HOST = rb"(?:\[(?:" + _IPV6 + rb")\]|" + _REG_NAME + rb")"
HOST = re.compile(_HOST + rb"(?::[0-9]{0,5})?")

# request-target = origin-form / absolute-form / authority-form / asterisk-form
# origin-form    = absolute-path [ "?" query ]
#
# Two readings of our own. "#" is refused: a target has no fragment, and peers disagree on what one
# would mean. The other printable octets that RFC 3986 wants encoded ("<>\^`{|}) pass, since
# browsers send some of them in queries.
ORIGIN_FORM = re.compile(rb"/[!\"$-~]*")

# absolute-form = absolute-URI
# Its authority has no userinfo here (RFC 9110, 4.2.4), and its scheme is one that we serve.
ABSOLUTE_FORM = re.compile(
    rb"[Hh][Tt][Tt][Pp][Ss]?://" + _HOST + rb"(?::[0-9]{0,5})?(?:[/?][!\"$-~]*)?"
)

# authority-form = uri-host ":" port
AUTHORITY_FORM = re.compile(_HOST + rb":[0-9]{1,5}")

# Content-Length = 1*DIGIT
# 19 digits cover every off_t and keep int() cheap on hostile input.
CONTENT_LENGTH = re.compile(rb"[0-9]{1,19}")

# chunk      = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
# chunk-size = 1*HEXDIG
# chunk-ext  = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
# Stricter: 16 digits, and nothing between the size and the first ";". What an extension says is
# ignored, so any text without control characters will do.
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})((?:;" + _FIELD_OCTET + rb"*)?)\r\n")
