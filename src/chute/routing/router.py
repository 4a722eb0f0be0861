"""From a request to whoever answers it, and back: host, rewrites, location, handler; fields, error pages.

Theory of operation. The host chooses a site. The steps of the site may change the path; then a location is looked
for, whose own steps may change it again, in which case a location is looked for anew, at most `ROUNDS_MAX` times.
What the location's handler answers may lead elsewhere (`Redispatch`), or be a failure that the site has a page for:
then the same way is gone again, within the same bound. What is answered in the end gets the fields of the location
that answered.

An answer may come at once, or be made in a thread, or follow the content of the request. What needs the router again (a
redispatch, an error page) happens in the loop's thread; fields are added wherever the answer is made.

Nothing here is kept between two requests but what was compiled, so one router serves all listeners and generations.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

from chute.exchange import (
    Deferred,
    FieldLines,
    Handler,
    Intake,
    Journal,
    Outcome,
    Receiving,
    Redispatch,
    Request,
    Response,
    Resumption,
    Reuse,
    Validity,
    failure,
)
from chute.routing.error_pages import ErrorPage, as_failure, is_for, request_for_page
from chute.routing.hosts import Hosts
from chute.routing.locations import Locations
from chute.routing.rewrites import Ended, Steps
from chute.semantics.target import normalise_path
from chute.variables.names import remember_captures
from chute.variables.template import Template

logger = logging.getLogger("chute.routing")

ROUNDS_MAX: Final = 10
"""How often a location may be looked for anew, as in nginx."""


class Location(NamedTuple):
    """What answers for a part of a site, compiled.

    Attributes:
        name: as written, for people.
        handler: answers.
        root: the folder that it serves, or empty.
        subpath: the name beneath the root that is served whatever the path, with a slash; or None.
        is_internal: whether only the server itself leads here.
        steps: are taken first; or None.
        fields: for every answer; a constant, or a template. An empty value takes a field away.
        error_pages: by status.
        journal: where answers are noted; or None.
    """

    name: str
    handler: Handler
    root: str = ""
    subpath: bytes | None = None
    is_internal: bool = False
    steps: Steps | None = None
    fields: tuple[tuple[bytes, Template], ...] = ()
    error_pages: Mapping[int, ErrorPage] = {}
    journal: Journal | None = None


class Site(NamedTuple):
    """A site, compiled.

    Attributes:
        name: its first, or empty.
        steps: are taken before a location is looked for; or None.
        locations: those that a path leads to.
        named: those that only others lead to, by name with its `@`.
        rest: answers for what no location is for.
    """

    name: bytes
    steps: Steps | None
    locations: Locations[Location]
    named: Mapping[bytes, Location]
    rest: Location


class Way:
    """One request on its way through a site.

    Attributes:
        request: the request.
        site: its site.
        rounds_left: how often it may still be sent elsewhere.
        is_internal: whether the server itself has sent it where it is.
        failed: the failure that a page is looked for, or None.
        decided_by: what it was sent on by, and may not be for ever.
    """

    __slots__ = ("decided_by", "failed", "is_internal", "request", "rounds_left", "site")

    def __init__(self, request: Request, site: Site) -> None:
        self.request = request
        self.site = site
        self.rounds_left = ROUNDS_MAX
        self.is_internal = False
        self.failed: Response | None = None
        self.decided_by: tuple[Validity, ...] = ()


class AllHold:
    """The validity of an answer that came about by several decisions."""

    __slots__ = ("_parts",)

    def __init__(self, parts: tuple[Validity, ...]) -> None:
        self._parts = parts

    @property
    def valid_until_s(self) -> float:
        """See `exchange.Validity`."""
        return min(part.valid_until_s for part in self._parts)

    def still_holds(self, now_s: float) -> bool:
        """See `exchange.Validity`."""
        return all(part.still_holds(now_s) for part in self._parts)


class Router:
    """Answers for all sites of one listener."""

    def __init__(self, hosts: Hosts[Site]) -> None:
        """Route to the sites that `hosts` chooses."""
        self._hosts = hosts

    def handle(self, request: Request) -> Outcome:
        """Answer one request (the handler contract of `exchange`)."""
        site, match = self._hosts.find(request.authority)
        request.site = site.name
        if match is not None:
            remember_captures(request, match)
        if request.trace is not None:
            name = site.name.decode() or "without a name"
            request.trace(f"site {name}: {self._hosts.how(request.authority)}")
        return _enter_site(Way(request, site))


def _enter_site(way: Way) -> Outcome:
    """Take the steps of the site, and look for a location."""
    request, site = way.request, way.site
    request.journal = site.rest.journal
    if site.steps is not None:
        ended = site.steps.run(request)
        if not isinstance(ended, Ended):
            return _settle(way, site.rest, ended)
        way.is_internal = way.is_internal or ended is not Ended.UNCHANGED
    return _enter_location(way, _find(way))


def _find(way: Way) -> Location:
    """Return the location for the path as it is now."""
    request = way.request
    found = way.site.locations.find(request.path, request, request.trace)
    if found is None:
        if request.trace is not None:
            request.trace("no location is for this path: what the site itself says holds")
        return way.site.rest
    for match in found.around:
        remember_captures(request, match)
    if found.match is not None:
        remember_captures(request, found.match)
    return found.value


def _enter_location(way: Way, location: Location) -> Outcome:
    """Take the steps of a location, of another one if they lead there, and have the last of them answer."""
    request = way.request
    while True:
        request.journal = location.journal
        if location.is_internal and not way.is_internal:
            if request.trace is not None:
                request.trace(f"location {location.name} is internal, and answers 404")
            return _settle(way, location, _missing())
        if location.steps is None:
            break
        ended = location.steps.run(request)
        if not isinstance(ended, Ended):
            return _settle(way, location, ended)
        way.is_internal = way.is_internal or ended is not Ended.UNCHANGED
        if ended is not Ended.CHANGED:
            break
        if not _may_go_on(way, location):
            return _settle(way, location, _looped())
        location = _find(way)
    request.root = location.root
    request.subpath = request.path if location.subpath is None else location.subpath
    return _settle(way, location, location.handler(request))


def _may_go_on(way: Way, location: Location) -> bool:
    way.rounds_left -= 1
    if way.rounds_left >= 0:
        return True
    logger.error(
        "%r goes round in circles: after %d rounds, location %s leads to %r again",
        way.request.head.request_target,
        ROUNDS_MAX,
        location.name,
        way.request.path,
    )
    return False


def _settle(way: Way, location: Location, outcome: Outcome) -> Outcome:
    """Have `outcome`, by `location`, become what is answered in the end."""
    if isinstance(outcome, Response):
        return _finish(way, location, outcome)
    if isinstance(outcome, Redispatch):
        if outcome.validity is None:
            way.request.narrow(Reuse.NEVER)
        else:
            way.decided_by = (*way.decided_by, outcome.validity)
        return _redispatch(way, location, outcome.target)
    if isinstance(outcome, Deferred):
        work = partial(_blocking_settle, way, location, outcome.blocking_respond)
        return Deferred(work, outcome.lane, on_dropped=outcome.on_dropped)
    intake = _FinishingIntake(outcome.intake, way, location)
    return Receiving(intake, outcome.lane, content_bytes_max=outcome.content_bytes_max)


def _blocking_settle(
    way: Way, location: Location, blocking_respond: Callable[[], Response | Resumption]
) -> Response | Resumption:
    outcome = blocking_respond()
    if not isinstance(outcome, Response):
        return lambda: _settle(way, location, outcome())
    if outcome.explanation is None and way.failed is None:
        # Here, and not in the loop: a response that nobody waits for any more is given back only as itself.
        return _dress(way, location, outcome)
    if outcome.explanation is None:
        assert way.failed is not None
        return _dress(way, location, as_failure(outcome, way.failed))
    return lambda: _finish(way, location, outcome)


def _finish(way: Way, location: Location, response: Response) -> Outcome:
    """Show the page that there is for a failure, and add the fields."""
    failed = way.failed
    if failed is not None:
        # This was to be the page. A failure with content of its own (`return 404 "gone"`) is one, as in nginx.
        if response.explanation is not None:
            response.release()
            if response.validity is None:
                failed.validity = None  # the page may be there the next time
            return _dress(way, location, failed)
        return _dress(way, location, as_failure(response, failed))
    page = None if response.explanation is None else location.error_pages.get(response.status)
    is_spent = page is not None and page.target and way.rounds_left < 0
    if page is None or is_spent or not is_for(page, way.request):
        return _dress(way, location, response)
    if page.sentence:
        response.explanation = page.sentence
        return _dress(way, location, response)
    return _show_page(way, location, response, page.target)


def _show_page(way: Way, location: Location, response: Response, target: bytes) -> Outcome:
    if way.request.trace is not None:
        way.request.trace(f"{response.status} is shown by {target.decode()}")
    reuse = way.request.reuse
    onward = Way(request_for_page(way.request), way.site)
    onward.request.narrow(reuse)
    onward.rounds_left = way.rounds_left
    onward.decided_by = way.decided_by
    onward.failed = response
    outcome = _redispatch(onward, location, target)
    way.request.journal = onward.request.journal or way.request.journal
    way.request.response = onward.request.response
    return outcome


def _redispatch(way: Way, location: Location, target: bytes) -> Outcome:
    """Have whoever answers for `target` answer."""
    request = way.request
    way.is_internal = True
    if request.trace is not None:
        request.trace(f"sent on to {target.decode('utf-8', 'backslashreplace')}")
    if not _may_go_on(way, location):
        return _finish(way, location, _looped())
    if target.startswith(b"@"):
        if request.trace is not None:
            request.trace(f"location {target.decode()}")
        return _enter_location(way, way.site.named.get(target, way.site.rest))
    path, _, query = target.partition(b"?")
    request.path = normalise_path(b"/" + path.lstrip(b"/"))
    request.query = query or None  # it was for another path, and is still in `$request_uri`
    return _enter_site(way)


def _dress(way: Way, location: Location, response: Response) -> Response:
    """Add the fields of a location, and say for whom else the answer is right, and for how long."""
    request = way.request
    if location.fields:
        request.response = response
        fields: FieldLines = list(response.fields)
        for name, template in location.fields:
            value = template.render(request)
            fields = [field for field in fields if field[0].lower() != name.lower()]
            if value:
                fields.append((name, value))
        response.fields = fields
    if request.reuse is Reuse.NEVER:
        response.validity = None
    elif request.reuse is Reuse.BY_HEAD:
        response.is_particular = True
    if way.decided_by and response.validity is not None:
        response.validity = AllHold((*way.decided_by, response.validity))
    request.response = response
    return response


def _missing() -> Response:
    return failure(404, "There is nothing with this name.")


def _looped() -> Response:
    return failure(
        500, "The rules of this site lead round in circles; the server's log says where."
    )


class _FinishingIntake:
    """An intake whose responses get the fields of a location."""

    __slots__ = ("_intake", "_location", "_way")

    def __init__(self, intake: Intake, way: Way, location: Location) -> None:
        self._intake = intake
        self._way = way
        self._location = location

    def blocking_take(self, block: bytes) -> Response | None:
        response = self._intake.blocking_take(block)
        return None if response is None else _dress(self._way, self._location, response)

    def blocking_finish(self) -> Response:
        return _dress(self._way, self._location, self._intake.blocking_finish())

    def blocking_give_up(self) -> None:
        self._intake.blocking_give_up()
