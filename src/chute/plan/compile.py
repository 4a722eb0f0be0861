"""From a response to a plan: render the head once and decide what leaves together with it.

Small content joins the head in one send. Whether the plan may be used again was decided by the handler alone
(`Response.validity`); silence means no.
"""

from __future__ import annotations

from chute.exchange import FieldLines, Response
from chute.http1.encode import render_head_parts
from chute.plan.plan import Plan
from chute.semantics.messages import RequestHead
from chute.transfer.source import bytes_in

JOINED_BYTES_MAX = 64 * 1024
"""Content in memory up to this size is copied behind the head; a larger one follows as a piece of its own."""

NO_CONTENT = frozenset({204, 304})
"""Statuses that never have content, and so no Content-Length (RFC 9110, 8.6)."""


def compile_plan(response: Response, head: RequestHead | None, *, keeps_alive: bool) -> Plan:
    """Prepare `response` for the request `head`.

    Args:
        response: what the handler answered; the plan takes it over.
        head: the request, or None when it could not be parsed.
        keeps_alive: whether the connection survives; says so in the head where the version does not.

    Raises:
        MisuseError: a field would split the response.
    """
    fields: FieldLines = list(response.fields)
    framing, is_chunked, has_end = _framing(response, head)
    fields += framing
    keeps_alive = keeps_alive and has_end
    production = response.production
    if not keeps_alive:
        fields.append((b"Connection", b"close"))
    elif head is not None and head.minor_version == 0:
        fields.append((b"Connection", b"keep-alive"))
    pieces = response.pieces
    if head is not None and head.method == b"HEAD":
        pieces = ()
    elif production is not None:
        response.production = None  # the plan's from now on
    joined = b""
    if pieces and isinstance(pieces[0], bytes) and len(pieces[0]) <= JOINED_BYTES_MAX:
        joined, pieces = pieces[0], pieces[1:]
    is_reusable = response.validity is not None
    assert production is None or not (is_reusable or pieces), "a production is all, and only once"
    plan = Plan(
        response.status,
        render_head_parts(response.status, fields),
        joined,
        pieces,
        keeps_alive=keeps_alive,
        validity=response.validity,
        owned=None if is_reusable else response,
        production=None if head is not None and head.method == b"HEAD" else production,
        is_chunked=is_chunked,
        rate=response.rate,
    )
    plan.is_particular = response.is_particular
    if is_reusable:
        response.release()
    return plan


def _framing(response: Response, head: RequestHead | None) -> tuple[FieldLines, bool, bool]:
    """Return the fields that say where the content ends, whether it is chunked, and whether they say it at all.

    A client of HTTP/1.0 learns the end of content without a length from the end of the connection.
    """
    if response.status in NO_CONTENT:
        return [], False, True
    count: int | None = bytes_in(response.pieces)
    if response.production is not None:
        count = response.production.count
    if count is not None:
        return [(b"Content-Length", b"%d" % count)], False, True
    if head is None or head.minor_version == 0:
        return [], False, False
    return [(b"Transfer-Encoding", b"chunked")], True, True
