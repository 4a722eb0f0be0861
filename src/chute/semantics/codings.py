"""Proactive negotiation of content codings: which of them a client accepts, the best first.

RFC 9110, 12.4.2 and 12.5.3. Two decisions beyond them. A client that sends no Accept-Encoding would
take anything by the letter, but whoever names no coding seldom has a decoder: it gets the
representation as it is. And a malformed field, or an absurdly long one, counts as absent, for a
preference half understood is worse than none.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

IDENTITY: Final = b"identity"

ACCEPT_ENCODING_BYTES_MAX: Final = 512
"""A longer value is disregarded unread. Browsers send 23 bytes."""

# Accept-Encoding = #( codings [ weight ] ) ; codings = content-coding / "identity" / "*"
# One member and the comma behind it. Runs of characters are possessive, groups are not: see
# negotiation.py.
_MEMBER = re.compile(
    rb"[ \t]*+(?:([!#$%&'*+.^_`|~0-9A-Za-z-]++)"
    rb"(?:[ \t]*+;[ \t]*+[Qq]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?)?[ \t]*+(?:,|\Z)"
)
# RFC 9110, 8.4.1.1 and 8.4.1.3: a recipient takes these for the same.
_ALIASES: Final = {b"x-gzip": b"gzip", b"x-compress": b"compress"}

# The least weight that can be stated is 0.001, so what is ranked with this comes behind all of it.
_LESS_THAN_STATED: Final = 0.0001


def acceptable_codings(accept_encoding: bytes | None, offers: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return which of `offers` a client accepts, and `identity` among them if it accepts that.

    A coding that the field names twice has the weight of its first mention.

    Args:
        accept_encoding: the combined field value, or None when the field is absent.
        offers: names of content codings in lower case, in the order that decides between equal
            weights. `identity` is on offer without being named, and comes behind all of its weight.

    Returns:
        The acceptable ones, the best first. Empty when not even `identity` is: then 12.5.3 has no
        answer, and 15.5.7 leaves it to the caller whether to send a 406 or the representation as it
        is all the same. (A 415 is about what a request carries.)
    """
    if accept_encoding is None or len(accept_encoding) > ACCEPT_ENCODING_BYTES_MAX:
        return (IDENTITY,)
    return _acceptable(accept_encoding, tuple(offers))


@functools.lru_cache(maxsize=256)
def _acceptable(accept_encoding: bytes, offers: tuple[bytes, ...]) -> tuple[bytes, ...]:
    weights = _parse(accept_encoding)
    if weights is None:
        return (IDENTITY,)
    any_other = weights.get(b"*", 0.0)
    ranked = [(weights.get(offer, any_other), offer) for offer in offers if offer != IDENTITY]
    # Unlike the others, identity is acceptable as long as nothing excludes it.
    ranked.append((weights.get(IDENTITY, weights.get(b"*", _LESS_THAN_STATED)), IDENTITY))
    ranked.sort(key=lambda pair: pair[0], reverse=True)
    return tuple(coding for weight, coding in ranked if weight > 0)


def _parse(value: bytes) -> dict[bytes, float] | None:
    """Return the weight by coding, or None when the value is malformed."""
    weights: dict[bytes, float] = {}
    position = 0
    while position < len(value):
        match = _MEMBER.match(value, position)
        if match is None:
            return None
        position = match.end()
        if match[1] is not None:
            name = match[1].lower()
            name = _ALIASES.get(name, name)
            weights.setdefault(name, 1.0 if match[2] is None else float(match[2]))
    return weights
