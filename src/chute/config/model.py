"""The whole configuration as one frozen value. Every command builds one; nothing else reaches `compose`.

Nothing in it is a default to be looked up or a name to be found in a file: what a site takes over from others is
written out for each location (`resolve` does that), so that a value means the same wherever it came from.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from chute.config.bind import Bind
from chute.engine.limits import Limits
from chute.middleware.options import AccessOptions, LogFormatOptions, LogOptions
from chute.routing.options import RedirectOptions, RespondOptions, RewriteOptions
from chute.static.options import StaticOptions

LogFormat = Literal["combined", "json"]
PollerChoice = Literal["auto", "portable"]

LOG_OFF = "off"

SHUTDOWN_TIMEOUT_S = 30.0

Action = StaticOptions | RedirectOptions | RespondOptions


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen.

    Attributes:
        name: under which sites know it.
        bind: the address.
        mode: permissions of a Unix socket, or None for what the process's mask leaves.
        owner: user id and group id that a Unix socket is given to; -1 leaves one as it is.
    """

    name: str
    bind: Bind
    mode: int | None = None
    owner: tuple[int, int] = (-1, -1)


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """What answers for a part of a site.

    Attributes:
        match: as in a document.
        when: conditions, all of which must hold.
        is_internal: whether only the server itself leads here.
        rewrites: steps that are taken first.
        action: what answers.
        access: who may come in, and what every answer says.
        fields: for every answer: name, and text with variables.
        error_pages: what is shown for failures, by status.
        logs: where answers are noted.
        locations: within this one.
    """

    match: str
    when: tuple[str, ...] = ()
    is_internal: bool = False
    rewrites: tuple[RewriteOptions, ...] = ()
    action: Action
    access: AccessOptions = AccessOptions()
    fields: tuple[tuple[str, str], ...] = ()
    error_pages: tuple[tuple[int, str], ...] = ()
    logs: tuple[LogOptions, ...] = ()
    locations: tuple[Location, ...] = ()


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What answers for some hosts.

    Attributes:
        names: as in a document.
        is_default: whether it answers for hosts that no site names.
        listeners: names of the listeners where it is served; none for all of them.
        rewrites: steps that are taken before a location is looked for.
        locations: what a path leads to.
        rest: what answers for what no location is for; its `match` means nothing.
    """

    names: tuple[str, ...] = ()
    is_default: bool = False
    listeners: tuple[str, ...] = ()
    rewrites: tuple[RewriteOptions, ...] = ()
    locations: tuple[Location, ...] = ()
    rest: Location


class Map(msgspec.Struct, frozen=True, kw_only=True):
    """A variable whose value is looked up by that of another.

    Attributes:
        name: without a dollar sign.
        source: what is looked up.
        values: by what is looked up, in order.
        default: when nothing matches.
    """

    name: str
    source: str
    values: tuple[tuple[str, str], ...] = ()
    default: str = ""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set.

    Attributes:
        listeners: where to listen.
        sites: what is served; each listener has at least one.
        maps: variables.
        log_formats: formats of access logs beside the built-in ones.
        workers: processes that serve; each has an engine of its own.
        debug_headers: whether answers tell how they are carried.
        poller: `auto` takes epoll where there is one; `portable` does without.
        limits: bounds for peers.
        pid_file: where the number of the process is written, or None.
        shutdown_timeout_s: how long answers that are on their way may take when the server is to end (QUIT).
    """

    listeners: tuple[Listener, ...]
    sites: tuple[Site, ...]
    maps: tuple[Map, ...] = ()
    log_formats: tuple[LogFormatOptions, ...] = ()
    workers: int = 1
    debug_headers: bool = False
    poller: PollerChoice = "auto"
    limits: Limits = Limits()
    pid_file: str | None = None
    shutdown_timeout_s: float = SHUTDOWN_TIMEOUT_S

    def all_locations(self) -> list[Location]:
        """Return every location of every site, and what answers for the rest of each."""
        found: list[Location] = []
        for site in self.sites:
            found.append(site.rest)
            waiting = list(reversed(site.locations))
            while waiting:
                location = waiting.pop()
                found.append(location)
                waiting.extend(reversed(location.locations))
        return found


def one_folder(static: StaticOptions, access: AccessOptions, logs: tuple[LogOptions, ...]) -> Site:
    """Return a site that serves one folder to every host: what `chute serve` means."""
    whole = Location(match="/", action=static, access=access, logs=logs)
    if static.prefix == "/":
        return Site(rest=whole)
    beneath = msgspec.structs.replace(whole, match=static.prefix.rstrip("/"))
    nothing = msgspec.structs.replace(whole, action=RespondOptions(status=404))
    return Site(locations=(beneath,), rest=nothing)
