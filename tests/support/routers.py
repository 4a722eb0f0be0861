"""Routers of a few locations, whose handlers say who they are."""

from __future__ import annotations

import re

from chute.exchange import Deferred, Handler, Response, failure
from chute.routing.answers import ALWAYS
from chute.routing.error_pages import compile_pages
from chute.routing.hosts import Hosts
from chute.routing.locations import Entry, Kind, Locations, parse_match
from chute.routing.options import RewriteOptions
from chute.routing.rewrites import Steps, announce
from chute.routing.router import Location, Router, Site
from chute.variables.lookup import Phase
from chute.variables.names import Names
from chute.variables.template import Purpose, Template

Fields = tuple[tuple[bytes, Template], ...]


def fields(**texts: str) -> Fields:
    return tuple(
        (name.encode(), Template(text, Names(), purpose=Purpose.FIELD, until=Phase.RESPONSE))
        for name, text in texts.items()
    )


def steps(*options: RewriteOptions) -> Steps:
    names = Names()
    announce(options, names)
    return Steps(options, names)


def says(text: str) -> Handler:
    """A handler that says who answers, and for which path."""
    return lambda request: Response(
        200, [], (text.encode() + b" " + request.path,), validity=ALWAYS
    )


def fails(status: int = 404, *lines: tuple[bytes, bytes]) -> Handler:
    return lambda request: failure(status, "It failed.", list(lines))


def location(name: str, handler: Handler | None = None, **more: object) -> Location:
    return Location(name, handler or says(name), **more)  # type: ignore[arg-type]


def router(
    *locations: Location, site_steps: Steps | None = None, rest: Location | None = None
) -> Router:
    entries = []
    for each in locations:
        if each.name.startswith("@"):
            continue
        match = parse_match(each.name)
        pattern = re.compile(match.text.encode()) if match.kind is Kind.REGEX else None
        entries.append(Entry(match, each, pattern))
    named = {each.name.encode(): each for each in locations if each.name.startswith("@")}
    rest = rest or location("(none)")
    return Router(Hosts(Site(b"s", site_steps, Locations(entries), named, rest)))


def text_of(outcome: object) -> bytes:
    assert isinstance(outcome, Response), outcome
    return b"".join(piece for piece in outcome.pieces if isinstance(piece, bytes))


def response_of(outcome: object) -> Response:
    assert isinstance(outcome, Response), outcome
    return outcome


def rewrite(match: str, to: str, then: str = "") -> Steps:
    return steps(RewriteOptions(match=match, to=to, then=then))  # type: ignore[arg-type]


def finished(outcome: object) -> Response:
    """Do what is left to be done, in threads and in the loop."""
    for _ in range(20):
        if isinstance(outcome, Response):
            return outcome
        outcome = outcome.blocking_respond() if isinstance(outcome, Deferred) else outcome()  # type: ignore[operator]
    raise AssertionError("there is no end to it")


def with_pages(
    handler: Handler, *others: Location, page: str = "/page", status: int = 404
) -> Handler:
    failing = location("/a", handler, error_pages=compile_pages([(status, page)]))
    return router(failing, *others).handle
