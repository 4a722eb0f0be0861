"""The static handler: a decoded path becomes a name beneath the root, and the name an answer.

Nothing here opens a file or interprets a condition: `files.open_files` opens, `files.respond` answers. What is left
is what a file server decides by itself: which methods, which index file, and when a folder wants its slash.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from functools import partial

from chute.clock import Clock
from chute.errors import PeerError
from chute.exchange import (
    Deferred,
    Outcome,
    Redispatch,
    Request,
    Response,
    Resumption,
    Validity,
    failure,
)
from chute.files.ledger import Ledger
from chute.files.open_files import Absent, Entry, OpenFile, OpenFiles
from chute.files.resolve import Root
from chute.files.writing import HIDDEN_PREFIX
from chute.semantics.target import encode_path, normalise_path
from chute.static.answers import Found
from chute.static.archive import ARCHIVES_LANE, Archives
from chute.static.candidates import Candidate, is_navigation, parse_candidates
from chute.static.error_pages import ErrorPages
from chute.static.folder import LANE, FolderPages
from chute.static.media_types import MediaTypes
from chute.static.options import StaticOptions
from chute.static.setup import checked_prefix, make_answers, make_rate, make_uploads
from chute.static.uploads import FILE_METHODS, FOLDER_METHODS
from chute.transfer.method import Devices
from chute.variables.names import Names

READING = b"GET, HEAD, OPTIONS"

WORKS_MAX = 3
"""Works before one answer: a hash for a tag, a compressed form, and its digest. A file that changes all the time must
not have its client wait for ever."""

_WELL_KNOWN = b"/.well-known/"
_ARCHIVE = re.compile(rb"(?:^|&)archive=(tar|zip)(?:&|$)")


class FilesUnchanged:
    """The validity of an answer: every name that was looked at still leads to what it led to."""

    __slots__ = ("_files", "_seen")

    def __init__(self, files: OpenFiles, entries: list[Entry]) -> None:
        self._files = files
        self._seen = tuple((entry, entry.found) for entry in entries)

    @property
    def valid_until_s(self) -> float:
        """The earliest time at which one of the names has to be looked at again; never, if none was looked at."""
        return min((entry.valid_until_s for entry, _ in self._seen), default=math.inf)

    def still_holds(self, now_s: float) -> bool:
        """Look at each name again, if its time is up."""
        del now_s  # `OpenFiles` shares the engine's clock
        return all(self._files.refresh(entry) is found for entry, found in self._seen)


class Visit:
    """One request on its way through the handler.

    Attributes:
        request: the request.
        works_left: how often work may be done before it is answered.
        looked_at: every entry that the answer depends on.
    """

    __slots__ = ("looked_at", "request", "works_left")

    def __init__(self, request: Request, works_left: int) -> None:
        self.request = request
        self.works_left = works_left
        self.looked_at: list[Entry] = []


class StaticHandler:
    """Answers GET, HEAD and OPTIONS from the files beneath one root."""

    def __init__(
        self,
        options: StaticOptions,
        clock: Clock,
        ledger: Ledger | None = None,
        names: Names | None = None,
    ) -> None:
        """Open the root that `options` name.

        Args:
            options: what to serve, and how.
            clock: the engine's clock.
            ledger: what uploads share with those of other workers; needed where `options` allow them.
            names: what variables there are; those that every request has when left out.

        Raises:
            ConfigError: the folder cannot be opened, or what is to be tried means nothing.
        """
        # What can be refused is looked at before anything is open: a handler that cannot be made closes nothing.
        self._candidates = parse_candidates(options.try_files, names)
        self._prefix = checked_prefix(options.prefix)
        self._root = Root(os.fsencode(options.root), links=options.links)
        # Whoever uploads looks at what has become of it at once, and may ask another worker.
        valid_s = options.valid_s if options.uploads is None else 0.0
        devices = Devices(options.sendfile)
        self._files = OpenFiles(
            self._root,
            clock,
            devices,
            valid_s=valid_s,
            entries_max=options.open_files_max,
            content_bytes_max=max(0, options.sendfile_min_bytes - 1),
        )
        self._rate = make_rate(options)
        self._media_types = MediaTypes(options.media_types, charset=options.charset)
        self._answers = make_answers(options, self._files, self._media_types)
        self._index = [os.fsencode(name) for name in options.index]
        self._only = None if options.only is None else os.fsencode(options.only)
        self._error_pages = ErrorPages(self._files, self._media_types, options.error_documents)
        self._serves_hidden = options.hidden
        self._folder_pages = (
            FolderPages(
                self._root,
                clock,
                valid_s=valid_s,
                shows_hidden=options.hidden,
                archives=options.archives,
                uploads=options.uploads is not None,
            )
            if options.listing
            else None
        )
        self._archives = (
            Archives(self._root, devices, shows_hidden=options.hidden) if options.archives else None
        )
        self._uploads = make_uploads(options, self._root, ledger)

    def handle(self, request: Request) -> Outcome:
        """Answer one request (the handler contract of `exchange`)."""
        return self._answer(request, works_left=WORKS_MAX)

    def _answer(self, request: Request, *, works_left: int) -> Outcome:
        """Answer, now or after some work, as long as `works_left`. A failure gets the site's own page."""
        response = self._handle(request, works_left=works_left)
        if isinstance(response, Response) and response.explanation is not None:
            return self._error_pages.on(request, response)
        return response

    def _handle(self, request: Request, *, works_left: int) -> Outcome:
        if self._prefix != b"/":
            if not request.path.startswith(self._prefix):
                return self._answer_outside(request)
            request = request.beneath(self._prefix)
        method = request.head.method
        if method not in (b"GET", b"HEAD"):
            return self._receive(request)
        if method == b"HEAD" and self._uploads is not None:
            offset = self._uploads[1].respond(request)
            if offset is not None:
                return offset
        path = request.subpath
        name = path[1:]
        if self._only is not None and name != self._only:
            if name:
                return failure(404, "Only one file is shared here, under another name.")
            return Response(302, [(b"Location", encode_path(self._prefix + self._only))])
        if self._is_hidden(path):
            return _answer_absent(Absent.MISSING)
        found = self._try_each(Visit(request, works_left), name)
        return _answer_absent(found) if isinstance(found, Absent) else found

    def _receive(self, request: Request) -> Outcome:
        """Answer what is neither GET nor HEAD."""
        is_asking = request.head.method == b"OPTIONS"
        if self._uploads is None:
            if is_asking:
                return Response(204, [(b"Allow", READING)])
            return failure(
                405, "Files can be fetched with GET and HEAD only.", [(b"Allow", READING)]
            )
        at_once, in_parts = self._uploads
        if is_asking:
            names_folder = request.path.endswith(b"/")
            allow = FOLDER_METHODS if names_folder else FILE_METHODS
            return Response(204, [(b"Allow", allow), *in_parts.options()])
        return in_parts.respond(request) or at_once.respond(request)

    def sweep(self) -> None:
        """Give back files that have not been used lately; called on a timer."""
        self._files.sweep()

    def give_back_descriptors(self) -> None:
        """Close every file that is not being sent: the process has run out of descriptors."""
        self._files.give_back_descriptors()
        self._answers.give_back_descriptors()

    def close(self) -> None:
        """Release every file and the root."""
        self._answers.close()
        self._files.clear()
        self._root.close()

    def _is_hidden(self, path: bytes) -> bool:
        """Whether a name on the way begins with a dot, and such names are nobody's business (T21: `.git`, `.env`)."""
        if b"/." not in path or self._only is not None:
            return False
        if self._serves_hidden:
            return b"/" + HIDDEN_PREFIX in path  # what is on its way here is never served
        return not path.startswith(_WELL_KNOWN) or b"/." in path[1:]

    def _try_each(self, visit: Visit, name: bytes) -> Response | Deferred | Redispatch | Absent:
        """Answer with the first candidate that is there, or say why none is."""
        names_folder = name.endswith(b"/") or not name
        accept = visit.request.head.field_value(b"accept")
        for candidate in self._candidates:
            answer: Response | Deferred | Absent = Absent.MISSING
            match candidate.kind:
                case "file" if not names_folder:
                    answer = self._try_file(visit, name + candidate.suffix)
                case "folder" if names_folder:
                    answer = self._try_folder(visit, name)
                case "folder" if self._only is None and self._is_folder(visit, name):
                    answer = _redirect_to_folder(visit.request)
                case "computed":
                    answer = self._try_computed(visit, candidate)
                case "fallback" if is_navigation(visit.request.subpath, accept):
                    answer = self._try_fallback(visit, candidate.suffix)
                case "status":
                    return failure(candidate.status, "There is no file with this name.")
                case "elsewhere":
                    return Redispatch(candidate.suffix, self._validity(visit.looked_at))
                case _:
                    pass
            if answer not in (Absent.MISSING, Absent.DIRECTORY):
                return answer
        return Absent.MISSING

    def _look_up(self, visit: Visit, name: bytes) -> Entry:
        """Look for `name`, and remember that the answer depends on what was found."""
        entry = self._files.look_up(name)
        visit.looked_at.append(entry)
        trace = visit.request.trace
        if trace is not None:
            found = entry.found
            what = found.name.lower() if isinstance(found, Absent) else f"{found.size} bytes"
            trace(f"file /{name.decode('utf-8', 'backslashreplace')}: {what}")
        return entry

    def _is_folder(self, visit: Visit, name: bytes) -> bool:
        return self._look_up(visit, name).found is Absent.DIRECTORY

    def _try_folder(self, visit: Visit, name: bytes) -> Response | Deferred | Absent:
        archive = _ARCHIVE.search(visit.request.query or b"")
        if archive is not None and self._archives is not None:
            return self._deferred(
                visit.request,
                partial(self._archives.blocking_respond, visit.request, name, archive[1].decode()),
                ARCHIVES_LANE,
            )
        for index in self._index:
            answer = self._try_file(visit, name + index)
            if answer not in (Absent.MISSING, Absent.DIRECTORY):
                return answer
        folder = self._look_up(visit, name).found
        if folder is not Absent.DIRECTORY:
            return folder if isinstance(folder, Absent) else Absent.MISSING
        if self._folder_pages is not None:
            return self._deferred(
                visit.request,
                partial(self._folder_pages.blocking_respond, visit.request, name),
                LANE,
            )
        return failure(403, "This folder has no index page, and its contents are not listed.")

    def _deferred(
        self, request: Request, blocking_respond: Callable[[], Response], lane: str
    ) -> Deferred:
        """Have an answer made in a thread; a failure gets the site's own page, from this one."""

        def blocking_work() -> Response | Resumption:
            response = blocking_respond()
            if response.explanation is None:
                response.rate = self._rate
                return response
            return lambda: self._error_pages.on(request, response)

        return Deferred(blocking_work, lane)

    def _try_file(self, visit: Visit, name: bytes) -> Response | Deferred | Absent:
        entry = self._look_up(visit, name)
        file = entry.found
        if not isinstance(file, OpenFile):
            return file
        again = None
        if visit.works_left:
            again = partial(self._answer, visit.request, works_left=visit.works_left - 1)
        # Looking for what lies beside it may find no descriptor left, and have the cache let go of it.
        file.acquire()
        try:
            found = Found(name, file, visit.looked_at)
            return self._answers.answer(visit.request, found, self._validity, again)
        finally:
            file.release()

    def _validity(self, looked_at: list[Entry]) -> Validity:
        return FilesUnchanged(self._files, looked_at)

    def _try_fallback(self, visit: Visit, name: bytes) -> Response | Deferred | Absent:
        """Answer with the page of an app; where only Accept made a navigation of it, the answer says so."""
        answer = self._try_file(visit, name)
        if isinstance(answer, Response) and not is_navigation(visit.request.subpath, None):
            answer.fields.append((b"Vary", b"Accept"))
        return answer

    def _try_computed(self, visit: Visit, candidate: Candidate) -> Response | Deferred | Absent:
        """Answer with the file or folder that a template names, if it is one that may be named."""
        assert candidate.template is not None
        try:
            path = normalise_path(b"/" + candidate.template.render(visit.request).lstrip(b"/"))
        except PeerError:
            return Absent.MISSING  # a value that was never a path may climb
        if self._is_hidden(path):
            return Absent.MISSING
        if candidate.template.text.endswith("/"):  # as in nginx, whatever the variables end with
            return self._try_folder(visit, path[1:])
        return self._try_file(visit, path[1:])

    def _answer_outside(self, request: Request) -> Response:
        """Answer for a path that is not beneath the prefix; the prefix without its slash is a folder without one."""
        if request.path + b"/" == self._prefix:
            return _redirect_to_folder(request)
        return _answer_absent(Absent.MISSING)


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
