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
        fields: field values by name in lower case; several lines of one name are joined with a comma, as
            RFC 9110, 5.3 allows for every field chute reads.
        content_length: bytes of content announced by Content-Length; 0 without one.
        is_chunked: the message body uses the chunked transfer coding.
        wants_close: the connection ends after this exchange (RFC 9112, 9.3).
        expects_continue: the peer waits for a 100 before it sends content (RFC 9110, 10.1.1).
    """

    __slots__ = (
        "_field_lines",
        "content_length",
        "expects_continue",
        "fields",
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
        field_lines: list[FieldLine] | None,
        *,
        fields: dict[bytes, bytes] | None = None,
        content_length: int = 0,
        is_chunked: bool = False,
        wants_close: bool = False,
        expects_continue: bool = False,
    ) -> None:
        """Make a head from its field lines; or, where no name is repeated, from `fields` alone.

        Args:
            method: see the attributes.
            request_target: see the attributes.
            minor_version: see the attributes.
            field_lines: names in lower case, order and repeats kept; None when `fields` is given.
            fields: what the field lines combine to; becomes the head's own.
            content_length: see the attributes.
            is_chunked: see the attributes.
            wants_close: see the attributes.
            expects_continue: see the attributes.
        """
        self.method = method
        self.request_target = request_target
        self.minor_version = minor_version
        self.fields = _combined(field_lines or []) if fields is None else fields
        self.content_length = content_length
        self.is_chunked = is_chunked
        self.wants_close = wants_close
        self.expects_continue = expects_continue
        self._field_lines = field_lines

    @property
    def field_lines(self) -> list[FieldLine]:
        """The field lines, order and repeats kept."""
        if self._field_lines is None:
            self._field_lines = list(self.fields.items())
        return self._field_lines

    @property
    def has_content(self) -> bool:
        """Whether a message body follows the head."""
        return self.is_chunked or self.content_length > 0

    def field_value(self, name: bytes) -> bytes | None:
        """Return the combined value of field `name` (lower case), or None when it is absent."""
        return self.fields.get(name)


def _combined(field_lines: list[FieldLine]) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    for name, value in field_lines:
        fields[name] = fields[name] + b", " + value if name in fields else value
    return fields
