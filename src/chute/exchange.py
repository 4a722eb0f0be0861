"""The contract between the engine and everything that answers: a `Request` in, a `Response` out.

A handler is a plain function that must not block: `handle(request) -> Response | Deferred | Receiving`. It never sees
a socket. Content is opaque: bytes, spans of open files, or a production that makes such pieces while they are sent; the
engine alone turns a `Response` into bytes on a wire, and it alone knows by which protocol the request came. Content of
a request reaches only who asks for it, by answering with `Receiving`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from typing import NamedTuple, Protocol

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
        subpath: the part of it that names something beneath the location that answers, with its slash; the path itself
            unless `beneath` has taken something off.
        query: what follows the question mark, undecoded, or None without one.
        authority: host and port the request is for, from the target or the Host field; empty on HTTP/1.0 without.
    """

    __slots__ = ("authority", "head", "path", "query", "subpath")

    def __init__(
        self, head: RequestHead, path: bytes, query: bytes | None, authority: bytes
    ) -> None:
        self.head = head
        self.path = path
        self.subpath = path
        self.query = query
        self.authority = authority

    def beneath(self, prefix: bytes) -> Request:
        """Return the same request for whoever answers beneath `prefix`: the beginning of its path, up to a slash."""
        request = Request(self.head, self.path, self.query, self.authority)
        request.subpath = self.path[len(prefix) - 1 :]
        return request


class Production:
    """Content that is made while it is sent, piece by piece, in threads: an archive, a long listing.

    Only one thread at a time asks for the next piece, and only once the one before has left, so that what waits for a
    slow client is one piece. Pieces of some 64 KiB and more are worth the way to a thread and back.

    Attributes:
        lane: productions of one lane share a part of the threads.
        count: bytes in all, when that is known beforehand: the content then has a length, and the production must
            come to exactly that many. None when it is not.
    """

    __slots__ = ("_pieces", "count", "lane")

    def __init__(
        self, pieces: Generator[Piece, None, None], lane: Hashable, *, count: int | None = None
    ) -> None:
        """Send what `pieces` yields.

        Args:
            pieces: may block. A span that it yields comes with one reference to its file, which is the taker's from
                then on. What it raises ends the connection, for the head has left. It is closed where it stands when
                nobody wants the rest.
            lane: see there.
            count: see there.
        """
        self._pieces = pieces
        self.lane = lane
        self.count = count

    def blocking_next(self) -> Piece | None:
        """Return the next piece, or None at the end."""
        return next(self._pieces, None)

    def close(self) -> None:
        """Make no more: the generator gives back what it holds. Not while `blocking_next` runs. Idempotent."""
        self._pieces.close()


class Rate(NamedTuple):
    """How fast an answer is sent at most.

    Attributes:
        bytes_per_s: above zero.
        after_bytes: so many are sent without a limit first.
    """

    bytes_per_s: int
    after_bytes: int = 0


class Response:
    """One answer: status, fields and content.

    A response owns one reference to every file among its pieces; `release` gives them back.

    Attributes:
        status: the status code.
        fields: field lines without Date, Server, Content-Length and Connection, which the engine adds.
        pieces: the content in order; empty when there is none.
        production: the content, in place of pieces; such a response answers one request only.
        explanation: for an error without content of its own: a sentence for the page that the engine makes.
        rate: how fast the content is sent at most, or None.
        validity: set by a handler whose answer is a pure function of the request head and of what `validity`
            watches; None means that the answer may not be used again.
    """

    __slots__ = ("explanation", "fields", "pieces", "production", "rate", "status", "validity")

    def __init__(
        self,
        status: int,
        fields: FieldLines,
        pieces: tuple[Piece, ...] = (),
        *,
        production: Production | None = None,
        explanation: str | None = None,
        validity: Validity | None = None,
        rate: Rate | None = None,
    ) -> None:
        self.status = status
        self.fields = fields
        self.pieces = pieces
        self.production = production
        self.explanation = explanation
        self.validity = validity
        self.rate = rate
        for piece in pieces:
            if isinstance(piece, FileSpan):
                piece.file.acquire()

    def release(self) -> None:
        """Give back the files; the response cannot be sent afterwards. Idempotent."""
        for piece in self.pieces:
            if isinstance(piece, FileSpan):
                piece.file.release()
        self.pieces = ()
        if self.production is not None:
            self.production.close()
            self.production = None


def failure(status: int, explanation: str, fields: FieldLines | None = None) -> Response:
    """Return an error response whose page is left to the engine, which knows what the client accepts."""
    return Response(status, fields or [], explanation=explanation)


class Deferred:
    """An answer that takes work which may block: the engine has it done in a thread.

    Attributes:
        blocking_respond: called once, in a thread; makes the response, or a function that the engine calls in the
            loop's thread and that answers like a handler. What it raises is answered with 500.
        lane: answers of one lane share a part of the threads, so that one kind of work cannot hold up the others.
        on_dropped: called in the loop's thread when a function that the work returns will not be called: because the
            work is not done at all, or has raised, or because nobody waits any more. Gives back what that function
            would have.
    """

    __slots__ = ("blocking_respond", "lane", "on_dropped")

    def __init__(
        self,
        blocking_respond: Callable[[], Response | Resumption],
        lane: Hashable,
        *,
        on_dropped: Callable[[], None] | None = None,
    ) -> None:
        self.blocking_respond = blocking_respond
        self.lane = lane
        self.on_dropped = on_dropped


class Intake(Protocol):
    """Takes the content of one request, in threads; never two calls at once, and none after the last of them.

    It ends with `blocking_finish`, with a response from `blocking_take`, or with `blocking_give_up`.
    """

    def blocking_take(self, block: bytes) -> Response | None:
        """Take the next bytes of the content, without transfer coding.

        Returns:
            None to go on; a response when no more is wanted: it is sent, and the connection ends.
        """

    def blocking_finish(self) -> Response:
        """Answer: all of the content has been taken."""

    def blocking_give_up(self) -> None:
        """Leave nothing behind that was not meant to stay: the rest will not come.

        Called too after `blocking_take` or `blocking_finish` has raised; that is answered with 500.
        """


class Receiving:
    """An answer that needs the content of the request first.

    A client that expects 100-continue is told to go on; whoever would refuse it anyway answers with a `Response`.

    Attributes:
        intake: where the content goes.
        lane: as for `Deferred`.
        content_bytes_max: more content than this is refused with 413, as soon as that can be told.
    """

    __slots__ = ("content_bytes_max", "intake", "lane")

    def __init__(self, intake: Intake, lane: Hashable, *, content_bytes_max: int) -> None:
        self.intake = intake
        self.lane = lane
        self.content_bytes_max = content_bytes_max


Resumption = Callable[[], Response | Deferred | Receiving]
"""What is left to do in the thread of the loop, after the part that may block."""

Handler = Callable[[Request], Response | Deferred | Receiving]
"""Answers a request; plain, must not block, may raise only what is a fault of its own (answered with 500)."""
