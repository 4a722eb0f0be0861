"""What can be said of a request head before it is complete.

A peer that will never finish its head properly is told so at once, and not after a time-out: lines that end in a bare
line feed (the blank line would never be found), bytes that cannot begin a method (a TLS handshake on a plain port),
and anything longer than the limits.
"""

from __future__ import annotations

import re

from chute.errors import PeerError

_METHOD_BYTES_MAX = 32
"""No registered method is longer than 17 bytes."""

_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")

_METHOD_START = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]")
"""tchar (RFC 9110, 5.6.2)."""


def check_unfinished(buffer: bytes, *, target_bytes_max: int, head_bytes_max: int) -> None:
    """Check a buffer that holds no blank line yet.

    Raises:
        PeerError: it can never become a head that we would accept.
    """
    if not buffer or buffer == b"\r":
        return
    if _METHOD_START.match(buffer) is None:
        raise PeerError("this is not an HTTP/1.1 request")
    if _BARE_LINE_FEED.search(buffer) is not None:
        raise PeerError("a line of the head ends without a carriage return")
    if b"\r\n" not in buffer and len(buffer) > target_bytes_max + _METHOD_BYTES_MAX:
        raise PeerError("the request target is too long", status_hint=414)
    if len(buffer) > head_bytes_max:
        raise PeerError("the request head is too long", status_hint=431)
