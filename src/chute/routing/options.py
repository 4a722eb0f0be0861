"""What can be set about routing. `config` composes this."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Then = Literal["", "last", "break", "redirect", "permanent"]

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
"""Statuses that send a client elsewhere (RFC 9110, 15.4)."""


class RedirectOptions(msgspec.Struct, frozen=True, kw_only=True, tag="redirect"):
    """An answer that sends the client elsewhere.

    Attributes:
        to: a path or a URL; may contain variables.
        status: one of `REDIRECTS`.
    """

    to: str
    status: int = 302


class RespondOptions(msgspec.Struct, frozen=True, kw_only=True, tag="respond"):
    """A fixed answer.

    Attributes:
        status: from 200 to 599.
        text: the content; may contain variables. None for none: a failure then has its usual page.
        media_type: of the content.
    """

    status: int = 200
    text: str | None = None
    media_type: str = "text/plain; charset=utf-8"


class RewriteOptions(msgspec.Struct, frozen=True, kw_only=True):
    """One step; see `rewrites`.

    Attributes:
        when: conditions, all of which must hold.
        match: a regular expression for the path, or None for any.
        to: the new path, or the value of the variable.
        then: what comes next.
        variable: the name of the variable that is set, or empty.
        answer: what ends the request, or None.
    """

    when: tuple[str, ...] = ()
    match: str | None = None
    to: str | None = None
    then: Then = ""
    variable: str = ""
    answer: RedirectOptions | RespondOptions | None = None
