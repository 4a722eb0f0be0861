"""The site's own pages for failures: files beneath its root, or a sentence of its own on the usual page.

The status stays what it was. A page goes to who reads pages; a client that would rather have JSON gets the small
answer that the engine makes. A page that is not there is passed over: nothing is worse than an error while telling of
one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from chute.exchange import Request, Response
from chute.files.open_files import OpenFile, OpenFiles
from chute.files.respond import whole
from chute.semantics.negotiation import reads_pages
from chute.static.media_types import MediaTypes


class ErrorPages:
    """The pages of one site, by status."""

    def __init__(
        self, files: OpenFiles, media_types: MediaTypes, pages: Sequence[tuple[int, str]]
    ) -> None:
        """Find pages in `files`.

        Args:
            files: opens them.
            media_types: name their types.
            pages: for each status the name of a file beneath the root, with or without a leading slash, or a sentence,
                which is told from a name by its spaces. The last one for a status counts.
        """
        self._files = files
        self._media_types = media_types
        self._pages = dict(pages)

    def on(self, request: Request, response: Response) -> Response:
        """Return `response`, a failure, with the page that the site has for its status."""
        page = self._pages.get(response.status)
        if page is None:
            return response
        if is_sentence(page):
            response.explanation = page
            return response
        accept = request.head.field_value(b"accept")
        if not reads_pages(accept):
            return response
        name = os.fsencode(page).lstrip(b"/")
        file = self._files.look_up(name).found
        if not isinstance(file, OpenFile):
            return response
        fields = [(b"Content-Type", self._media_types.of(name)), *response.fields]
        return Response(response.status, fields, (whole(file),))


def is_sentence(page: str) -> bool:
    """Whether `page` is what to say, and not the name of a file."""
    return " " in page and not page.startswith("/")
