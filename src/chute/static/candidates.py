"""What is tried, in which order, when a path is asked for: nginx's try_files, and the fallback of a single-page app.

A list such as `$uri $uri.html $uri/ /index.html =404` is read once. `$uri` stands for the path; what follows it is
appended. `$uri/` is a folder, with its index page or its listing. `=404` is a status, `@name` a location that answers
instead. A path with variables in it, `/cache/$host$uri.html`, is the name of another file, or of a folder if it ends
with a slash. Anything else is the name of one file beneath the root, for whatever was not found: the page of an app
that finds its own way from the path.

Such a page answers a navigation only: GET or HEAD, and either a path whose last part has no extension, or a client that
asks for `text/html` by name. A script or an image that is missing stays missing; a page in its place is what makes
people search for "unexpected token <".
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from chute.errors import ConfigError
from chute.variables.names import Names
from chute.variables.template import Template

Kind = Literal["file", "folder", "computed", "fallback", "status", "elsewhere"]

LAST: Final = ("fallback", "status", "elsewhere")
"""Kinds that answer everything that comes to them."""

_STATUS = re.compile(r"=([1-5][0-9]{2})")
_NAME_GOES_ON = re.compile(r"[A-Za-z0-9_]")
_NAMED = re.compile(r"@[A-Za-z0-9_.-]+")
_HTML = re.compile(rb"(?:^|[ \t,])text/html(?:[ \t;,]|$)", re.IGNORECASE)

EXAMPLE = "for example '$uri $uri.html $uri/ /index.html'"


class Candidate(NamedTuple):
    """One thing to try.

    Attributes:
        kind: `file`: the path with `suffix` behind it; `folder`: the folder of that name; `computed`: what `template`
            names; `fallback`: one file, for navigations; `status`: an answer without a file; `elsewhere`: a named
            location.
        suffix: what is appended to the path; or the name of the fallback beneath the root, without a leading slash; or
            that of the location, with its `@`.
        status: of the answer; 404 for all but `status`.
        template: a path beneath the root, with variables; or None.
    """

    kind: Kind
    suffix: bytes = b""
    status: int = 404
    template: Template | None = None


USUAL = (Candidate("file"), Candidate("folder"))


def parse_candidates(items: Sequence[str], names: Names | None = None) -> tuple[Candidate, ...]:
    """Read a try-files list; an empty one is `$uri $uri/`.

    Args:
        items: see the module.
        names: what variables there are; those that every request has when left out.

    Raises:
        ConfigError: an item means nothing, or can never be reached.
    """
    candidates: list[Candidate] = []
    for item in items:
        if not candidates and _NAMED.fullmatch(item):
            raise ConfigError(f"{item!r} comes first, so nothing is tried", hint=EXAMPLE)
        if candidates and candidates[-1].kind in LAST:
            raise ConfigError(
                f"{item!r} is never tried: {items[len(candidates) - 1]!r} answers everything before it"
            )
        candidates.append(_parse(item, names or Names()))
    return tuple(candidates) or USUAL


def _parse(item: str, names: Names) -> Candidate:
    status = _STATUS.fullmatch(item)
    if status is not None:
        return Candidate("status", status=int(status[1]))
    if _NAMED.fullmatch(item) is not None:
        return Candidate("elsewhere", item.encode())
    if item.startswith("$uri"):
        suffix = item.removeprefix("$uri")
        if suffix == "/":
            return Candidate("folder")
        if "/" not in suffix and "$" not in suffix and _NAME_GOES_ON.match(suffix) is None:
            return Candidate("file", suffix.encode("utf-8", "surrogateescape"))
    if "$" in item and item[0] in "/$" and "?" not in item:
        return Candidate("computed", template=Template(item, names))
    if item.startswith("/") and "$" not in item and not item.endswith("/"):
        return Candidate("fallback", item[1:].encode("utf-8", "surrogateescape"))
    raise ConfigError(f"{item!r} is nothing that can be tried", hint=EXAMPLE)


def is_navigation(path: bytes, accept: bytes | None) -> bool:
    """Whether a person goes to `path`, as opposed to a page that loads a part of itself."""
    return not posixpath.splitext(path)[1] or (
        accept is not None and _HTML.search(accept) is not None
    )
