"""Conditional requests: whether a request still holds, given what the resource is now.

RFC 9110, 13. A request head and two validators in, a decision out; the caller turns it into a 304,
a 412 or the answer it would have given anyway. `if_range_allows` is the fifth step of the order in
13.2.2 and is asked only when there is a Range field that would otherwise be honoured.

Choices the RFC leaves open, or that differ from elsewhere:

* A malformed value is as good as none: a security scanner's If-Modified-Since gets a plain 200. The
  one exception is If-Match with a method that may change something, where 13.1.1 calls whatever is
  not a matching tag false, and carrying on could lose somebody's update. A malformed If-Match or
  If-None-Match still silences the date field that it takes precedence over.
* If-Modified-Since is compared with `<=`, as 13.1.3 describes it. nginx by default
  (`if_modified_since exact`) wants equality, which answers 200 to a client that made up its own
  date, and also catches a file replaced by an older one; clients that care about the latter have an
  entity tag from us.
* If-None-Match overrides If-Modified-Since (13.1.3). nginx wants both to hold before a 304, and
  answers 412 to a malformed If-Match or If-Unmodified-Since also on retrieval.
* A date in the future is an ordinary date: 9110 has dropped the rule of RFC 2616 against it.
* A file rewritten within the second of its Last-Modified cannot be told apart by date. Entity tags
  count nanoseconds and take precedence, so this concerns only clients that do not send ours back.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from chute.semantics.dates import parse_http_date
from chute.semantics.validators import (
    ANY,
    EntityTag,
    parse_entity_tag,
    parse_entity_tag_list,
    strong_match,
    weak_match,
)

if TYPE_CHECKING:
    from chute.semantics.messages import RequestHead

_PRECONDITION_FIELDS = frozenset(
    (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since")
)
_SAFE_RETRIEVALS = frozenset((b"GET", b"HEAD"))
_METHODS_WITHOUT_REPRESENTATION = frozenset((b"CONNECT", b"OPTIONS", b"TRACE"))


class Outcome(Enum):
    """What the preconditions of a request come to."""

    PROCEED = "perform the method as if there were no precondition"
    NOT_MODIFIED = "304: the client has this representation already"
    FAILED = "412: the representation is not the one the client meant"


def evaluate(
    head: RequestHead,
    *,
    entity_tag: EntityTag | None,
    modified_s: int | None,
    now: int | None = None,
) -> Outcome:
    """Evaluate If-Match, If-None-Match and the two date fields in the order of RFC 9110, 13.2.2.

    The target resource is taken to have a current representation. Call it only where the answer
    without preconditions would be a 2xx (13.2.1): a 404 stays a 404.

    Args:
        head: the request.
        entity_tag: of the selected representation; None when it has none, and then no listed tag
            matches.
        modified_s: its modification time in whole seconds, rounded down; None makes the date fields
            void.
        now: seconds since 1970, which decides only the century of an obsolete rfc850-date.
    """
    found = head.fields
    # Hot: every request that misses the plan cache passes here, and nearly none has a precondition.
    if _PRECONDITION_FIELDS.isdisjoint(found) or head.method in _METHODS_WITHOUT_REPRESENTATION:
        return Outcome.PROCEED

    is_retrieval = head.method in _SAFE_RETRIEVALS
    if not _may_continue(found, entity_tag, modified_s, now, is_retrieval=is_retrieval):
        return Outcome.FAILED
    if _has_changed(found, entity_tag, modified_s, now, is_retrieval=is_retrieval):
        return Outcome.PROCEED
    return Outcome.NOT_MODIFIED if is_retrieval else Outcome.FAILED


def _may_continue(
    found: dict[bytes, bytes],
    entity_tag: EntityTag | None,
    modified_s: int | None,
    now: int | None,
    *,
    is_retrieval: bool,
) -> bool:
    """Steps 1 and 2: the fields that guard against acting on the wrong representation."""
    if_match = found.get(b"if-match")
    if if_match is not None:
        tags = parse_entity_tag_list(if_match)
        if tags is ANY:
            return True
        if tags is None:
            return is_retrieval
        return entity_tag is not None and any(strong_match(entity_tag, tag) for tag in tags)
    since = _date(found.get(b"if-unmodified-since"), now)
    return since is None or modified_s is None or modified_s <= since


def _has_changed(
    found: dict[bytes, bytes],
    entity_tag: EntityTag | None,
    modified_s: int | None,
    now: int | None,
    *,
    is_retrieval: bool,
) -> bool:
    """Steps 3 and 4: the fields that ask for an answer only if there is something new."""
    if_none_match = found.get(b"if-none-match")
    if if_none_match is not None:
        tags = parse_entity_tag_list(if_none_match)
        if tags is ANY:
            return False
        if tags is None or entity_tag is None:
            return True
        return not any(weak_match(entity_tag, tag) for tag in tags)
    if not is_retrieval:
        return True
    since = _date(found.get(b"if-modified-since"), now)
    return since is None or modified_s is None or modified_s > since


def if_range_allows(
    head: RequestHead,
    *,
    entity_tag: EntityTag | None,
    modified_s: int | None,
    now: int | None = None,
) -> bool:
    """Tell whether a Range field may be honoured: If-Range is absent, or names what is there now.

    RFC 9110, 13.1.5. Tags are compared strongly. A date must equal the modification time, and is
    only as strong as its second is over: while `now` still lies within it the file may be rewritten
    under the same date, so the whole representation is sent. Afterwards equality is trusted,
    because a client may use a date in If-Range only when it got its copy at least a second later
    (8.8.2.2) and has no entity tag. A client that breaks both rules can be handed parts of two
    versions; a caller that would not risk it passes `modified_s=None`, which refuses all dates.

    Args:
        head: the request.
        entity_tag: of the selected representation, or None.
        modified_s: its modification time in whole seconds, rounded down, or None.
        now: seconds since 1970; without it, the second of `modified_s` is taken to be over.
    """
    value = head.field_value(b"if-range")
    if value is None:
        return True
    tag = parse_entity_tag(value)
    if tag is not None:
        return entity_tag is not None and strong_match(entity_tag, tag)
    if modified_s is None or (now is not None and now <= modified_s):
        return False
    return _date(value, now) == modified_s


def _date(value: bytes | None, now: int | None) -> int | None:
    return None if value is None else parse_http_date(value, now=now)
