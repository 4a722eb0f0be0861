"""From an open file and a request head to the response: 200, 206, 304, 412 or 416.

The order is that of RFC 9110, 13.2.2: preconditions first, then If-Range, then Range. Every rule lives in
`semantics`; this module only asks in the right order and cuts the file accordingly. One place serves all who send
files, so none of them can get a range wrong in its own way.
"""

from __future__ import annotations

import secrets
from typing import NamedTuple

from chute.exchange import FieldLines, Rate, Response, Validity, failure
from chute.files.open_files import OpenFile
from chute.semantics.messages import RequestHead
from chute.semantics.preconditions import Outcome, evaluate, if_range_allows
from chute.semantics.ranges import Selection, content_range, select_ranges, unsatisfied_range
from chute.semantics.validators import EntityTag
from chute.transfer.source import FileSpan, Piece


class Representation(NamedTuple):
    """What is sent of a resource: a file, and what is said about it.

    Attributes:
        file: the bytes; the response acquires it for as long as it needs it.
        media_type: the encoded Content-Type value.
        entity_tag: the validator of this form of the resource, or None.
        content_fields: for answers that have it as content (Content-Encoding, Content-Disposition).
        fields: for those and for 304, which stands for them (Vary, Cache-Control).
    """

    file: OpenFile
    media_type: bytes
    entity_tag: EntityTag | None
    content_fields: tuple[tuple[bytes, bytes], ...] = ()
    fields: tuple[tuple[bytes, bytes], ...] = ()


def respond(
    selected: Representation,
    head: RequestHead,
    *,
    validity: Validity | None = None,
    rate: Rate | None = None,
) -> Response:
    """Answer a GET or HEAD with the representation that was selected.

    Args:
        selected: what the target and the request have led to.
        head: the request head.
        validity: what makes the response reusable, or None.
        rate: how fast content is sent at most.

    Returns:
        A response whose content is the file, parts of it, or nothing.
    """
    file = selected.file
    outcome = evaluate(head, entity_tag=selected.entity_tag, modified_s=file.modified_s)
    validators = _validators(selected)
    if outcome is Outcome.NOT_MODIFIED:
        return Response(304, [*validators, *selected.fields], validity=validity)
    if outcome is Outcome.FAILED:
        return failure(412, "The file is not in the state that the request asked for.")
    ranges = _selected_ranges(selected, head)
    if ranges is Selection.UNSATISFIABLE:
        return failure(
            416,
            f"The range lies outside the file, which has {file.size} bytes.",
            [(b"Content-Range", unsatisfied_range(file.size)), (b"Accept-Ranges", b"bytes")],
        )
    fields: FieldLines = [
        *validators,
        (b"Accept-Ranges", b"bytes"),
        *selected.content_fields,
        *selected.fields,
    ]
    content_type = (b"Content-Type", selected.media_type)
    if ranges is Selection.IGNORED:
        pieces = (_cut(file, 0, file.size),)
        return Response(200, [content_type, *fields], pieces, validity=validity, rate=rate)
    if len(ranges) > 1:
        return _multipart(selected, fields, ranges, rate)
    ((offset, count),) = ranges
    fields = [content_type, (b"Content-Range", content_range(offset, count, file.size)), *fields]
    return Response(206, fields, (_cut(file, offset, count),), validity=validity, rate=rate)


def _validators(selected: Representation) -> FieldLines:
    fields: FieldLines = []
    if selected.file.last_modified is not None:
        fields.append((b"Last-Modified", selected.file.last_modified))
    if selected.entity_tag is not None:
        fields.append((b"ETag", selected.entity_tag.encoded))
    return fields


def _selected_ranges(
    selected: Representation, head: RequestHead
) -> tuple[tuple[int, int], ...] | Selection:
    """Return the ranges to send. Range is defined for GET alone (RFC 9110, 14.2), so HEAD ignores it."""
    value = head.field_value(b"range")
    if value is None or head.method != b"GET":
        return Selection.IGNORED
    # A file that may still be rewritten within its second has no date that is strong enough (T18).
    file = selected.file
    modified_s = file.modified_s if file.is_stable else None
    if not if_range_allows(head, entity_tag=selected.entity_tag, modified_s=modified_s):
        return Selection.IGNORED
    return select_ranges(value, file.size)


def whole(file: OpenFile) -> Piece:
    """Return all of `file` as a piece; whoever puts it into a response acquires the file."""
    return _cut(file, 0, file.size)


def _cut(file: OpenFile, offset: int, count: int) -> Piece:
    if file.content is not None:
        return file.content[offset : offset + count]
    return FileSpan(file, offset, count)


def _multipart(
    selected: Representation,
    fields: FieldLines,
    ranges: tuple[tuple[int, int], ...],
    rate: Rate | None,
) -> Response:
    """Build a multipart/byteranges response (RFC 9110, 14.6); each part's bytes are carried like a whole file's.

    The boundary is random, so that no file can be written to contain it. That also makes the response different
    each time, so it is not reusable.
    """
    file = selected.file
    boundary = secrets.token_hex(16).encode()
    pieces: list[Piece] = []
    lead = b""
    for offset, count in ranges:
        pieces.append(
            b"%b--%b\r\nContent-Type: %b\r\nContent-Range: %b\r\n\r\n"
            % (lead, boundary, selected.media_type, content_range(offset, count, file.size))
        )
        pieces.append(_cut(file, offset, count))
        lead = b"\r\n"
    pieces.append(b"\r\n--%b--\r\n" % boundary)
    content_type = (b"Content-Type", b"multipart/byteranges; boundary=" + boundary)
    return Response(206, [content_type, *fields], tuple(pieces), rate=rate)
