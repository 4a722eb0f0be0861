"""From documents to the configuration: what is taken over is written out, and everything that can be checked is.

A problem does not end the work: the part that has it is left out, and the next one is looked at, so that one run tells
all of them. Only if there was none is there a configuration.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from chute import collection
from chute.config.bind import TcpBind, UnixBind, parse_bind
from chute.config.complaints import Complaints
from chute.config.document import (
    ListenerTable,
    LogFormatTable,
)
from chute.config.load import Loader, Source
from chute.config.model import SHUTDOWN_TIMEOUT_S, Config, Listener, Map, Site
from chute.config.problems import InvalidConfig, Located, Path
from chute.config.quantities import Quantity
from chute.config.scope_parts import ScopeChecks
from chute.config.scopes import NOTHING, anchored, merge_scopes
from chute.config.site import SiteResolver, Surroundings
from chute.engine.limits import Limits
from chute.errors import ConfigError
from chute.middleware.log_template import TemplateFormat
from chute.middleware.options import COMBINED, JSON, LogFormatOptions
from chute.routing.hosts import NameKind, parse_name
from chute.variables.maps import make_map, patterns_of
from chute.variables.names import Names

DEFAULT_BIND = "127.0.0.1:8000"

WORKERS_MAX = 1024

_MODE = re.compile(r"0?[0-7]{3}")

LIMITS = {
    "head_timeout": "head_timeout_s",
    "body_timeout": "body_timeout_s",
    "keep_alive_timeout": "keep_alive_timeout_s",
    "send_timeout": "send_timeout_s",
    "linger_timeout": "linger_timeout_s",
    "target_max": "target_bytes_max",
    "head_max": "head_bytes_max",
    "fields_max": "fields_max",
    "content_max": "content_bytes_max",
    "chunk_max": "chunk_bytes_max",
}


def load_config(file: str, environ: Mapping[str, str], *, cores: int = 1) -> Config:
    """Read `file` and what it includes.

    Args:
        file: a `chute.toml`.
        environ: what `${NAME}` stands for.
        cores: what `workers = "auto"` stands for.

    Raises:
        InvalidConfig: something is wrong with it; says all of it.
        ConfigError: it cannot be read.
    """
    with collection.paused():
        loader = Loader(environ)
        loader.read(file)
        return resolve(loader, cores=cores)


def load_text(file: str, text: str, environ: Mapping[str, str], *, cores: int = 1) -> Config:
    """As `load_config`, for a `text` that is shown as `file`, whose folder relative paths are relative to."""
    with collection.paused():
        loader = Loader(environ)
        loader.take(file, text)
        return resolve(loader, cores=cores)


def resolve(loader: Loader, *, cores: int) -> Config:
    """Return what the documents of `loader` come to.

    Raises:
        InvalidConfig: something is wrong with them.
    """
    resolver = _Resolver(loader.sources, cores)
    problems = [*loader.problems, *resolver.problems]
    if problems or resolver.config is None:
        files = list(dict.fromkeys(problem.file for problem in problems))
        raise InvalidConfig(sorted(problems, key=lambda each: (files.index(each.file), each.line)))
    return resolver.config


class _Resolver:
    """Resolves once, when it is made.

    Attributes:
        problems: what was found.
        config: what it comes to, as far as it goes; None if there is nothing to go by.
    """

    def __init__(self, sources: Sequence[Source], cores: int) -> None:
        self.problems: list[Located] = []
        self.config: Config | None = None
        self._sources = sources
        self._names = Names()
        if not sources:
            return
        listeners = self._listeners()
        formats = self._log_formats()
        maps = self._maps()
        upstreams = {name for source in sources for name in source.document.upstream}
        surroundings = Surroundings(
            self._names,
            {listener.name: listener for listener in listeners},
            {COMBINED, JSON, *(each.name for each in formats)},
            upstreams,
        )
        sites = self._sites(surroundings)
        self._check_maps(maps)
        self._check_formats(formats)
        self.config = Config(
            listeners=listeners,
            sites=tuple(sites),
            maps=tuple(each for _, _, each in maps),
            log_formats=tuple(formats),
            workers=self._workers(cores),
            debug_headers=bool(self._scalar("debug_headers")),
            poller=self._scalar("poller") or "auto",  # type: ignore[arg-type]
            limits=self._limits(),
            pid_file=self._pid_file(),
            shutdown_timeout_s=self._shutdown_timeout_s(),
        )

    # ------------------------------------------------------------------ the process

    def _scalar(self, key: str) -> object:
        """Return what a key that stands outside of all tables is set to; twice is a problem."""
        found: object = None
        where: Source | None = None
        for source in self._sources:
            value = getattr(source.document, key)
            if value is None:
                continue
            if where is not None and value != found:
                what = f"{key} is {value!r} here, and {found!r} in {where.file}"
                self._complain(source, (key,), what, "say it once")
            found, where = value, source
        return found

    def _pid_file(self) -> str | None:
        path = self._scalar("pid_file")
        if not isinstance(path, str):
            return None
        folder = next(each.folder for each in self._sources if each.document.pid_file == path)
        return os.path.join(folder, path)

    def _shutdown_timeout_s(self) -> float:
        timeout = self._scalar("shutdown_timeout")
        return timeout.value if isinstance(timeout, Quantity) else SHUTDOWN_TIMEOUT_S

    def _workers(self, cores: int) -> int:
        workers = self._scalar("workers")
        if workers == "auto":
            return cores
        if isinstance(workers, int) and not 1 <= workers <= WORKERS_MAX:
            source = next(each for each in self._sources if each.document.workers == workers)
            self._complain(
                source,
                ("workers",),
                f"{workers} workers cannot be started",
                f'from 1 to {WORKERS_MAX}, or "auto"',
            )
            return 1
        return workers if isinstance(workers, int) else 1

    def _limits(self) -> Limits:
        given: dict[str, float | int] = {}
        for source in self._sources:
            table = source.document.limits
            if table is None:
                continue
            for key, attribute in LIMITS.items():
                value = getattr(table, key)
                if value is None:
                    continue
                number = value.value if isinstance(value, Quantity) else value
                if number <= 0:
                    self._complain(source, ("limits", key), f"{key} must be more than nothing", "")
                    continue
                given[attribute] = number if attribute.endswith("_s") else int(number)
        return Limits(**given)  # type: ignore[arg-type]

    # ------------------------------------------------------------------ listeners

    def _listeners(self) -> tuple[Listener, ...]:
        found: dict[str, Listener] = {}
        binds: dict[str, str] = {}
        for source in self._sources:
            for name, table in source.document.listener.items():
                path: Path = ("listener", name)
                if name in found:
                    self._complain(
                        source, path, f"a listener {name!r} is there already", "rename one"
                    )
                    continue
                try:
                    listener = _listener(name, table, source.folder)
                except ConfigError as error:
                    self._complain(source, path, str(error), error.hint)
                    continue
                other = binds.get(str(listener.bind))
                if other is not None and getattr(listener.bind, "port", 1) != 0:
                    hint = "let the sites of both name one of them"
                    what = f"{listener.bind} is what the listener {other!r} listens at"
                    self._complain(source, (*path, "bind"), what, hint)
                    continue
                binds[str(listener.bind)] = name
                found[name] = listener
        if not found and not any(source.document.listener for source in self._sources):
            return (Listener(name="default", bind=parse_bind(DEFAULT_BIND)),)
        return tuple(found.values())

    # ------------------------------------------------------------------ variables and formats

    def _maps(self) -> list[tuple[Source, Path, Map]]:
        found: list[tuple[Source, Path, Map]] = []
        for source in self._sources:
            for name, table in source.document.map.items():
                each = Map(
                    name=name,
                    source=table.source,
                    values=tuple(table.values.items()),
                    default=table.default,
                )
                path: Path = ("map", name)
                try:
                    for pattern in patterns_of(table.values):
                        self._names.add_captures(pattern)
                    self._names.add_lazy(
                        name,
                        lambda each=each: make_map(  # type: ignore[misc]
                            each.source, dict(each.values), each.default, self._names
                        ),
                    )
                except ConfigError as error:
                    self._complain(source, path, str(error), error.hint)
                    continue
                found.append((source, path, each))
        return found

    def _check_maps(self, maps: list[tuple[Source, Path, Map]]) -> None:
        for source, path, each in maps:
            try:
                self._names.find(each.name)
            except ConfigError as error:
                self._complain(source, path, str(error), error.hint)

    def _log_formats(self) -> list[LogFormatOptions]:
        found: dict[str, LogFormatOptions] = {}
        for source in self._sources:
            for name, written in source.document.log_format.items():
                if name in found or name in (COMBINED, JSON):
                    self._complain(
                        source,
                        ("log_format", name),
                        f"a format {name!r} is there already",
                        "rename it",
                    )
                    continue
                table = LogFormatTable(template=written) if isinstance(written, str) else written
                found[name] = LogFormatOptions(
                    name=name, template=table.template, escape=table.escape or "default"
                )
        return list(found.values())

    def _check_formats(self, formats: Sequence[LogFormatOptions]) -> None:
        for each in formats:
            try:
                TemplateFormat(each.template, self._names, each.escape)
            except ConfigError as error:
                for source in self._sources:
                    if each.name in source.document.log_format:
                        self._complain(source, ("log_format", each.name), str(error), error.hint)

    # ------------------------------------------------------------------ sites

    def _sites(self, surroundings: Surroundings) -> list[Site]:
        defaults = NOTHING
        for source in self._sources:
            if source.document.defaults is not None:
                complaints = Complaints(source)
                checks = ScopeChecks(complaints, self._names, surroundings.formats)
                checks.check(("defaults",), source.document.defaults)
                self.problems.extend(complaints.problems)
                defaults = merge_scopes(defaults, anchored(source.document.defaults, source.folder))
        resolvers = [
            SiteResolver(source, ("site", index), table, surroundings)
            for source in self._sources
            for index, table in enumerate(source.document.site)
        ]
        for resolver in resolvers:
            resolver.announce()
        sites = [resolver.resolve(defaults) for resolver in resolvers]
        for resolver in resolvers:
            self.problems.extend(resolver.problems)
        self._check_hosts(resolvers, surroundings)
        if not resolvers:
            hint = 'a [[site]] with root = "/srv/www" serves that folder'
            self._complain(self._sources[0], (), "there is no site", hint)
        return sites

    def _check_hosts(self, resolvers: Sequence[SiteResolver], surroundings: Surroundings) -> None:
        """See that each name leads to one site at each listener, and that each listener has a site."""
        taken: dict[tuple[str, str], SiteResolver] = {}
        defaults: dict[str, SiteResolver] = {}
        served: set[str] = set()
        for resolver in resolvers:
            for listener in resolver.table.listeners or surroundings.listeners:
                served.add(listener)
                self._check_default(resolver, listener, defaults)
                for index, name in enumerate(resolver.table.names):
                    forms = [(listener, form) for form in _forms_of_name(name)]
                    others = [taken.setdefault(form, resolver) for form in forms]
                    other = next((each for each in others if each is not resolver), resolver)
                    if other is not resolver:
                        what = f"{name!r} is a name of {other.shown} already"
                        path = (*resolver.path, "names", index)
                        self._complain(resolver.source, path, what, "a name leads to one site")
        for source in self._sources:
            for name in source.document.listener:
                if name in surroundings.listeners and name not in served and resolvers:
                    what = f"no site is served at the listener {name!r}"
                    hint = "name it in the listeners of a site"
                    self._complain(source, ("listener", name), what, hint)

    def _check_default(
        self, resolver: SiteResolver, listener: str, defaults: dict[str, SiteResolver]
    ) -> None:
        if not resolver.table.default:
            return
        other = defaults.setdefault(listener, resolver)
        if other is not resolver:
            what = f"{resolver.shown} and {other.shown} are both the default of {listener!r}"
            self._complain(resolver.source, (*resolver.path, "default"), what, "choose one")

    def _complain(self, source: Source, path: Path, what: str, hint: str) -> None:
        if source.is_incomplete(path):
            return
        located = source.locate(path, what, hint)
        if located not in self.problems:
            self.problems.append(located)


def _forms_of_name(name: str) -> tuple[str, ...]:
    """Return what two names have in common that mean the same hosts; `.suffix` is two names in one."""
    try:
        parsed = parse_name(name)
    except ConfigError:
        return (name,)  # which was told where it is written
    if parsed.kind is NameKind.SUFFIX_AND_ITSELF:
        return parsed.text, f"*.{parsed.text}"
    return (str(parsed),)


def _listener(name: str, table: ListenerTable, folder: str) -> Listener:
    """Return a listener.

    Raises:
        ConfigError: nobody can listen like that.
    """
    bind = parse_bind(table.bind)
    if isinstance(bind, UnixBind):
        bind = UnixBind(os.path.join(folder, bind.path))
    elif table.mode is not None or table.owner is not None:
        kind = "a TCP address" if isinstance(bind, TcpBind) else "an inherited socket"
        raise ConfigError(
            f"{kind} has no mode and no owner", hint="they are for Unix sockets: unix:PATH"
        )
    mode = None
    if table.mode is not None:
        if _MODE.fullmatch(table.mode) is None:
            raise ConfigError(f"{table.mode!r} are no permissions", hint='for example "0660"')
        mode = int(table.mode, 8)
    owner = (-1, -1) if table.owner is None else _owner(table.owner)
    return Listener(name=name, bind=bind, mode=mode, owner=owner)


def _owner(text: str) -> tuple[int, int]:
    import grp  # noqa: PLC0415 - not everywhere
    import pwd  # noqa: PLC0415 - not everywhere

    user, _, group = text.partition(":")
    try:
        user_id = -1 if not user else int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid
    except KeyError:
        raise ConfigError(f"there is no user {user!r}", hint="check the spelling") from None
    try:
        group_id = (
            -1 if not group else int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
        )
    except KeyError:
        raise ConfigError(f"there is no group {group!r}", hint="check the spelling") from None
    return user_id, group_id
