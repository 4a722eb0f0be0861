"""The answer for a folder without an index: what is in it, as a page, as JSON, or as plain text.

Which of them is chosen by `?format=html|json|text`, else by the Accept field. Reading a folder may wait for the disk,
and writing down a large one takes time, so both are done in a thread (`exchange.Deferred`), from a descriptor that was
resolved like every other name: strictly beneath the root.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator

from chute.clock import Clock
from chute.errors import DescriptorsExhausted, FileForbidden, FileMissing
from chute.exchange import FieldLines, Request, Response, failure
from chute.files.resolve import Root
from chute.semantics.negotiation import choose_media_type
from chute.semantics.preconditions import Outcome, evaluate
from chute.semantics.validators import entity_tag_for_content
from chute.static.listing import (
    ENTRIES_MAX,
    Item,
    View,
    arrange,
    blocking_read_folder,
    view_from_query,
)
from chute.static.listing_formats import render_json, render_text
from chute.static.listing_page import content_security_policy, render_html

LANE = "listing"
"""The share of the threads that folders are read in."""

_HTML, _JSON, _TEXT = b"text/html", b"application/json", b"text/plain"
_OFFERS = (_HTML, _JSON, _TEXT)
_FORMAT = re.compile(rb"(?:^|&)format=(html|json|text)(?:&|$)")
_NAMED = {b"html": _HTML, b"json": _JSON, b"text": _TEXT}


class ValidUntil:
    """The validity of a listing: for as long as nothing is asked of the disk for files either."""

    __slots__ = ("valid_until_s",)

    def __init__(self, valid_until_s: float) -> None:
        self.valid_until_s = valid_until_s

    def still_holds(self, now_s: float) -> bool:
        """Whether its time is not up; nothing says whether a folder has changed but reading it."""
        return now_s < self.valid_until_s


class FolderPages:
    """Lists folders beneath one root; used by several threads at once."""

    def __init__(
        self,
        root: Root,
        clock: Clock,
        *,
        valid_s: float,
        shows_hidden: bool,
        archives: bool = False,
        uploads: bool = False,
    ) -> None:
        """List what is beneath `root`, which stays the caller's.

        Args:
            root: resolves the names.
            clock: the engine's clock.
            valid_s: for how long a listing is taken for true.
            shows_hidden: whether names that begin with a dot are listed.
            archives: whether pages offer the folder as one file.
            uploads: whether pages offer to upload.
        """
        self._root = root
        self._clock = clock
        self._valid_s = valid_s
        self._archives = archives
        self._uploads = uploads
        self._shows_hidden = shows_hidden

    def blocking_respond(self, request: Request, name: bytes) -> Response:
        """Answer for the folder `name` beneath the root; in a thread."""
        valid_until_s = self._clock.now_s + self._valid_s
        try:
            fd = self._root.open(name)
        except (FileMissing, NotADirectoryError):
            return failure(404, "There is no file with this name.")
        except FileForbidden:
            return failure(403, "The server may not read this folder.")
        except DescriptorsExhausted:
            return failure(
                503, "The server has too many files open; try again.", [(b"Retry-After", b"1")]
            )
        try:
            items = blocking_read_folder(
                fd,
                shows_hidden=self._shows_hidden,
                resolve=lambda entry: self._look_behind(name + entry),
            )
        except PermissionError:
            return failure(403, "The server may not read this folder.")
        except OSError:
            return failure(500, "The folder could not be read.")
        finally:
            os.close(fd)
        return self._respond(request, items, valid_until_s)

    def _look_behind(self, name: bytes) -> os.stat_result | None:
        """Return what the link `name` leads to, if that is beneath the root."""
        try:
            fd = self._root.open(name)
        except (FileMissing, FileForbidden, DescriptorsExhausted, OSError):
            return None
        try:
            return os.fstat(fd)
        except OSError:
            return None
        finally:
            os.close(fd)

    def _respond(self, request: Request, items: list[Item], valid_until_s: float) -> Response:
        view = view_from_query(request.query)
        named = _FORMAT.search(request.query or b"")
        accept = request.head.field_value(b"accept")
        media_type = _NAMED[named[1]] if named else choose_media_type(accept, _OFFERS)
        fields: FieldLines = [
            (
                b"Content-Type",
                media_type if media_type == _JSON else media_type + b"; charset=utf-8",
            ),
            (b"Cache-Control", b"no-cache"),
            (b"Vary", b"Accept"),
            (b"X-Content-Type-Options", b"nosniff"),
        ]
        if media_type == _HTML:
            fields.append(
                (b"Content-Security-Policy", content_security_policy(uploads=self._uploads))
            )
        content = b"".join(self._render(media_type, request.path, items, view))
        validity = ValidUntil(valid_until_s) if self._valid_s else None
        # 2 of 60 ms, for 10 000 entries; and who has them all needs none of them again.
        entity_tag = entity_tag_for_content(hashlib.sha256(content).digest())
        fields.append((b"ETag", entity_tag.encoded))
        match evaluate(request.head, entity_tag=entity_tag, modified_s=None):
            case Outcome.NOT_MODIFIED:
                return Response(304, fields[1:], validity=validity)
            case Outcome.FAILED:
                return failure(412, "The folder is not in the state that the request asked for.")
            case Outcome.PROCEED:
                return Response(200, fields, (content,), validity=validity)

    def _render(
        self, media_type: bytes, path: bytes, items: list[Item], view: View
    ) -> Iterator[bytes]:
        arranged = arrange(items, view.order, view.needle)
        if media_type == _JSON:
            return render_json(arranged)
        if media_type == _TEXT:
            return render_text(arranged)
        return render_html(
            path,
            arranged,
            view.order,
            needle=view.needle,
            archives=self._archives,
            uploads=self._uploads,
            is_complete=len(items) < ENTRIES_MAX,
        )
