"""A request head as a value: what the peer sent, after the grammar has been checked.

RFC 9110, 6.1 and 6.2. Built by a protocol room (`http1` today) and read by everything above it. It says nothing of
how it was framed on the wire beyond the three facts that the owner of the connection needs.

Not frozen, although nothing may change it after it was built: a frozen dataclass pays `object.__setattr__` per
attribute, and one of these is made for every request that misses the plan cache.
"""

from __future__ import annotations

FieldLine = tuple[bytes, bytes]
"""One field line: the name in lower case, the value without surrounding white space."""


class RequestHead:
    """The head of one request.

    Attributes:
        method: as received; methods are case-sensitive (RFC 9110, 9.1).
        request_target: as received, never decoded.
        minor_version: 1 for HTTP/1.1, 0 for HTTP/1.0.
        field_lines: names in lower case, order and repeats kept.
        content_length: bytes of content announced by Content-Length; 0 without one.
        is_chunked: the message body uses the chunked transfer coding.
        wants_close: the connection ends after this exchange (RFC 9112, 9.3).
        expects_continue: the peer waits for a 100 before it sends content (RFC 9110, 10.1.1).
    """

    __slots__ = (
        "content_length",
        "expects_continue",
        "field_lines",
        "is_chunked",
        "method",
        "minor_version",
        "request_target",
        "wants_close",
    )

    def __init__(
        self,
        method: bytes,
        request_target: bytes,
        minor_version: int,
        field_lines: list[FieldLine],
        *,
        content_length: int = 0,
        is_chunked: bool = False,
        wants_close: bool = False,
        expects_continue: bool = False,
    ) -> None:
        self.method = method
        self.request_target = request_target
        self.minor_version = minor_version
        self.field_lines = field_lines
        self.content_length = content_length
        self.is_chunked = is_chunked
        self.wants_close = wants_close
        self.expects_continue = expects_continue

    @property
    def has_content(self) -> bool:
        """Whether a message body follows the head."""
        return self.is_chunked or self.content_length > 0

    def field_value(self, name: bytes) -> bytes | None:
        """Return the combined value of field `name` (lower case), or None when it is absent.

        Several lines of one name are joined with a comma, as RFC 9110, 5.3 allows for every field chute reads.
        """
        values = [value for line_name, value in self.field_lines if line_name == name]
        if not values:
            return None
        return values[0] if len(values) == 1 else b", ".join(values)
