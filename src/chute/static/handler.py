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
from chute.files.respond import respond
from chute.semantics.media_types import media_type_for_name
from chute.semantics.target import encode_path
from chute.static.folder import LANE, FolderPages
from chute.static.options import StaticOptions
from chute.transfer.method import Devices

ALLOWED = b"GET, HEAD, OPTIONS"

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
            ConfigError: the folder cannot be opened.
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
            return _answer_absent(Absent.MISSING)
        if name.endswith(b"/") or not name:
            return self._answer_folder(request, name)
        entry = self._files.look_up(name)
        found = entry.found
        if isinstance(found, OpenFile):
            return self._answer_file(request, found, [entry])
        if found is Absent.DIRECTORY and self._only is None:
            return _redirect_to_folder(request)
        return _answer_absent(found)

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

    def _answer_folder(self, request: Request, name: bytes) -> Response | Deferred:
        looked_at: list[Entry] = []
        for index in self._index:
            entry = self._files.look_up(name + index)
            looked_at.append(entry)
            found = entry.found
            if isinstance(found, OpenFile):
                return self._answer_file(request, found, looked_at)
            if found not in (Absent.MISSING, Absent.DIRECTORY):
                return _answer_absent(found)
        folder = self._files.look_up(name).found
        if folder is Absent.DIRECTORY and self._folder_pages is not None:
            return Deferred(partial(self._folder_pages.blocking_respond, request), LANE)
        if folder is Absent.DIRECTORY:
            return failure(403, "This folder has no index page, and its contents are not listed.")
        return _answer_absent(folder if isinstance(folder, Absent) else Absent.MISSING)

    def _answer_file(self, request: Request, file: OpenFile, looked_at: list[Entry]) -> Response:
        reusable = file.is_stable or file.entity_tag is not None
        return respond(
            file,
            request.head,
            media_type_for_name(looked_at[-1].name),
            validity=FilesUnchanged(self._files, looked_at) if reusable else None,
        )


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
