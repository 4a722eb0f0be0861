"""The contract between the engine and everything that answers: a `Request` in, a `Response` out.

A handler is a plain function that must not block: `handle(request) -> Response | Deferred | Receiving | Redispatch`.
It never sees a socket. Content is opaque: bytes, spans of open files, or a production that makes such pieces while
they are sent; the engine alone turns a `Response` into bytes on a wire, and it alone knows by which protocol the
request came. Content of a request reaches only who asks for it, by answering with `Receiving`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from enum import IntEnum
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


class Ends(NamedTuple):
    """The two ends of the connection that a request came by, and what was spoken on it.

    Attributes:
        remote_address: of the client; `unix:` for a Unix socket.
        remote_port: of the client; 0 for a Unix socket.
        local_address: the one that the client reached; the path of a Unix socket.
        local_port: of this server; 0 for a Unix socket.
        scheme: `http` or `https`.
    """

    remote_address: str
    remote_port: int = 0
    local_address: str = ""
    local_port: int = 0
    scheme: bytes = b"http"


NOWHERE = Ends("")
"""The ends of no connection."""


class Reuse(IntEnum):
    """For which requests an answer may be used again, as far as that depends on what was asked of its request.

    What is read is deterministic: an answer for which nothing beyond the key was read is right for every request with
    that key, since each of them would have been asked the same questions, with the same outcomes.
    """

    BY_KEY = 0
    """For those that agree in method, target, host and the few fields that the listener's plans are keyed by."""
    BY_HEAD = 1
    """For those with the same head, byte for byte: another field was read."""
    NEVER = 2
    """For none: it depends on the connection, the time or chance."""


class Request:
    """One request, as handlers see it.

    Path, query and variables may be changed by whoever routes the request, before the handler sees it; the head never
    is.

    Attributes:
        head: method, fields and version as received.
        path: the decoded path, normalised, starting with a slash; any bytes but NUL.
        subpath: the part of it that names something beneath the location that answers, with its slash; the path itself
            unless `beneath` has taken something off.
        query: what follows the question mark, undecoded, or None without one.
        authority: host and port the request is for, from the target or the Host field; empty on HTTP/1.0 without.
        ends: of the connection.
        site: the first name of the site that answers, or empty.
        root: the folder that the location serves, or empty; only told to variables.
        variables: those that were set for this request, by name; None while there are none.
        captures: the groups of the regular expression that matched last; `captures[0]` is all of the match.
        reuse: for which requests the answer may be used again.
        response: the answer, as soon as there is one; for variables about it.
        journal: where the answer is noted; None for the listener's own.
        trace: told each decision in words, where somebody wants to know (`chute explain`); else None.
    """

    __slots__ = (
        "authority",
        "captures",
        "ends",
        "head",
        "journal",
        "path",
        "query",
        "response",
        "reuse",
        "root",
        "site",
        "subpath",
        "trace",
        "variables",
    )

    def __init__(
        self,
        head: RequestHead,
        path: bytes,
        query: bytes | None,
        authority: bytes,
        ends: Ends = NOWHERE,
    ) -> None:
        self.head = head
        self.path = path
        self.subpath = path
        self.query = query
        self.authority = authority
        self.ends = ends
        self.site = b""
        self.root = ""
        self.variables: dict[str, bytes] | None = None
        self.captures: tuple[bytes, ...] = ()
        self.reuse = Reuse.BY_KEY
        self.response: Response | None = None
        self.journal: Journal | None = None
        self.trace: Callable[[str], None] | None = None

    def beneath(self, prefix: bytes) -> Request:
        """Return the request for whoever answers beneath `prefix`: the beginning of its path, up to a slash.

        It is no copy: what is read for the answer must narrow the reuse of this very request.
        """
        self.subpath = self.path[len(prefix) - 1 :]
        return self

    def of(self, head: RequestHead, ends: Ends) -> Request:
        """Return a request that was routed as this one, but came with another `head`, or by another connection.

        The two share their variables: what is set for one, or made once as its id is, both have.
        """
        if self.variables is None:
            self.variables = {}
        request = Request(head, self.path, self.query, self.authority, ends)
        request.subpath = self.subpath
        request.site = self.site
        request.root = self.root
        request.variables = self.variables
        request.captures = self.captures
        request.reuse = self.reuse
        request.response = self.response
        request.journal = self.journal
        request.trace = self.trace
        return request

    def narrow(self, reuse: Reuse) -> None:
        """Note that something was read that narrows for whom the answer is right."""
        if reuse > self.reuse:
            self.reuse = reuse


class Answered(NamedTuple):
    """What is worth knowing of one finished answer.

    Attributes:
        head: the request, or None when it could not be parsed.
        request_line: what to show of a request that could not be parsed.
        status: the status code that was sent; 499 if the client did not wait.
        sent_bytes: bytes of content that the kernel accepted.
        duration_s: from the arrival of the last byte of the head to the last byte sent.
        carried: `buffer`, `sendfile` or `copy:<reason>`.
        is_complete: False when the connection ended before the answer did.
        head_bytes: bytes of the head that was sent.
        request: as it was routed, or None when it was not.
        ends: of the connection.
    """

    head: RequestHead | None
    request_line: bytes
    status: int
    sent_bytes: int
    duration_s: float
    carried: bytes
    is_complete: bool
    head_bytes: int = 0
    request: Request | None = None
    ends: Ends = NOWHERE


class LineFormat(Protocol):
    """One way to write a line about an answer, in three parts, two of which are the same for many lines."""

    def peer(self, ends: Ends) -> bytes:
        """The part that is the same for a whole connection."""

    def moment(self, second: int) -> bytes:
        """The part that is the same for a whole second."""

    def rest(self, answered: Answered) -> bytes:
        """Everything else, up to and with the line feed."""

    @property
    def is_repeatable(self) -> bool:
        """Whether `rest` is the same whenever the same head gets the same answer in no time worth mentioning."""


class Lines(Protocol):
    """Where lines of one format go."""

    format: LineFormat
    extend: Callable[[tuple[bytes, ...]], None]
    """Takes the three parts of a line."""


class Journal(Protocol):
    """Where the answers of a site are noted."""

    @property
    def main(self) -> Lines | None:
        """The one place where every answer is noted, if it is as simple as that."""

    @property
    def is_silent(self) -> bool:
        """Whether nothing is noted at all."""

    def note(self, answered: Answered) -> None:
        """Note an answer wherever it is to be noted."""


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
        is_particular: whether it may be used again for the same head only (`Reuse.BY_HEAD`).
    """

    __slots__ = (
        "explanation",
        "fields",
        "is_particular",
        "pieces",
        "production",
        "rate",
        "status",
        "validity",
    )

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
        self.is_particular = False
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


class Redispatch:
    """An answer that somebody else gives: whoever answers for `target`. Only a router understands it.

    Attributes:
        target: a path, decoded, with a query behind a `?`; or `@name` for a named location.
        validity: what the decision was made from, as for a response; None if it may not be taken for granted again.
    """

    __slots__ = ("target", "validity")

    def __init__(self, target: bytes, validity: Validity | None) -> None:
        self.target = target
        self.validity = validity


Outcome = Response | Deferred | Receiving | Redispatch

Resumption = Callable[[], Outcome]
"""What is left to do in the thread of the loop, after the part that may block."""

Handler = Callable[[Request], Outcome]
"""Answers a request; plain, must not block, may raise only what is a fault of its own (answered with 500)."""
