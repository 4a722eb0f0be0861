"""The contract between the engine and everything that answers: a `Request` in, a `Response` out.

A handler is a plain function that must not block: `handle(request) -> Response | Deferred`. It never sees a socket.
Content is opaque: bytes, or pieces among which are spans of open files; the engine alone turns a `Response` into bytes
on a wire, and it alone knows by which protocol the request came.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Protocol

from chute.semantics.messages import RequestHead
from chute.transfer.source import FileSpan, Piece

FieldLines = list[tuple[bytes, bytes]]
"""Field lines of a response, names spelled as they should appear."""


class Validity(Protocol):
    """What a reusable response was made from, so that a cache can ask whether it would be made again."""

    def still_holds(self, now_s: float) -> bool:
        """Whether the same request would get the same response; may ask the disk."""

    @property
    def valid_until_s(self) -> float:
        """Until when nobody needs to ask (monotonic seconds)."""


class Request:
    """One request, as handlers see it.

    Attributes:
        head: method, fields and version as received.
        path: the decoded path, normalised, starting with a slash; any bytes but NUL.
        query: what follows the question mark, undecoded, or None without one.
        authority: host and port the request is for, from the target or the Host field; empty on HTTP/1.0 without.
    """

    __slots__ = ("authority", "head", "path", "query")

    def __init__(
        self, head: RequestHead, path: bytes, query: bytes | None, authority: bytes
    ) -> None:
        self.head = head
        self.path = path
        self.query = query
        self.authority = authority


class Response:
    """One answer: status, fields and content.

    A response owns one reference to every file among its pieces; `release` gives them back.

    Attributes:
        status: the status code.
        fields: field lines without Date, Server, Content-Length and Connection, which the engine adds.
        pieces: the content in order; empty when there is none.
        explanation: for an error without content of its own: a sentence for the page that the engine makes.
        validity: set by a handler whose answer is a pure function of the request head and of what `validity`
            watches; None means that the answer may not be used again.
    """

    __slots__ = ("explanation", "fields", "pieces", "status", "validity")

    def __init__(
        self,
        status: int,
        fields: FieldLines,
        pieces: tuple[Piece, ...] = (),
        *,
        explanation: str | None = None,
        validity: Validity | None = None,
    ) -> None:
        self.status = status
        self.fields = fields
        self.pieces = pieces
        self.explanation = explanation
        self.validity = validity
        for piece in pieces:
            if isinstance(piece, FileSpan):
                piece.file.acquire()

    def release(self) -> None:
        """Give back the files; the response cannot be sent afterwards. Idempotent."""
        for piece in self.pieces:
            if isinstance(piece, FileSpan):
                piece.file.release()
        self.pieces = ()


def failure(status: int, explanation: str, fields: FieldLines | None = None) -> Response:
    """Return an error response whose page is left to the engine, which knows what the client accepts."""
    return Response(status, fields or [], explanation=explanation)


class Deferred:
    """An answer that takes work which may block: the engine has it done in a thread.

    Attributes:
        blocking_respond: makes the response; called once, in a thread. What it raises is answered with 500.
        lane: answers of one lane share a part of the threads, so that one kind of work cannot hold up the others.
    """

    __slots__ = ("blocking_respond", "lane")

    def __init__(self, blocking_respond: Callable[[], Response], lane: Hashable) -> None:
        self.blocking_respond = blocking_respond
        self.lane = lane


Handler = Callable[[Request], Response | Deferred]
"""Answers a request; plain, must not block, may raise only what is a fault of its own (answered with 500)."""
