"""Where a message body ends, and the content inside it.

RFC 9112, 6 and 7.1. Bytes in; pieces of content and the number of bytes consumed out. A decoder
belongs to one message and is thrown away with it. Nothing here copies content: a piece is a view of
the bytes that were fed, so whoever fed a buffer that will be overwritten must use or copy the
pieces first.

Strict on purpose, for the framing is where two parsers of one connection must not disagree: CRLF
only, no white space around a chunk size, no sign, at most 16 digits. Chunk extensions and trailer
fields are bounded, checked and dropped (7.1.1 and 7.1.2 allow both to be ignored); nothing above
reads them.

Work is linear in the bytes fed however they are cut, since no byte of an unfinished line is looked
at twice.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol

from chute.errors import MisuseError, PeerError
from chute.http1 import grammar

if TYPE_CHECKING:
    from chute.semantics.messages import RequestHead

_EXTENSION_BYTES_MAX: Final = 4096
_TRAILER_BYTES_MAX: Final = 8192
_SIZE_DIGITS_MAX: Final = 16

# Lines are short; a view has no find(), so this many bytes of it are copied at a time to look for
# their end.
_WINDOW_BYTES: Final = 64


class BodyDecoder(Protocol):
    """What removes the framing of one message body."""

    @property
    def is_complete(self) -> bool:
        """Whether the body has ended; the next byte belongs to the next message."""

    @property
    def content_bytes(self) -> int:
        """Bytes of content seen so far."""

    def feed(self, data: bytes | memoryview) -> tuple[list[memoryview], int]:
        """Take bytes of the connection, as far as they belong to this body.

        Returns:
            The pieces of content in `data`, as views of it, and how many bytes of `data` were used.
            Fewer than all are used only when the body is complete.

        Raises:
            PeerError: the framing is broken (400) or the content too long (413). The decoder is of
                no more use.
        """


class LengthDecoder:
    """A body that ends after a number of bytes known from the start (RFC 9112, 6.2).

    Attributes:
        remaining: bytes of content still to come.
        content_bytes: bytes of content seen so far.
    """

    __slots__ = ("content_bytes", "remaining")

    def __init__(self, remaining: int) -> None:
        self.remaining = remaining
        self.content_bytes = 0

    @property
    def is_complete(self) -> bool:
        """Whether every announced byte has come."""
        return self.remaining == 0

    def feed(self, data: bytes | memoryview) -> tuple[list[memoryview], int]:
        """Take content up to the announced length; see `BodyDecoder.feed`."""
        used = min(len(data), self.remaining)
        if used == 0:
            return [], 0
        self.remaining -= used
        self.content_bytes += used
        return [memoryview(data)[:used]], used


class _Expecting(Enum):
    """What the next byte of a chunked body belongs to."""

    SIZE_LINE = auto()
    CONTENT = auto()
    CONTENT_END = auto()
    TRAILER_LINE = auto()
    NOTHING = auto()
    REFUSED = auto()


class ChunkedDecoder:
    """A body in the chunked transfer coding (RFC 9112, 7.1).

    Theory of operation. SIZE_LINE -> CONTENT -> CONTENT_END -> SIZE_LINE ... -> TRAILER_LINE ->
    NOTHING. Only `_end_line` and `_take_content` change what is expected. In CONTENT `_remaining`
    is above zero; in the three states that read a line, `_line` holds its beginning and is never
    longer than that line may become.

    Attributes:
        content_bytes: bytes of content seen so far.
    """

    __slots__ = (
        "_content_bytes_max",
        "_expecting",
        "_extension_bytes",
        "_line",
        "_remaining",
        "_trailer_bytes",
        "content_bytes",
    )

    def __init__(self, content_bytes_max: int) -> None:
        self.content_bytes = 0
        self._content_bytes_max = content_bytes_max
        self._expecting = _Expecting.SIZE_LINE
        self._line = bytearray()
        self._remaining = 0
        self._extension_bytes = 0
        self._trailer_bytes = 0

    @property
    def is_complete(self) -> bool:
        """Whether the last chunk and the trailer section have come."""
        return self._expecting is _Expecting.NOTHING

    def feed(self, data: bytes | memoryview) -> tuple[list[memoryview], int]:
        """Take chunks and the trailer section; see `BodyDecoder.feed`."""
        if self._expecting is _Expecting.REFUSED:
            raise MisuseError("a decoder that refused its body was fed again")
        view = memoryview(data)
        pieces: list[memoryview] = []
        used = 0
        try:
            while used < len(view) and self._expecting is not _Expecting.NOTHING:
                if self._expecting is _Expecting.CONTENT:
                    piece = self._take_content(view[used : used + self._remaining])
                    pieces.append(piece)
                    used += len(piece)
                else:
                    used += self._take_line(view[used : used + _WINDOW_BYTES])
        except PeerError:
            self._expecting = _Expecting.REFUSED
            raise
        return pieces, used

    def _take_content(self, piece: memoryview) -> memoryview:
        self._remaining -= len(piece)
        self.content_bytes += len(piece)
        if self._remaining == 0:
            self._expecting = _Expecting.CONTENT_END
        return piece

    def _take_line(self, view: memoryview) -> int:
        """Add bytes to the line, up to its end if that is among them; return how many were used."""
        window = view.tobytes()
        end = window.find(b"\n") + 1
        self._line += window[:end] if end else window
        if len(self._line) > self._line_bytes_max():
            raise PeerError("line in a chunked body too long")
        if not end:
            return len(window)
        line = bytes(self._line)
        self._line.clear()
        self._end_line(line)
        return end

    def _line_bytes_max(self) -> int:
        """Return how long the line may become, its CRLF included."""
        if self._expecting is _Expecting.CONTENT_END:
            return len(b"\r\n")
        if self._expecting is _Expecting.TRAILER_LINE:
            return _TRAILER_BYTES_MAX - self._trailer_bytes
        return _SIZE_DIGITS_MAX + _EXTENSION_BYTES_MAX + len(b"\r\n")

    def _end_line(self, line: bytes) -> None:
        if self._expecting is _Expecting.SIZE_LINE:
            self._start_chunk(line)
        elif self._expecting is _Expecting.CONTENT_END:
            if line != b"\r\n":
                raise PeerError("chunk longer than its size")
            self._expecting = _Expecting.SIZE_LINE
        elif line == b"\r\n":
            self._expecting = _Expecting.NOTHING
        else:
            self._trailer_bytes += len(line)
            if grammar.FIELD_LINE.fullmatch(line) is None:
                raise PeerError("malformed trailer section")

    def _start_chunk(self, line: bytes) -> None:
        match = grammar.CHUNK_LINE.fullmatch(line)
        if match is None:
            raise PeerError("malformed chunk size")
        self._extension_bytes += len(match[2])
        if self._extension_bytes > _EXTENSION_BYTES_MAX:
            raise PeerError("chunk extensions too long")
        self._remaining = int(match[1], 16)
        # Refused when announced, not when it has come: there is no need to receive what will not be
        # used.
        if self.content_bytes + self._remaining > self._content_bytes_max:
            raise PeerError("content too long", status_hint=413)
        self._expecting = _Expecting.CONTENT if self._remaining else _Expecting.TRAILER_LINE


def decoder_for(head: RequestHead, content_bytes_max: int) -> BodyDecoder | None:
    """Return what decodes the body behind `head`, or None when there is none.

    Args:
        head: as `HeadParser` returned it.
        content_bytes_max: longest content to accept.

    Raises:
        PeerError: the announced content is longer than that (413).
    """
    if head.is_chunked:
        return ChunkedDecoder(content_bytes_max)
    if head.content_length == 0:
        return None
    if head.content_length > content_bytes_max:
        raise PeerError("content too long", status_hint=413)
    return LengthDecoder(head.content_length)
