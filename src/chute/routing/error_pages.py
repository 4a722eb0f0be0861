"""What a site shows for failures: a sentence on the usual page, or what answers for another path.

The status stays what it was, and so do the fields that explain it (Allow, Retry-After, WWW-Authenticate). The other
path is asked for with GET, without a range and without conditions: a client that has the page already has it for
another status. If there is a failure there too, the usual page is shown. What a name that ends with `.html` leads to
is for those who read pages: a client that would rather have JSON or plain text gets the small answer that the engine
makes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from chute.errors import ConfigError
from chute.exchange import Request, Response
from chute.routing.options import REDIRECTS
from chute.semantics.messages import RequestHead
from chute.semantics.negotiation import reads_pages
from chute.semantics.status import reason_phrase

_STATUSES = re.compile(r"[45][0-9]{2}(?: +[45][0-9]{2})*")

EXAMPLE = (
    'for example "404" = "/errors/404.html", "502 503" = "@maintenance" or "403" = "Members only."'
)

_ABOUT_THE_FILE: Final = frozenset(
    {b"accept-ranges", b"cache-control", b"content-disposition", b"etag", b"last-modified"}
)
"""Fields about a representation that can be asked for under its own path, where it is none of this one."""


class ErrorPage(NamedTuple):
    """What is shown for a status: one of the two is there.

    Attributes:
        sentence: on the usual page.
        target: who answers: a path, with a query behind a `?`, or `@name`.
    """

    sentence: str = ""
    target: bytes = b""


def parse_statuses(text: str) -> tuple[int, ...]:
    """Return the statuses in `text`: one or several, with spaces between them.

    Raises:
        ConfigError: one is no status of a failure.
    """
    if _STATUSES.fullmatch(text) is not None:
        statuses = tuple(int(status) for status in text.split())
        if all(reason_phrase(status) for status in statuses):
            return statuses
    raise ConfigError(f"{text!r} are no statuses of failures", hint=EXAMPLE)


def parse_page(text: str) -> ErrorPage:
    """Read what is shown: `/path`, `@name`, or a sentence.

    Raises:
        ConfigError: it is neither; a sentence is told by its spaces.
    """
    if text.startswith("/") or (text.startswith("@") and " " not in text):
        return ErrorPage(target=text.encode("utf-8", "surrogateescape"))
    if " " in text:
        return ErrorPage(sentence=text)
    raise ConfigError(f"{text!r} is neither a path nor a sentence", hint=EXAMPLE)


def compile_pages(pages: Sequence[tuple[int, str]]) -> Mapping[int, ErrorPage]:
    """Return the page of each status.

    Raises:
        ConfigError: one is no page.
    """
    return {status: parse_page(page) for status, page in pages}


def is_for(page: ErrorPage, request: Request) -> bool:
    """Whether `page` is shown to whoever sent `request`: a page of HTML only to those who read pages."""
    is_html = page.target.endswith((b".html", b".htm"))
    return not is_html or reads_pages(request.head.field_value(b"accept"))


def request_for_page(request: Request) -> Request:
    """Return a request as `request`, but for a page: with GET, without conditions and without a range."""
    head = request.head
    fields = {
        name: value
        for name, value in head.fields.items()
        if name != b"range" and not name.startswith(b"if-")
    }
    plain = RequestHead(
        b"HEAD" if head.method == b"HEAD" else b"GET",
        head.request_target,
        head.minor_version,
        None,
        fields=fields,
        wants_close=head.wants_close,
    )
    return request.of(plain, request.ends)


def as_failure(page: Response, original: Response) -> Response:
    """Return `page` as the content of `original`, which it takes the place of; a redirect stays one, as in nginx."""
    names = {name.lower() for name, _ in original.fields}
    page.fields = [
        *original.fields,
        *(
            (name, value)
            for name, value in page.fields
            if name.lower() not in _ABOUT_THE_FILE and name.lower() not in names
        ),
    ]
    if page.status not in REDIRECTS:
        page.status = original.status
    if original.validity is None:
        page.validity = None
    return page
