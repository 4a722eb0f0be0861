"""Proactive negotiation of content codings: which of them a client accepts, the best first.

RFC 9110, 12.4.2 and 12.5.3. A client that sends no Accept-Encoding would take anything by the letter, but whoever does
not name a coding seldom has its decoder: it gets the representation as it is. A malformed field, or an absurdly long
one, counts as absent.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Final

IDENTITY: Final = b"identity"

ACCEPT_ENCODING_BYTES_MAX: Final = 512
"""A longer value is disregarded unread. Browsers send 23 bytes."""

# Accept-Encoding = #( codings [ weight ] ) ; codings = content-coding / "identity" / "*"
_MEMBER = re.compile(
    rb"[ \t]*+(?:([!#$%&'*+.^_`|~0-9A-Za-z-]++)"
    rb"(?:[ \t]*+;[ \t]*+[Qq]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?)?[ \t]*+(?:,|\Z)"
)
_ALIASES: Final = {b"x-gzip": b"gzip", b"x-compress": b"compress"}


def acceptable_codings(accept_encoding: bytes | None, offers: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return which of `offers` a client accepts, and `identity` among them if it accepts that.

    Args:
        accept_encoding: the combined field value, or None when the field is absent.
        offers: names of content codings in the order that decides between equal weights; `identity` comes after all
            of the same weight.

    Returns:
        The acceptable ones, the best first. Empty when not even `identity` is: then 12.5.3 asks for a 406 or a 415.
    """
    if accept_encoding is None or len(accept_encoding) > ACCEPT_ENCODING_BYTES_MAX:
        return (IDENTITY,)
    weights = _parse(accept_encoding)
    if weights is None:
        return (IDENTITY,)
    any_other = weights.get(b"*", 0.0)
    ranked = [(weights.get(offer, any_other), offer) for offer in offers]
    acceptable = [(weight, offer) for weight, offer in ranked if weight > 0]
    # Identity is acceptable unless it is excluded, by name or by "*"; with no weight of its own it comes last.
    identity_weight = weights.get(IDENTITY, weights.get(b"*"))
    if identity_weight is None:
        identity_weight = 0.0001
    if identity_weight > 0:
        acceptable.append((identity_weight, IDENTITY))
    acceptable.sort(key=lambda pair: pair[0], reverse=True)
    return tuple(offer for _, offer in acceptable)


@functools.lru_cache(maxsize=256)
def _parse(value: bytes) -> dict[bytes, float] | None:
    """Return the weight by coding, or None for what is malformed; of one that is named twice the first counts."""
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
