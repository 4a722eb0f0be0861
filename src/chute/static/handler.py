"""The static handler: a decoded path becomes a name beneath the root, and the name an answer.

Nothing here opens a file or interprets a condition: `files.open_files` opens, `files.respond` answers. What is left
is what a file server decides by itself: which methods, which index file, and when a folder wants its slash.
"""

from __future__ import annotations

import os
from functools import partial

from chute.clock import Clock
from chute.exchange import Deferred, Request, Response, failure
from chute.files.open_files import Absent, Entry, OpenFile, OpenFiles
from chute.files.resolve import Root
from chute.files.respond import respond, whole
from chute.semantics.media_types import media_type_for_name
from chute.semantics.negotiation import choose_media_type
from chute.semantics.target import encode_path
from chute.static.candidates import is_navigation, parse_candidates
from chute.static.folder import LANE, FolderPages
from chute.static.options import StaticOptions
from chute.transfer.method import Devices

ALLOWED = b"GET, HEAD, OPTIONS"

OFFERS = (b"text/html", b"application/json", b"text/plain")
"""What an error can be told in; the site's own documents are pages."""

_WELL_KNOWN = b"/.well-known/"

DEPENDS_ON = frozenset(
    {
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"range",
    }
)
"""The fields, beside method and target, that a reusable answer of this handler is a function of."""


class FilesUnchanged:
    """The validity of an answer: every name that was looked at still leads to what it led to."""

    __slots__ = ("_files", "_seen")

    def __init__(self, files: OpenFiles, entries: list[Entry]) -> None:
        self._files = files
        self._seen = tuple((entry, entry.found) for entry in entries)

    @property
    def valid_until_s(self) -> float:
        """The earliest time at which one of the names has to be looked at again."""
        return min(entry.valid_until_s for entry, _ in self._seen)

    def still_holds(self, now_s: float) -> bool:
        """Look at each name again, if its time is up."""
        del now_s  # `OpenFiles` shares the engine's clock
        return all(self._files.refresh(entry) is found for entry, found in self._seen)


class StaticHandler:
    """Answers GET, HEAD and OPTIONS from the files beneath one root."""

    def __init__(self, options: StaticOptions, clock: Clock) -> None:
        """Open the root that `options` name.

        Raises:
            ConfigError: the folder cannot be opened, or what is to be tried means nothing.
        """
        self._root = Root(os.fsencode(options.root))
        self._files = OpenFiles(
            self._root,
            clock,
            Devices(options.sendfile),
            valid_s=options.valid_s,
            entries_max=options.open_files_max,
            content_bytes_max=max(0, options.sendfile_min_bytes - 1),
        )
        self._index = [os.fsencode(name) for name in options.index]
        self._only = None if options.only is None else os.fsencode(options.only)
        self._candidates = parse_candidates(options.try_files)
        self._error_documents = {
            status: os.fsencode(name).lstrip(b"/") for status, name in options.error_documents
        }
        self._serves_hidden = options.hidden
        self._folder_pages = (
            FolderPages(self._root, shows_hidden=options.hidden) if options.listing else None
        )

    def handle(self, request: Request) -> Response | Deferred:
        """Answer one request (the handler contract of `exchange`)."""
        method = request.head.method
        if method not in (b"GET", b"HEAD"):
            if method == b"OPTIONS":
                return Response(204, [(b"Allow", ALLOWED)])
            return failure(
                405, "Files can be fetched with GET and HEAD only.", [(b"Allow", ALLOWED)]
            )
        name = request.path[1:]
        if self._only is not None and name != self._only:
            if name:
                return failure(404, "Only one file is shared here, under another name.")
            return Response(302, [(b"Location", encode_path(b"/" + self._only))])
        if self._is_hidden(request.path):
            return self._with_error_document(request, _answer_absent(Absent.MISSING))
        answer = self._try_each(request, name)
        if not isinstance(answer, Absent):
            return answer
        return self._with_error_document(request, _answer_absent(answer))

    def sweep(self) -> None:
        """Give back files that have not been used lately; called on a timer."""
        self._files.sweep()

    def give_back_descriptors(self) -> None:
        """Close every file that is not being sent: the process has run out of descriptors."""
        self._files.give_back_descriptors()

    def close(self) -> None:
        """Release every file and the root."""
        self._files.clear()
        self._root.close()

    def _is_hidden(self, path: bytes) -> bool:
        """Whether a name on the way begins with a dot, and such names are nobody's business (T21: `.git`, `.env`)."""
        if self._serves_hidden or b"/." not in path or self._only is not None:
            return False
        return not path.startswith(_WELL_KNOWN) or b"/." in path[1:]

    def _try_each(self, request: Request, name: bytes) -> Response | Deferred | Absent:
        """Answer with the first candidate that is there, or say why none is."""
        names_folder = name.endswith(b"/") or not name
        looked_at: list[Entry] = []
        for candidate in self._candidates:
            answer: Response | Deferred | Absent = Absent.MISSING
            match candidate.kind:
                case "file" if not names_folder:
                    answer = self._try_file(request, name + candidate.suffix, looked_at)
                case "folder" if names_folder:
                    answer = self._try_folder(request, name, looked_at)
                case "folder" if self._only is None and self._is_folder(name):
                    answer = _redirect_to_folder(request)
                case "fallback" if is_navigation(request.path, request.head.field_value(b"accept")):
                    answer = self._try_fallback(request, candidate.suffix, looked_at)
                case "status":
                    return failure(candidate.status, "There is no file with this name.")
                case _:
                    pass
            if answer not in (Absent.MISSING, Absent.DIRECTORY):
                return answer
        return Absent.MISSING

    def _is_folder(self, name: bytes) -> bool:
        return self._files.look_up(name).found is Absent.DIRECTORY

    def _try_folder(
        self, request: Request, name: bytes, looked_at: list[Entry]
    ) -> Response | Deferred | Absent:
        for index in self._index:
            answer = self._try_file(request, name + index, looked_at)
            if answer not in (Absent.MISSING, Absent.DIRECTORY):
                return answer
        folder = self._files.look_up(name).found
        if folder is not Absent.DIRECTORY:
            return folder if isinstance(folder, Absent) else Absent.MISSING
        if self._folder_pages is not None:
            return Deferred(partial(self._folder_pages.blocking_respond, request), LANE)
        return failure(403, "This folder has no index page, and its contents are not listed.")

    def _try_file(self, request: Request, name: bytes, looked_at: list[Entry]) -> Response | Absent:
        entry = self._files.look_up(name)
        looked_at.append(entry)
        file = entry.found
        if not isinstance(file, OpenFile):
            return file
        may_reuse = file.is_stable or file.entity_tag is not None
        return respond(
            file,
            request.head,
            media_type_for_name(name),
            validity=FilesUnchanged(self._files, looked_at) if may_reuse else None,
        )

    def _try_fallback(
        self, request: Request, name: bytes, looked_at: list[Entry]
    ) -> Response | Absent:
        """Answer with the page of an app; where only Accept made a navigation of it, for this request alone."""
        answer = self._try_file(request, name, looked_at)
        if isinstance(answer, Response) and not is_navigation(request.path, None):
            answer.validity = None
            answer.fields.append((b"Vary", b"Accept"))
        return answer

    def _with_error_document(self, request: Request, response: Response) -> Response:
        """Return `response` with the document that the site has for its status, for whoever reads pages."""
        name = self._error_documents.get(response.status)
        accept = request.head.field_value(b"accept")
        if name is None or choose_media_type(accept, OFFERS) != OFFERS[0]:
            return response
        file = self._files.look_up(name).found
        if not isinstance(file, OpenFile):
            return response
        fields = [(b"Content-Type", media_type_for_name(name)), *response.fields]
        return Response(response.status, fields, (whole(file),))


def _redirect_to_folder(request: Request) -> Response:
    """Send the client to the same path with a slash; a relative reference, so that no host can be injected."""
    location = encode_path(request.path + b"/")
    if request.query is not None:
        location += b"?" + request.query
    return Response(301, [(b"Location", location)])


def _answer_absent(why: Absent) -> Response:
    match why:
        case Absent.MISSING | Absent.DIRECTORY:
            return failure(404, "There is no file with this name.")
        case Absent.FORBIDDEN:
            return failure(403, "The server may not read this file.")
        case Absent.EXHAUSTED:
            return failure(
                503, "The server has too many files open; try again.", [(b"Retry-After", b"1")]
            )
        case Absent.UNREADABLE:
            return failure(500, "The file could not be read.")
