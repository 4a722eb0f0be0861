"""What can be meant but is seldom wanted: the traps that linters of nginx configurations look for, and our own.

Each is a warning and no error. A trap is found in the configuration as it will be served, so it does not matter how it
was written.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from chute.config.model import Config, Location, Site
from chute.routing.locations import Kind, parse_match
from chute.routing.options import RedirectOptions, RespondOptions, RewriteOptions
from chute.static.options import StaticOptions
from chute.variables.patterns import compile_pattern

SECRETS: Final = (
    "*.key",
    "*.pem",
    "*.p12",
    "*.pfx",
    "*.kdbx",
    "id_rsa*",
    "id_ed25519*",
    "*.sql",
    "*.sqlite3",
    "*.bak",
    "docker-compose*.y*ml",
    "Dockerfile",
    "credentials*",
    "secrets*",
    "wp-config.php*",
    "web.config",
    "nginx.conf",
    "chute.toml",
)
"""Names of files that are not for everybody."""

HIDDEN_SECRETS: Final = (".env*", ".git", ".svn", ".hg", ".htpasswd", ".ssh", ".aws", ".npmrc")

ENTRIES_MAX: Final = 10_000
"""Names that are looked at in a root: its first level, as far as this."""

_KEEPS_OUT: Final = frozenset({401, 403, 404, 410})

_HOST_IN_REDIRECT = re.compile(r"https?://\$(?:http_host|host)\b|\$scheme://\$(?:http_host|host)\b")
_USER_SAID = re.compile(r"\$\{?(?:arg_|http_|cookie_|args\b|query_string\b)")


class Trap(NamedTuple):
    """One of them.

    Attributes:
        where: site and location, in words.
        what: what is wrong.
        instead: what to do.
    """

    where: str
    what: str
    instead: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} ({self.instead})"


def find_traps(config: Config, file: str) -> list[Trap]:
    """Return the traps in `config`, which was read from `file`."""
    found: list[Trap] = []
    roots: dict[str, tuple[str, StaticOptions]] = {}
    for site in config.sites:
        name = f"site {site.names[0]!r}" if site.names else "site"
        found.extend(_redirects(name, site, None, site.rewrites))
        found.extend(_shadowed(name, site))
        found.extend(_dead_ends(name, site))
        for location in (site.rest, *_all(site.locations)):
            where = name if location is site.rest else f"{name}, location {location.match!r}"
            found.extend(_redirects(where, site, location.action, location.rewrites))
            found.extend(_aliases(where, location))
            if isinstance(location.action, StaticOptions):
                roots.setdefault(location.action.root, (where, location.action))
    for root, (where, options) in roots.items():
        found.extend(_secrets(where, root, options))
        found.extend(_configuration(where, root, options, file))
    return found


def _all(locations: Sequence[Location]) -> Iterator[Location]:
    for location in locations:
        yield location
        yield from _all(location.locations)


# ------------------------------------------------------------------ redirects


def _redirects(
    where: str, site: Site, action: object, rewrites: Sequence[RewriteOptions]
) -> Iterator[Trap]:
    """Redirects that send people where somebody else wants them."""
    answers = [action, *(each.answer for each in rewrites)]
    targets = [each.to for each in answers if isinstance(each, RedirectOptions)]
    targets += [each.to or "" for each in rewrites if each.then in ("redirect", "permanent")]
    for target in targets:
        if _USER_SAID.match(target):
            yield Trap(
                where,
                f"{target!r} redirects to whatever the client asks for",
                "begin with a host or a slash",
            )
        elif target.startswith("//"):
            yield Trap(
                where,
                f"{target!r} is a host to a browser, and no path",
                "begin with one slash, or with https://",
            )
        elif site.is_default and _HOST_IN_REDIRECT.match(target):
            yield Trap(
                where,
                f"{target!r} repeats the host of the request, and the default site answers for any",
                "name the host",
            )


# ------------------------------------------------------------------ aliases


def _aliases(where: str, location: Location) -> Iterator[Trap]:
    """In nginx, `location /img { alias /data/img/; }` serves `/img../secret`; here it is only missing."""
    action = location.action
    if not isinstance(action, StaticOptions) or action.prefix == "/":
        return
    match = parse_match(location.match)
    if not match.text.endswith("/"):
        yield Trap(
            where,
            f"also answers for {match.text}-and-more, where it finds nothing (nginx would serve what is beside "
            "the folder)",
            f'write match = "{match.shown}/"',
        )


# ------------------------------------------------------------------ locations that nobody reaches


def _shadowed(name: str, site: Site) -> Iterator[Trap]:
    """Locations that another one takes everything from."""
    patterns: list[tuple[re.Pattern[bytes], str]] = []
    catch_all: str | None = None
    for location in site.locations:
        match = parse_match(location.match)
        if match.kind not in (Kind.REGEX, Kind.REGEX_IGNORING_CASE):
            continue
        where = f"{name}, location {location.match!r}"
        if catch_all is not None:
            yield Trap(where, f"{catch_all!r} comes first and matches every path", "put it before")
        ignores_case = match.kind is Kind.REGEX_IGNORING_CASE
        pattern = compile_pattern(match.text, ignores_case=ignores_case)
        if any(
            pattern.pattern == other.pattern and (other.flags & re.IGNORECASE or not ignores_case)
            for other, _ in patterns
        ):
            yield Trap(where, "the same expression stands before it", "make one of the two")
        if location.when:
            continue
        patterns.append((pattern, location.match))
        if _matches_everything(pattern):
            catch_all = location.match
    for location in site.locations:
        yield from _pierced(name, location, patterns)


def _pierced(
    name: str, location: Location, patterns: Sequence[tuple[re.Pattern[bytes], str]]
) -> Iterator[Trap]:
    """A prefix that is to keep people out, and a regular expression that lets them in."""
    match = parse_match(location.match)
    action = location.action
    keeps_out = isinstance(action, RespondOptions) and action.status in _KEEPS_OUT
    if match.kind is not Kind.PREFIX or location.when or not keeps_out:
        return
    beneath = match.text.rstrip("/").encode() + b"/secret"
    for pattern, other in patterns:
        for path in (beneath + b".php", beneath + b".js", beneath + b".jpg", beneath):
            if pattern.search(path):
                what = f"{other!r} comes before it for {path.decode()}"
                where = f"{name}, location {location.match!r}"
                yield Trap(where, what, f'write match = "^~ {match.text}"')
                return


def _matches_everything(pattern: re.Pattern[bytes]) -> bool:
    return all(pattern.search(path) for path in (b"/", b"/a", b"/a/b.c", b"/%\xff~", b"/\n"))


def _dead_ends(name: str, site: Site) -> Iterator[Trap]:
    """Sites where nothing answers."""
    is_missing = isinstance(site.rest.action, RespondOptions)
    if is_missing and not site.locations and not site.rewrites:
        yield Trap(name, "has neither a root nor a location: every answer is 404", "add root")


# ------------------------------------------------------------------ roots


def _secrets(where: str, root: str, options: StaticOptions) -> Iterator[Trap]:
    """Files that are not for everybody, in a folder that is."""
    if options.only is not None:
        return
    if root == "/":
        yield Trap(where, "serves the whole machine", "name a folder of its own")
        return
    patterns = (*SECRETS, *(HIDDEN_SECRETS if options.hidden else ()))
    seen = []
    try:
        with os.scandir(root) as entries:
            for _, entry in zip(range(ENTRIES_MAX), entries, strict=False):
                if any(fnmatch.fnmatch(entry.name, pattern) for pattern in patterns):
                    seen.append(entry.name)
    except OSError:
        return
    if seen:
        names = ", ".join(sorted(seen)[:5])
        more = f" and {len(seen) - 5} more" if len(seen) > 5 else ""
        yield Trap(
            where, f"anybody can fetch {names}{more} from {root}", "move them out of the root"
        )


def _configuration(where: str, root: str, options: StaticOptions, file: str) -> Iterator[Trap]:
    """The configuration itself, or a password file, beneath a root."""
    if options.only is not None:
        return
    path = os.path.realpath(file)
    inside = os.path.realpath(root) + os.sep
    name = os.path.relpath(path, inside)
    is_first_level = os.sep not in name and any(fnmatch.fnmatch(name, each) for each in SECRETS)
    if path.startswith(inside) and not is_first_level:
        yield Trap(
            where, f"the configuration itself, {name}, can be fetched from {root}", "move it"
        )
