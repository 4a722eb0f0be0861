"""Entity tags: the validator that tells one representation of a resource from the next.

RFC 9110, 8.8.3. Parsing is all or nothing: a list with one malformed member is not a list, because
half a list could answer a question the peer did not ask. The other validator, Last-Modified, is
only a number of seconds and needs no type of its own; `dates` reads and writes it.
"""

from __future__ import annotations

import base64
import re
from enum import Enum
from typing import Final, Literal, NamedTuple


class AnyEntityTag(Enum):
    """The type of `ANY`; an Enum, so that type checkers can tell it from a tuple of tags."""

    ANY = "*"


ANY: Final = AnyEntityTag.ANY
"""What `*` means in If-Match and If-None-Match: whatever the current representation is."""

# entity-tag = [ weak ] opaque-tag ; weak = %s"W/" ; opaque-tag = DQUOTE *etagc DQUOTE
# etagc      = %x21 / %x23-7E / obs-text
_ENTITY_TAG_PATTERN = rb'(W/)?"([\x21\x23-\x7e\x80-\xff]*+)"'
_ENTITY_TAG = re.compile(_ENTITY_TAG_PATTERN)
# Every quantifier is possessive: white space around an absent member would otherwise be tried in
# every split. Empty members are allowed, as a recipient must (RFC 9110, 5.6.1.2).
_LIST_MEMBER = re.compile(rb"[ \t]*+(?:" + _ENTITY_TAG_PATTERN + rb")?[ \t]*+(?:,|\Z)")


class EntityTag(NamedTuple):
    """An entity tag: an opaque string, and whether it promises more than semantic equivalence.

    Attributes:
        opaque: the bytes between the quotation marks.
        is_weak: the tag was marked `W/`, so equal tags do not promise equal bytes.
    """

    opaque: bytes
    is_weak: bool = False

    @property
    def encoded(self) -> bytes:
        """The tag as a field value carries it."""
        return b'W/"%b"' % self.opaque if self.is_weak else b'"%b"' % self.opaque


def parse_entity_tag(value: bytes) -> EntityTag | None:
    """Read one entity tag; None for anything else, a tag without quotation marks included."""
    match = _ENTITY_TAG.fullmatch(value)
    return None if match is None else EntityTag(match[2], match[1] is not None)


TAG_LIST_BYTES_MAX: Final = 4096
"""Forty tags and more; 32 KiB of empty ones cost 7 ms to read, once per request."""


def parse_entity_tag_list(
    value: bytes,
) -> Literal[AnyEntityTag.ANY] | tuple[EntityTag, ...] | None:
    """Read the value of If-Match or If-None-Match (RFC 9110, 13.1.1 and 13.1.2).

    Returns:
        `ANY` for `*`, the tags in their order, or None when the value is neither (an empty list
        included), or is longer than `TAG_LIST_BYTES_MAX`.
    """
    if len(value) > TAG_LIST_BYTES_MAX:
        return None
    if value == b"*":
        return ANY
    tags: list[EntityTag] = []
    position = 0
    while position < len(value):
        match = _LIST_MEMBER.match(value, position)
        if match is None:
            return None
        if match[2] is not None:
            tags.append(EntityTag(match[2], match[1] is not None))
        position = match.end()
    return tuple(tags) or None


def strong_match(one: EntityTag, other: EntityTag) -> bool:
    """Whether both tags are strong and name the same bytes (RFC 9110, 8.8.3.2)."""
    return one.opaque == other.opaque and not one.is_weak and not other.is_weak


def weak_match(one: EntityTag, other: EntityTag) -> bool:
    """Whether both tags name equivalent representations, weak or not (RFC 9110, 8.8.3.2)."""
    return one.opaque == other.opaque


FLATTENED_NS: Final = 315_619_200 * 1_000_000_000
"""1980-01-02. Builds that flatten dates (containers, Nix, reproducible archives) write this one or an earlier one on
every file, so that it says nothing about any of them."""


def entity_tag_for_file(mtime_ns: int, size: int, *, is_weak: bool = False) -> EntityTag:
    """Make the tag of a file from its modification time and size; nothing in it differs between replicas.

    Nanoseconds, because a file rewritten within one second with the same size must get another tag.
    The tag is strong as far as the file system's stamps are: where they are coarse, two rewrites
    within one tick that keep the size cannot be told apart by any server that does not read the
    content; so the tag of a file that young should be weak.

    Args:
        mtime_ns: nanoseconds since 1970; negative for files dated earlier.
        size: in bytes.
        is_weak: whether the file may still change without a change of either.
    """
    return EntityTag(b"%x-%x" % (mtime_ns, size), is_weak)


def entity_tag_for_content(sha_256: bytes) -> EntityTag:
    """Make the tag of content whose date says nothing, from its SHA-256 hash; 128 bits of it are plenty."""
    return EntityTag(b"sha256-" + base64.urlsafe_b64encode(sha_256[:16]).rstrip(b"="))


def entity_tag_for_variant(tag: EntityTag, variant: bytes) -> EntityTag:
    """Make the tag of another form of what `tag` names: its bytes are others, and so must its tag be."""
    return EntityTag(tag.opaque + b"-" + variant, tag.is_weak)
