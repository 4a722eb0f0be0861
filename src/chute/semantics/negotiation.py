"""Proactive negotiation: which of the media types on offer suits an Accept field best.

RFC 9110, 12.4.2 and 12.5.1. It always answers with one of the offers: chute's generated pages
(listings, errors) are better sent in a form the client did not ask for than withheld behind a 406,
and 12.5.1 lets a server disregard the field. For the same reason an Accept field that is malformed,
or absurdly long, counts as absent: a preference half understood is worse than the server's own
order.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

ACCEPT_BYTES_MAX: Final = 2048
"""A longer value is disregarded unread. Browsers send about 150 bytes."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED_STRING = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
# parameters = *( OWS ";" OWS [ parameter ] ) ; parameter = token "=" ( token / quoted-string )
_PARAMETER = rb"[ \t]*+;[ \t]*+(?:(" + _TOKEN + rb")=(" + _TOKEN + rb"|" + _QUOTED_STRING + rb"))?"
_PARAMETERS = re.compile(_PARAMETER)
# Accept = #( media-range [ weight ] ) ; one member and the comma behind it. Runs of characters are
# possessive, so that nothing is tried twice; groups are not, for before Python 3.11.5 a possessive
# group that failed half way went on from there (python/cpython#106052).
_MEMBER = re.compile(
    rb"[ \t]*+(?:(" + _TOKEN + rb")/(" + _TOKEN + rb")((?:" + _PARAMETER + rb")*))?[ \t]*+(?:,|\Z)"
)
# qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )
_QVALUE = re.compile(rb"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")

_Parameters = frozenset[tuple[bytes, bytes]]


class _MediaRange(NamedTuple):
    main_type: bytes
    subtype: bytes
    parameters: _Parameters
    quality: float

    @property
    def specificity(self) -> tuple[bool, bool, int]:
        return self.main_type != b"*", self.subtype != b"*", len(self.parameters)

    def matches(self, offer: _MediaRange) -> bool:
        return (
            self.main_type in (b"*", offer.main_type)
            and self.subtype in (b"*", offer.subtype)
            and self.parameters <= offer.parameters
        )


ERROR_TYPES: Final = (b"text/html", b"application/json", b"text/plain")
"""What an error can be told in, the usual one first."""


def reads_pages(accept: bytes | None) -> bool:
    """Whether a client would rather be told of an error by a page than in any other way."""
    return choose_media_type(accept, ERROR_TYPES) == ERROR_TYPES[0]


def choose_media_type(accept: bytes | None, offers: Sequence[bytes]) -> bytes:
    """Pick the offer that an Accept field prefers.

    Args:
        accept: the combined field value, or None when the field is absent.
        offers: media types in the server's order of preference, which decides between equals; at
            least one. They may carry parameters (`text/html; charset=utf-8`).

    Returns:
        One of `offers`, unchanged: the best of those acceptable, or the first when the field is
        absent or malformed or accepts none of them.
    """
    if accept is None or len(offers) == 1 or len(accept) > ACCEPT_BYTES_MAX:
        return offers[0]
    media_ranges = _parse_accept(accept)
    if not media_ranges:
        return offers[0]
    # The most specific range that matches decides (12.5.1), so the first hit in this order does.
    media_ranges.sort(key=lambda media_range: media_range.specificity, reverse=True)
    return max(offers, key=lambda offer: _quality_of(offer, media_ranges))


def _quality_of(offer: bytes, media_ranges: list[_MediaRange]) -> float:
    parsed = _parse_accept(offer)
    assert parsed is not None, "an offer must be a media type"
    for media_range in media_ranges:
        if media_range.matches(parsed[0]):
            return media_range.quality
    return 0.0


def _parse_accept(value: bytes) -> list[_MediaRange] | None:
    media_ranges: list[_MediaRange] = []
    position = 0
    while position < len(value):
        match = _MEMBER.match(value, position)
        if match is None:
            return None
        position = match.end()
        if match[1] is None:
            continue
        media_range = _media_range(match[1].lower(), match[2].lower(), match[3])
        if media_range is None:
            return None
        media_ranges.append(media_range)
    return media_ranges


def _media_range(main_type: bytes, subtype: bytes, parameters_text: bytes) -> _MediaRange | None:
    if main_type == b"*" and subtype != b"*":
        return None
    parameters: list[tuple[bytes, bytes]] = []
    for name, parameter_value in _PARAMETERS.findall(parameters_text):
        if name.lower() == b"q":
            # What follows the weight was once an "accept-ext"; RFC 9110 has no meaning for it.
            if _QVALUE.fullmatch(parameter_value) is None:
                return None
            return _MediaRange(main_type, subtype, frozenset(parameters), float(parameter_value))
        if name:
            # Lower case also for values: the one parameter that offers carry, charset, is compared
            # without case.
            parameters.append((name.lower(), parameter_value.strip(b'"').lower()))
    return _MediaRange(main_type, subtype, frozenset(parameters), 1.0)
