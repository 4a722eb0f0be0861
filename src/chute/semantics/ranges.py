"""The Range field, and the parts of a representation it selects.

RFC 9110, 14.1.2 and 14.2. Bytes in, a decision out: nothing here opens a file or writes a response;
the caller turns the decision into a 200, 206 or 416.

A server MAY ignore any Range field (14.2), so there are three answers and not two: ignore the field
and send the whole representation, select parts of it, or call the set unsatisfiable. Malformed
input is ignored; only well-formed input can be unsatisfiable.

Parts come back in the order they were asked for and are never coalesced: a client that asks for a
trailer before the body it indexes has a reason, and sets that gain from coalescing are refused
anyway, because their parts add up to more than the whole (17.15). White space is accepted around
the members of the list, as 5.6.1.2 has it, but not within them and not around the equals sign.

Where nginx differs: it answers 416 to `5-4`, to an empty list member and to a last-pos beyond 64
bits, and accepts white space inside a range.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, Literal, NamedTuple

RANGES_MAX: Final = 16
"""More ranges than this and the field is ignored; PDF viewers ask for fewer."""

RANGE_VALUE_BYTES_MAX: Final = 2048
"""A longer field value is ignored unread; `RANGES_MAX` ranges of 19 digits need a third of it."""

_PREFIX: Final = b"bytes="
# 19 digits cover every off_t and keep int() cheap on hostile input; whatever is longer lies behind
# every last byte.
_DIGITS_MAX: Final = 19
_BEYOND_EVERY_FILE: Final = 10**_DIGITS_MAX

# int-range = first-pos "-" [ last-pos ] ; suffix-range = "-" suffix-length ; all of them 1*DIGIT
_RANGE_SPEC = re.compile(rb"([0-9]*)-([0-9]*)")


class Selection(Enum):
    """The answers to a Range field that select nothing."""

    IGNORED = "200: send the whole representation, as if there were no Range field"
    UNSATISFIABLE = "416: no byte of the representation lies in any of the ranges"


class IntRange(NamedTuple):
    """From `first_pos` to `last_pos`, both inclusive; to the end when `last_pos` is None."""

    first_pos: int
    last_pos: int | None


class SuffixRange(NamedTuple):
    """The last `suffix_length` bytes."""

    suffix_length: int


RangeSpec = IntRange | SuffixRange


Selected = tuple[int, int]
"""One part of the representation, as `(offset, count)`; the count is never 0."""


def select_ranges(
    value: bytes, complete_length: int
) -> tuple[Selected, ...] | Literal[Selection.IGNORED, Selection.UNSATISFIABLE]:
    """Decide what a Range field selects from a representation of `complete_length` bytes.

    Two decisions beyond the grammar. No 206 can describe zero bytes, so an empty representation is
    always sent as 200. And parts that add up to more than the whole can only be overlapping, so the
    whole is sent instead.

    Args:
        value: the combined field value; a repeated Range field is thereby malformed, and ignored.
        complete_length: of the selected representation.

    Returns:
        The satisfiable parts in the order requested, at least one; or which of the other answers to
        give.
    """
    if complete_length == 0:
        return Selection.IGNORED
    specs = parse_ranges(value)
    if specs is None:
        return Selection.IGNORED
    selected = select(specs, complete_length)
    if not selected:
        return Selection.UNSATISFIABLE
    if sum(count for _, count in selected) > complete_length:
        return Selection.IGNORED
    return selected


def parse_ranges(value: bytes) -> tuple[RangeSpec, ...] | None:
    """Read the value of a Range field in the unit `bytes`.

    Returns:
        The ranges in their order, or None when the field is to be ignored: malformed, another unit,
        or above one of the bounds.
    """
    if len(value) > RANGE_VALUE_BYTES_MAX or value[: len(_PREFIX)].lower() != _PREFIX:
        return None
    specs: list[RangeSpec] = []
    for member in value[len(_PREFIX) :].split(b","):
        text = member.strip(b" \t")
        if not text:
            continue
        spec = _parse_spec(text)
        if spec is None or len(specs) == RANGES_MAX:
            return None
        specs.append(spec)
    return tuple(specs) or None


def _parse_spec(text: bytes) -> RangeSpec | None:
    match = _RANGE_SPEC.fullmatch(text)
    if match is None:
        return None
    first, last = match.groups()
    if first:
        first_pos, last_pos = _number(first), _number(last) if last else None
        if last_pos is not None and last_pos < first_pos:
            return None
        return IntRange(first_pos, last_pos)
    return SuffixRange(_number(last)) if last else None


def _number(digits: bytes) -> int:
    if len(digits) > _DIGITS_MAX:
        digits = digits.lstrip(b"0") or b"0"
        if len(digits) > _DIGITS_MAX:
            return _BEYOND_EVERY_FILE
    return int(digits)


def select(specs: tuple[RangeSpec, ...], complete_length: int) -> tuple[Selected, ...]:
    """Apply ranges to a representation; those that select no byte of it are left out."""
    selected: list[Selected] = []
    for spec in specs:
        end = complete_length
        if isinstance(spec, SuffixRange):
            offset = max(0, complete_length - spec.suffix_length)
        else:
            offset = spec.first_pos
            if spec.last_pos is not None:
                end = min(spec.last_pos + 1, complete_length)
        if offset < end:
            selected.append((offset, end - offset))
    return tuple(selected)


def content_range(offset: int, count: int, complete_length: int) -> bytes:
    """Render the Content-Range value of one part (RFC 9110, 14.4); `count` must be positive."""
    assert count > 0, "Content-Range cannot describe zero bytes"
    return b"bytes %d-%d/%d" % (offset, offset + count - 1, complete_length)


def unsatisfied_range(complete_length: int) -> bytes:
    """Render the Content-Range value of a 416 (RFC 9110, 14.4)."""
    return b"bytes */%d" % complete_length
