"""The answer to `?archive=tar` and `?archive=zip`: a folder and all that is beneath it, as one download.

The walk through the folder is work of a `Deferred`; the archive itself is a `Production`, made in threads while it is
sent, and never whole anywhere. What goes in and what does not is told in `archive_contents`. The length is in the head,
so that a browser shows how far it has come, and a download that was cut off is never taken for a whole one. It cannot
be continued: the next survey may find another folder.

A survey stays in memory for as long as its archive is being sent, which the client decides. So the entries of all of
them together have a bound; beyond it, the next one is asked to come later.
"""

from __future__ import annotations

import threading
from weakref import WeakSet

from chute.errors import DescriptorsExhausted, FileForbidden, FileMissing
from chute.exchange import FieldLines, Production, Request, Response, failure
from chute.files.resolve import Root
from chute.semantics.content_disposition import attachment
from chute.static import archive_tar, archive_zip
from chute.static.archive_contents import ENTRIES_MAX, Contents, Survey, blocking_survey
from chute.transfer.method import Devices

ARCHIVES_LANE = "archive"
"""The share of the threads that folders are surveyed and archives are made in."""

ENTRIES_HELD_MAX = 4 * ENTRIES_MAX
"""Entries of all archives that are being sent, before another is begun."""

_MEDIA_TYPES = {"tar": b"application/x-tar", "zip": b"application/zip"}
_FORMATS = {"tar": archive_tar, "zip": archive_zip}
_NO_NAMES = (b"", b".", b"..")


class Archives:
    """Makes archives of the folders beneath one root; used by several threads at once."""

    def __init__(
        self,
        root: Root,
        devices: Devices | None = None,
        *,
        shows_hidden: bool,
        root_name: bytes = b"files",
        entries_max: int = ENTRIES_MAX,
        entries_held_max: int = ENTRIES_HELD_MAX,
    ) -> None:
        """Archive what is beneath `root`, which stays the caller's.

        Args:
            root: resolves the names.
            devices: what is known of the devices that files lie on; without it, that is found out here.
            shows_hidden: whether names that begin with a dot go in.
            root_name: what a folder is called that has no name in the request; that on the disk is nobody's business.
            entries_max: a folder with more is refused.
            entries_held_max: of all archives that are being sent, before another is begun.
        """
        assert root_name not in _NO_NAMES
        assert b"/" not in root_name
        self._root = root
        self._devices = devices or Devices()
        self._shows_hidden = shows_hidden
        self._root_name = root_name
        self._entries_max = entries_max
        self._entries_held_max = entries_held_max
        # Held by the productions alone: a survey is gone from here when its archive has been sent, or dropped.
        self._surveys: WeakSet[Survey] = WeakSet()
        self._surveys_lock = threading.Lock()

    def blocking_respond(self, request: Request, name: bytes, kind: str) -> Response:
        """Answer with a folder as one file; in a thread.

        For HEAD the same is done: the length is the only field that takes work, and it is what HEAD is asked for. No
        file is read for it, nor for anything else before the production begins.

        Args:
            request: what its path ends with is what the folder is called.
            name: the folder's name beneath the root; empty for the root.
            kind: `tar` or `zip`.
        """
        name = name.strip(b"/")
        survey = Survey(name + b"/" if name else b"")
        if not self._admit(survey):
            return failure(
                503,
                "The server is sending as many archives as it can; try again later.",
                [(b"Retry-After", b"60")],
            )
        try:
            blocking_survey(
                self._root,
                survey,
                shows_hidden=self._shows_hidden,
                entries_max=self._entries_max,
            )
        except FileMissing:
            return failure(404, "There is no folder with this name.")
        except FileForbidden:
            return failure(403, "The server may not read this folder.")
        except DescriptorsExhausted:
            return failure(
                503, "The server has too many files open; try again.", [(b"Retry-After", b"1")]
            )
        except OSError:
            return failure(500, "The folder could not be read.")
        if not survey.is_complete:
            return failure(
                403,
                f"This folder is too large for one archive, which holds {self._entries_max} files and folders at most. "
                "Its folders can be had one by one.",
            )
        top = request.path.strip(b"/").rpartition(b"/")[2]
        return self._respond(survey, self._root_name if top in _NO_NAMES else top, kind)

    def _admit(self, survey: Survey) -> bool:
        with self._surveys_lock:
            if sum(len(other.entries) for other in self._surveys) >= self._entries_held_max:
                return False
            self._surveys.add(survey)
            return True

    def _respond(self, survey: Survey, top: bytes, kind: str) -> Response:
        fields: FieldLines = [
            (b"Content-Type", _MEDIA_TYPES[kind]),
            (b"Content-Disposition", attachment(top + b"." + kind.encode())),
            (b"Cache-Control", b"no-store"),
            (b"Accept-Ranges", b"none"),
            (b"X-Content-Type-Options", b"nosniff"),
        ]
        archive = _FORMATS[kind]
        contents = Contents(self._root, self._devices, survey)
        return Response(
            200,
            fields,
            production=Production(
                archive.blocking_pieces(contents, survey, top),
                ARCHIVES_LANE,
                count=archive.archive_bytes(survey, top),
            ),
        )
