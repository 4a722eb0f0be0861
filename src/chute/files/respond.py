"""From an open file and a request head to the response: 200, 206, 304, 412 or 416.

The order is that of RFC 9110, 13.2.2: preconditions first, then If-Range, then Range. Every rule lives in
`semantics`; this module only asks in the right order and cuts the file accordingly. One place serves all who send
files, so none of them can get a range wrong in its own way.
"""

from __future__ import annotations

import secrets

from chute.exchange import FieldLines, Response, Validity, failure
from chute.files.open_files import OpenFile
from chute.semantics.messages import RequestHead
from chute.semantics.preconditions import Outcome, evaluate, if_range_allows
from chute.semantics.ranges import Selection, content_range, select_ranges, unsatisfied_range
from chute.transfer.source import FileSpan, Piece


def respond(
    file: OpenFile, head: RequestHead, media_type: bytes, *, validity: Validity | None = None
) -> Response:
    """Answer a GET or HEAD for `file`.

    Args:
        file: what the target selected; the response acquires it for as long as it needs it.
        head: the request head.
        media_type: the encoded Content-Type value.
        validity: what makes the response reusable, or None.

    Returns:
        A response whose content is the file, parts of it, or nothing.
    """
    outcome = evaluate(head, entity_tag=file.entity_tag, modified_s=file.modified_s)
    validators = _validators(file)
    if outcome is Outcome.NOT_MODIFIED:
        return Response(304, validators, validity=validity)
    if outcome is Outcome.FAILED:
        return failure(412, "The file is not in the state that the request asked for.")
    selected = _selected_ranges(file, head)
    if selected is Selection.UNSATISFIABLE:
        return failure(
            416,
            f"The range lies outside the file, which has {file.size} bytes.",
            [(b"Content-Range", unsatisfied_range(file.size)), (b"Accept-Ranges", b"bytes")],
        )
    if selected is Selection.IGNORED:
        fields = [(b"Content-Type", media_type), *validators, (b"Accept-Ranges", b"bytes")]
        return Response(200, fields, (_cut(file, 0, file.size),), validity=validity)
    if len(selected) == 1:
        ((offset, count),) = selected
        fields = [
            (b"Content-Type", media_type),
            (b"Content-Range", content_range(offset, count, file.size)),
            *validators,
            (b"Accept-Ranges", b"bytes"),
        ]
        return Response(206, fields, (_cut(file, offset, count),), validity=validity)
    return _multipart(file, media_type, validators, selected)


def _validators(file: OpenFile) -> FieldLines:
    fields: FieldLines = []
    if file.last_modified is not None:
        fields.append((b"Last-Modified", file.last_modified))
    if file.entity_tag is not None:
        fields.append((b"ETag", file.entity_tag.encoded))
    return fields


def _selected_ranges(file: OpenFile, head: RequestHead) -> tuple[tuple[int, int], ...] | Selection:
    """Return the ranges to send. Range is defined for GET alone (RFC 9110, 14.2), so HEAD ignores it."""
    value = head.field_value(b"range")
    if value is None or head.method != b"GET":
        return Selection.IGNORED
    # A file that may still be rewritten within its second has no date that is strong enough (T18).
    modified_s = file.modified_s if file.is_stable else None
    if not if_range_allows(head, entity_tag=file.entity_tag, modified_s=modified_s):
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
    file: OpenFile,
    media_type: bytes,
    validators: FieldLines,
    selected: tuple[tuple[int, int], ...],
) -> Response:
    """Build a multipart/byteranges response (RFC 9110, 14.6); each part's bytes are carried like a whole file's.

    The boundary is random, so that no file can be written to contain it. That also makes the response different
    each time, so it is not reusable.
    """
    boundary = secrets.token_hex(16).encode()
    pieces: list[Piece] = []
    lead = b""
    for offset, count in selected:
        pieces.append(
            b"%b--%b\r\nContent-Type: %b\r\nContent-Range: %b\r\n\r\n"
            % (lead, boundary, media_type, content_range(offset, count, file.size))
        )
        pieces.append(_cut(file, offset, count))
        lead = b"\r\n"
    pieces.append(b"\r\n--%b--\r\n" % boundary)
    fields = [
        (b"Content-Type", b"multipart/byteranges; boundary=" + boundary),
        *validators,
        (b"Accept-Ranges", b"bytes"),
    ]
    return Response(206, fields, tuple(pieces))
