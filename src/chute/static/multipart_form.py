"""The files in the content of a form: multipart/form-data (RFC 7578), as it arrives.

The parser is that of the library `multipart`: blocks in, events out, and it keeps no more of them than could be the
beginning of a boundary. What is left to this module are the bounds, the names, and our words for what went wrong. It
imports the library only where a form has come: a server that takes none does without, and so does one beside which
some old version of another library occupies the name `multipart`.

Names are bytes here as everywhere: part heads are read as Latin-1, which gives back the very bytes that came.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Final

from chute.errors import PeerError

PARTS_MAX: Final = 64
"""Fields and files of one form. Every file costs a descriptor until the last one has come."""

PART_HEAD_LINES_MAX: Final = 8
"""RFC 7578, 4.8 knows three."""

PART_HEAD_LINE_BYTES_MAX: Final = 4096

BOUNDARY_BYTES_MAX: Final = 70
"""RFC 2046, 5.1.1."""

_CHARSET: Final = "latin-1"


class PartEnd(Enum):
    """The type of `END`; an Enum, so that type checkers can tell it from a block."""

    END = "the file is whole"


END: Final = PartEnd.END


class FileBegins:
    """A file of the form begins; its blocks follow, and then `END`.

    Attributes:
        name: without any path; may be any bytes but empty, `.`, `..`, or one with a slash or a NUL.
    """

    __slots__ = ("name",)

    def __init__(self, name: bytes) -> None:
        self.name = name


Event = FileBegins | bytes | PartEnd


class MultipartForm:
    """Reads one form. Fields that are no files are passed over, and so are file inputs in which none was chosen."""

    def __init__(self, content_type: bytes | None) -> None:
        """Read the content whose Content-Type is `content_type`.

        Raises:
            PeerError: it is no form that can hold files (415), or one without a usable boundary.
        """
        try:
            import multipart  # type: ignore[import-untyped]  # noqa: PLC0415 - see the module

            make, self._error = multipart.PushMultipartParser, multipart.MultipartError
            self._limit_error = multipart.ParserLimitReached
        except (ImportError, AttributeError):
            raise PeerError("this server takes no forms, only PUT", status_hint=415) from None
        media_type, options = multipart.parse_options_header((content_type or b"").decode(_CHARSET))
        if media_type != "multipart/form-data":
            raise PeerError("only multipart/form-data is taken here, or PUT", status_hint=415)
        boundary = options.get("boundary", "").encode(_CHARSET)
        if not 0 < len(boundary) <= BOUNDARY_BYTES_MAX:
            raise PeerError("the form has no usable boundary")
        try:
            self._parser = make(
                boundary,
                header_charset=_CHARSET,
                max_header_count=PART_HEAD_LINES_MAX,
                max_header_size=PART_HEAD_LINE_BYTES_MAX,
                max_segment_count=PARTS_MAX,
            )
        except self._error as error:
            raise PeerError("the form has no usable boundary") from error
        self._is_in_file = False
        self._must_be_empty = False

    def feed(self, block: bytes) -> Iterator[Event]:
        """Yield what the next block of the content holds; to be read to its end.

        Raises:
            PeerError: this is no form, it exceeds a bound (413), or a file in it has no usable name.
        """
        if not block:
            return  # to the library, the end
        try:
            for event in self._parser.parse(block):
                yield from self._translated(event)
        except self._limit_error as error:
            raise PeerError(
                "the form has too many parts, or too long a head before one", status_hint=413
            ) from error
        except self._error as error:
            raise PeerError("the content is no well-formed form") from error

    def finish(self) -> None:
        """Take note that nothing more will come.

        Raises:
            PeerError: the end of the form is missing.
        """
        try:
            self._parser.close()
        except self._error as error:
            raise PeerError("the form is not complete") from error

    def _translated(self, event: object) -> Iterator[Event]:
        if event is None:
            if self._is_in_file:
                yield END
            self._is_in_file = self._must_be_empty = False
        elif isinstance(event, bytes | bytearray):
            if self._must_be_empty:
                raise PeerError("a file in the form has no name")
            if self._is_in_file:
                yield bytes(event)
        else:
            filename: str | None = event.filename  # type: ignore[attr-defined]
            # A browser sends a file without name and content for an input in which none was chosen.
            self._must_be_empty = filename == ""
            self._is_in_file = bool(filename)
            if filename:
                yield FileBegins(_base_name(filename.encode(_CHARSET)))


def _base_name(filename: bytes) -> bytes:
    """Return `filename` without a path, which is to be disregarded (RFC 7578, 4.2); backslashes are ordinary bytes."""
    name = filename.rpartition(b"/")[2]
    if name in (b"", b".", b"..") or b"\0" in name:
        raise PeerError("a file in the form has no usable name")
    return name
