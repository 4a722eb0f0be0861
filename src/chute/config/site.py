"""One site of a document, and its locations: from tables to what is served.

Everything that can be wrong in it is found here, by trying: a regular expression is compiled, a template is looked
through, a password file is read. What is compiled is thrown away again; the configuration stays a value.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from chute.config.actions import NOT_BUILT, Actions
from chute.config.bind import is_local
from chute.config.complaints import Complaints
from chute.config.document import LocationTable, RewriteTable, Scope, SiteTable
from chute.config.load import Source
from chute.config.model import Action, Listener, Location, Site
from chute.config.problems import Located, Path
from chute.config.scope_parts import Parts, ScopeChecks, resolve_parts, texts
from chute.config.scopes import anchored, merge_scopes, says_something
from chute.config.spelling import did_you_mean
from chute.errors import ConfigError
from chute.routing.hosts import parse_name
from chute.routing.locations import Kind, Match, parse_match
from chute.routing.options import RespondOptions, RewriteOptions
from chute.routing.rewrites import announce
from chute.static.options import StaticOptions
from chute.variables.conditions import compile_conditions, parse_condition
from chute.variables.names import Names
from chute.variables.patterns import compile_pattern

_MISSING: Final = RespondOptions(status=404)

_REGEXES = (Kind.REGEX, Kind.REGEX_IGNORING_CASE)
_LITERAL_PREFIXES = (Kind.PREFIX, Kind.PREFIX_WITHOUT_REGEX)


class Surroundings(NamedTuple):
    """What a site may refer to.

    Attributes:
        names: variables.
        listeners: by name.
        formats: names of log formats.
        upstreams: names of upstreams.
    """

    names: Names
    listeners: Mapping[str, Listener]
    formats: set[str]
    upstreams: set[str]


class Around(NamedTuple):
    """What a location is in.

    Attributes:
        scope: what holds there.
        parts: what that comes to.
        is_internal: whether only the server itself leads there; then so it is with all that is within.
    """

    scope: Scope
    parts: Parts
    is_internal: bool = False


class SiteResolver:
    """Resolves one site.

    Attributes:
        source: the file that it is in.
        path: where in it.
        table: what is written.
    """

    def __init__(
        self, source: Source, path: Path, table: SiteTable, surroundings: Surroundings
    ) -> None:
        """Begin with the site at `path` of `source`."""
        self.source = source
        self.path = path
        self.table = table
        self._surroundings = surroundings
        self._names = surroundings.names
        self._complaints = Complaints(source)
        self._actions = Actions(self._complaints, self._names, surroundings.upstreams)
        self._checks = ScopeChecks(self._complaints, self._names, surroundings.formats)
        self._led_to: list[tuple[str, Path]] = []

    @property
    def problems(self) -> Sequence[Located]:
        """What was found."""
        return self._complaints.problems

    @property
    def shown(self) -> str:
        """How people know the site."""
        names = self.table.names
        return f"the site {names[0]!r}" if names else "the site without a name"

    # ------------------------------------------------------------------ first: variables

    def announce(self) -> None:
        """Tell what variables the site sets, before anything that may name them is looked at."""
        for index, name in enumerate(self.table.names):
            if name.startswith("~"):
                here = (*self.path, "names", index)
                self._complaints.attempt(here, self._announce_pattern, name[1:], ignores_case=True)
        self._announce_rewrites(self.path, self.table.rewrite)
        self._announce_locations(self.path, self.table.location)

    def _announce_pattern(self, text: str, *, ignores_case: bool) -> None:
        self._names.add_captures(compile_pattern(text, ignores_case=ignores_case))

    def _announce_condition(self, text: str) -> None:
        pattern = parse_condition(text).pattern
        if pattern is not None:
            self._names.add_captures(pattern)

    def _announce_rewrites(self, path: Path, tables: Sequence[RewriteTable]) -> None:
        for index, table in enumerate(tables):
            options = RewriteOptions(
                when=texts(table.when), match=table.match, variable=table.set or ""
            )
            here = (*path, "rewrite", index)
            self._complaints.attempt(here, announce, [options], self._names)

    def _announce_locations(self, path: Path, tables: Sequence[LocationTable]) -> None:
        attempt = self._complaints.attempt
        for index, table in enumerate(tables):
            here = (*path, "location", index)
            match = attempt((*here, "match"), parse_match, table.match)
            if match is not None and match.kind in _REGEXES:
                ignores_case = match.kind is Kind.REGEX_IGNORING_CASE
                where = (*here, "match")
                attempt(where, self._announce_pattern, match.text, ignores_case=ignores_case)
            for text in texts(table.when):
                attempt((*here, "when"), self._announce_condition, text)
            self._announce_rewrites(here, table.rewrite)
            self._announce_locations(here, table.location)

    # ------------------------------------------------------------------ then: the rest

    def resolve(self, defaults: Scope) -> Site:
        """Return the site, as far as it goes, within `defaults`."""
        table, path = self.table, self.path
        self._check_names()
        if table.tls is not None:
            self._check_tls()
        scope = self._scope(path, table, defaults)
        parts = resolve_parts(scope)
        action: Action | None = None
        if scope.root is not None:
            action = self._actions.files(path, table, scope)
        rest = _location("/", action or _MISSING, parts)
        locations = self._locations(path, table.location, Around(scope, parts), None)
        self._lead_to(rest, path)
        self._check_uploads(path, rest)
        self._check_led_to(locations)
        return Site(
            names=table.names,
            is_default=bool(table.default),
            listeners=table.listeners or (),
            rewrites=self._actions.rewrites(path, table.rewrite),
            locations=tuple(locations),
            rest=rest,
        )

    def _check_names(self) -> None:
        for index, name in enumerate(self.table.names):
            self._complaints.attempt((*self.path, "names", index), parse_name, name)
        listeners = self._surroundings.listeners
        for index, name in enumerate(self.table.listeners or ()):
            if name not in listeners:
                what = f"there is no listener {name!r}"
                here = (*self.path, "listeners", index)
                self._complaints.add(here, what, did_you_mean(name, listeners))

    def _check_tls(self) -> None:
        tls = self.table.tls
        assert tls is not None
        for key, file in (("certificate", tls.certificate), ("key", tls.key or tls.certificate)):
            full = os.path.join(self.source.folder, file)
            if not os.access(full, os.R_OK):
                here = (*self.path, "tls", key)
                self._complaints.add(here, f"cannot read {file!r}", "check path and permissions")
        hint = "serve clear text, behind something that speaks TLS"
        self._complaints.add((*self.path, "tls"), f"TLS {NOT_BUILT}", hint)

    def _scope(self, path: Path, table: Scope, outer: Scope) -> Scope:
        """Return what holds within `table`; what it says itself is checked."""
        if not says_something(table):
            return outer
        self._checks.check(path, table)
        return merge_scopes(outer, anchored(table, self.source.folder))

    def _locations(
        self,
        path: Path,
        tables: Sequence[LocationTable],
        outer: Around,
        within: Match | None,
    ) -> list[Location]:
        found: list[Location] = []
        seen: dict[tuple[object, ...], int] = {}
        for index, table in enumerate(tables):
            here = (*path, "location", index)
            try:
                match = parse_match(table.match)
            except ConfigError:
                continue  # that was told when its variables were announced
            first = seen.setdefault(
                (match.kind in _LITERAL_PREFIXES or match.kind, match.text, texts(table.when)),
                index,
            )
            if first != index:
                what = f"{table.match!r} is for what location[{first}] is for already"
                hint = "make one of the two, or give them different conditions"
                self._complaints.add((*here, "match"), what, hint)
            if within is not None:
                self._check_nesting((*here, "match"), match, within)
            location = self._one_location(here, table, match, outer)
            if location is not None:
                found.append(location)
        return found

    def _check_nesting(self, path: Path, match: Match, within: Match) -> None:
        if within.kind in (Kind.EXACT, Kind.NAMED):
            what = f"nothing can be within {within.shown!r}, which is for one thing only"
        elif match.kind is Kind.NAMED:
            what = f"{match.shown!r} is within another location, where nobody finds it"
        elif (
            match.kind not in _REGEXES
            and within.kind in _LITERAL_PREFIXES
            and not match.text.startswith(within.text)
        ):
            what = f"{match.shown!r} is not beneath {within.shown!r}, so no path leads there"
        else:
            return
        self._complaints.add(path, what, "put it beside that location")

    def _one_location(
        self, path: Path, table: LocationTable, match: Match, outer: Around
    ) -> Location | None:
        scope = self._scope(path, table, outer.scope)
        parts = outer.parts if scope is outer.scope else resolve_parts(scope)
        is_internal = outer.is_internal if table.internal is None else table.internal
        when = texts(table.when)
        if when:
            self._complaints.attempt((*path, "when"), compile_conditions, when, self._names)
        action = self._actions.resolve(path, table, match, scope)
        rewrites = self._actions.rewrites(path, table.rewrite)
        locations: list[Location] = []
        if table.location:
            around = Around(scope, parts, is_internal)
            locations = self._locations(path, table.location, around, match)
        if action is None:
            return None
        location = _location(
            table.match,
            action,
            parts,
            when=when,
            is_internal=is_internal,
            rewrites=rewrites,
            locations=tuple(locations),
        )
        self._lead_to(location, path)
        self._check_uploads(path, location)
        return location

    def _check_uploads(self, path: Path, location: Location) -> None:
        """See that nobody can send files who happens to reach the server."""
        action = location.action
        if not isinstance(action, StaticOptions) or action.uploads is None:
            return
        known = self._surroundings.listeners
        binds = [known[name].bind for name in self.table.listeners or known if name in known]
        open_to_all = [str(bind) for bind in binds if not is_local(bind)]
        if open_to_all and not location.access.asks_for_passwords:
            what = f"upload at {open_to_all[0]} would let anybody who reaches it send files"
            self._complaints.add(path, what, "add auth, or listen at 127.0.0.1")

    # ------------------------------------------------------------------ named locations

    def _lead_to(self, location: Location, path: Path) -> None:
        """Remember which named locations `location` leads to."""
        for _, page in location.error_pages:
            if page.startswith("@") and " " not in page:
                self._led_to.append((page, path))
        if isinstance(location.action, StaticOptions):
            for candidate in location.action.try_files:
                if candidate.startswith("@"):
                    self._led_to.append((candidate, path))

    def _check_led_to(self, locations: Sequence[Location]) -> None:
        named = {location.match for location in locations if location.match.startswith("@")}
        written = {table.match for table in self.table.location}
        told: set[str] = set()
        for name, path in self._led_to:
            if name not in named | written | told:
                told.add(name)
                hint = did_you_mean(name, named) if named else ""
                hint = hint or f'add a location with match = "{name}"'
                self._complaints.add(path, f"there is no location {name!r}", hint)


def _location(
    match: str,
    action: Action,
    parts: Parts,
    *,
    when: tuple[str, ...] = (),
    is_internal: bool = False,
    rewrites: tuple[RewriteOptions, ...] = (),
    locations: tuple[Location, ...] = (),
) -> Location:
    return Location(
        match=match,
        when=when,
        is_internal=is_internal,
        rewrites=rewrites,
        action=action,
        access=parts.access,
        fields=parts.fields,
        error_pages=parts.error_pages,
        logs=parts.logs,
        locations=locations,
    )
