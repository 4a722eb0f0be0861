"""From the sites of a configuration to what answers for a listener.

What is said once and holds in many places (fields, error pages, logs, passwords) is compiled once: a location that
takes everything over from its site costs little more than its own name.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from chute.clock import Clock
from chute.compose.folders import Folders
from chute.config import model
from chute.config.model import Config
from chute.exchange import Handler, LineFormat
from chute.middleware import basic_auth, cors
from chute.middleware.access_log import AccessLog, AccessLogs, CombinedFormat, JsonFormat
from chute.middleware.basic_auth import BasicAuth
from chute.middleware.cors import with_cors
from chute.middleware.journal import Entry, SiteJournal
from chute.middleware.log_file import LogFile
from chute.middleware.log_template import TemplateFormat
from chute.middleware.options import COMBINED, JSON, AccessOptions, LogOptions
from chute.middleware.passwords import users_of
from chute.middleware.security_fields import with_security_fields
from chute.routing.answers import make_redirect, make_respond
from chute.routing.error_pages import ErrorPage, compile_pages
from chute.routing.hosts import Hosts
from chute.routing.locations import Entry as LocationEntry
from chute.routing.locations import Kind, Locations, parse_match
from chute.routing.options import RedirectOptions, RespondOptions, RewriteOptions
from chute.routing.rewrites import Steps, announce
from chute.routing.router import Location, Router, Site
from chute.static import answers
from chute.static.options import StaticOptions
from chute.variables.conditions import (
    compile_conditions,
    compile_log_conditions,
    parse_condition,
)
from chute.variables.lookup import Phase
from chute.variables.maps import make_map, patterns_of
from chute.variables.names import Names
from chute.variables.patterns import compile_pattern
from chute.variables.template import Purpose, Template

_LOOKS_AT_VARIABLES = re.compile(r"\$(?!uri(?:[^A-Za-z0-9_]|$))|.\$", re.DOTALL)
"""Finds what `try_files` may have beside the path itself."""

Fields = tuple[tuple[bytes, Template], ...]


class Built(NamedTuple):
    """What answers for a listener.

    Attributes:
        handler: answers.
        depends_on: names of the fields that a reusable answer is a function of.
        journal: where answers are noted that reach no site.
        line_format: of the logs of most of the sites; None if they have none.
    """

    handler: Handler
    depends_on: frozenset[bytes]
    journal: SiteJournal
    line_format: LineFormat | None


class SitesBuilder:
    """Builds what answers for each listener of one configuration."""

    def __init__(
        self, config: Config, names: Names, clock: Clock, folders: Folders, logs: AccessLogs
    ) -> None:
        """Build for `config`.

        Args:
            config: the configuration.
            names: its variables; see `announced_names`.
            clock: the engine's clock.
            folders: opens what is served.
            logs: takes over the logs that are opened.
        """
        self._config = config
        self._clock = clock
        self._folders = folders
        self._logs = logs
        self._names = names
        self._formats: dict[str, LineFormat] = {COMBINED: CombinedFormat(), JSON: JsonFormat()}
        for each in config.log_formats:
            self._formats[each.name] = TemplateFormat(each.template, self._names, each.escape)
        self._opened_logs: dict[tuple[str, str], AccessLog] = {}
        self._journals: dict[tuple[LogOptions, ...], SiteJournal] = {}
        self._pages: dict[tuple[tuple[int, str], ...], dict[int, ErrorPage]] = {}
        self._fields: dict[tuple[tuple[str, str], ...], Fields] = {}
        self._steps: dict[tuple[RewriteOptions, ...], Steps | None] = {}
        self._guards: dict[AccessOptions, BasicAuth | None] = {}
        self._sites: dict[int, Site] = {}
        self._depends_on: frozenset[bytes] = answers.DEPENDS_ON

    def build(self, listener: str) -> Built:
        """Return what answers for the listener of that name.

        Raises:
            ConfigError: something that its sites name cannot be opened.
        """
        served = [
            site for site in self._config.sites if not site.listeners or listener in site.listeners
        ]
        default = next((site for site in served if site.is_default), served[0])
        journal = self._journal(default.rest.logs)
        formats = Counter(
            main.format for site in served if (main := self._journal(site.rest.logs).main)
        )
        line_format = formats.most_common(1)[0][0] if formats else None
        only = _only_location(served)
        if only is not None:
            return Built(self._handler(only), self._depends_on, journal, line_format)
        hosts: Hosts[Site] = Hosts(self._site(default))
        for site in served:
            compiled = self._site(site)
            for name in site.names:
                hosts.add(name, compiled, _pattern_of_name(name))
        return Built(Router(hosts).handle, self._depends_on, journal, line_format)

    def _site(self, site: model.Site) -> Site:
        known = self._sites.get(id(site))
        if known is None:
            name = site.names[0] if site.names else ""
            known = self._sites[id(site)] = Site(
                name.encode(),
                self._steps_of(site.rewrites),
                Locations(
                    [self._entry(each) for each in site.locations if not each.match.startswith("@")]
                ),
                {
                    each.match.encode(): self._location(each)
                    for each in site.locations
                    if each.match.startswith("@")
                },
                self._location(site.rest, name="(none)"),
            )
        return known

    def _entry(self, location: model.Location) -> LocationEntry[Location]:
        match = parse_match(location.match)
        pattern: re.Pattern[bytes] | None = None
        if match.kind in (Kind.REGEX, Kind.REGEX_IGNORING_CASE):
            pattern = compile_pattern(
                match.text, ignores_case=match.kind is Kind.REGEX_IGNORING_CASE
            )
        nested = [self._entry(each) for each in location.locations]
        return LocationEntry(
            match,
            self._location(location),
            pattern=pattern,
            nested=Locations(nested) if nested else None,
            condition=compile_conditions(location.when, self._names),
        )

    def _location(self, location: model.Location, *, name: str = "") -> Location:
        action = location.action
        is_static = isinstance(action, StaticOptions)
        subpath = None
        if isinstance(action, StaticOptions) and action.only and location.match.startswith("="):
            subpath = b"/" + action.only.encode("utf-8", "surrogateescape")
        return Location(
            name or location.match,
            self._handler(location),
            action.root if is_static else "",  # type: ignore[union-attr]
            subpath,
            location.is_internal,
            self._steps_of(location.rewrites),
            self._fields_of(location.fields),
            self._pages_of(location.error_pages),
            self._journal(location.logs),
        )

    def _handler(self, location: model.Location) -> Handler:
        return self._guarded(self._unguarded(location.action), location.access)

    def _unguarded(self, action: model.Action) -> Handler:
        match action:
            case StaticOptions():
                return self._folders.handler(action)
            case RedirectOptions():
                return make_redirect(action, self._names)
            case RespondOptions():
                return make_respond(action, self._names)

    def _guarded(self, handler: Handler, access: AccessOptions) -> Handler:
        """Put around `handler` what `access` asks for.

        From the inside out: what every answer says; then the password; then CORS, whose preflights bring none.
        """
        if access.security_fields is not None:
            handler = with_security_fields(handler, access.security_fields)
        if access.asks_for_passwords:
            known = self._guards.get(access)
            if known is None:
                known = self._guards[access] = BasicAuth(users_of(access), access.realm)
            handler = known.protect(handler)
            self._depends_on |= basic_auth.DEPENDS_ON
        if access.cors is not None:
            handler = with_cors(handler, access.cors)
            self._depends_on |= cors.depends_on(access.cors)
        return handler

    def _steps_of(self, rewrites: tuple[RewriteOptions, ...]) -> Steps | None:
        if rewrites not in self._steps:
            self._steps[rewrites] = Steps(rewrites, self._names) if rewrites else None
        return self._steps[rewrites]

    def _fields_of(self, fields: tuple[tuple[str, str], ...]) -> Fields:
        if fields not in self._fields:
            self._fields[fields] = tuple(
                (
                    name.encode(),
                    Template(value, self._names, purpose=Purpose.FIELD, until=Phase.RESPONSE),
                )
                for name, value in fields
            )
        return self._fields[fields]

    def _pages_of(self, pages: tuple[tuple[int, str], ...]) -> dict[int, ErrorPage]:
        if pages not in self._pages:
            self._pages[pages] = dict(compile_pages(pages))
        return self._pages[pages]

    def _journal(self, options: tuple[LogOptions, ...]) -> SiteJournal:
        if options not in self._journals:
            entries = [
                Entry(
                    self._log(each.path, each.format),
                    compile_log_conditions(each.when, self._names),
                    each.sample,
                )
                for each in options
            ]
            self._journals[options] = SiteJournal(entries, self._clock)
        return self._journals[options]

    def _log(self, path: str, format_name: str) -> AccessLog:
        key = (path, format_name)
        if key not in self._opened_logs:
            log = AccessLog(self._formats[format_name], LogFile(path))
            self._opened_logs[key] = self._logs.add(log)
        return self._opened_logs[key]


def announced_names(config: Config) -> Names:
    """Return the variables of a configuration.

    Raises:
        ConfigError: a name cannot be used, or a regular expression is none.
    """
    names = Names()
    for each in config.maps:
        for pattern in patterns_of(dict(each.values)):
            names.add_captures(pattern)
        names.add_lazy(
            each.name,
            lambda each=each: make_map(each.source, dict(each.values), each.default, names),  # type: ignore[misc]
        )
    for site in config.sites:
        for name in site.names:
            pattern_of_name = _pattern_of_name(name)
            if pattern_of_name is not None:
                names.add_captures(pattern_of_name)
        announce(site.rewrites, names)
    for location in config.all_locations():
        announce(location.rewrites, names)
        for text in location.when:
            condition_pattern = parse_condition(text).pattern
            if condition_pattern is not None:
                names.add_captures(condition_pattern)
        if location.match.startswith("~"):
            match = parse_match(location.match)
            names.add_captures(
                compile_pattern(match.text, ignores_case=match.kind is Kind.REGEX_IGNORING_CASE)
            )
    return names


def _pattern_of_name(name: str) -> re.Pattern[bytes] | None:
    """Return the regular expression that a name of a site is, if it is one; hosts have no case."""
    return compile_pattern(name[1:], ignores_case=True) if name.startswith("~") else None


def _only_location(sites: list[model.Site]) -> model.Location | None:
    """Return what answers for everything, if there is only that and nothing to decide."""
    if len(sites) != 1 or sites[0].rewrites or sites[0].locations:
        return None
    rest = sites[0].rest
    if rest.fields or rest.error_pages or rest.is_internal or rest.rewrites:
        return None
    # Whatever looks at variables needs a request that was routed, and an answer that says for whom it is right.
    if any(log.when or log.format not in (COMBINED, JSON) for log in rest.logs):
        return None
    if isinstance(rest.action, StaticOptions):
        return None if any(map(_LOOKS_AT_VARIABLES.search, rest.action.try_files)) else rest
    return None if _has_variables(rest.action) else rest


def _has_variables(action: RedirectOptions | RespondOptions) -> bool:
    text = action.to if isinstance(action, RedirectOptions) else action.text
    return text is not None and "$" in text
