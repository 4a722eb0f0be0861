"""Which site answers for a host: nginx's order of preference, at a cost that does not depend on how many there are.

The exact name; else the longest `*.suffix`; else the longest `prefix.*`; else the first regular expression that
matches; else the default. Case does not count, nor does the port, nor a dot at the end. Names may be written in
Unicode; a request has them as A-labels (RFC 5890), and so they are converted once.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from chute.errors import ConfigError
from chute.variables.lookup import host_of

T = TypeVar("T")

EXAMPLE = "for example 'example.org', '*.example.org', 'www.*', '.example.org' or '~^www[0-9]+\\.'"

_LABELS = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_ADDRESS = re.compile(r"\[[0-9a-f:.]+\]")


class NameKind(Enum):
    """How a name of a site matches."""

    EXACT = "exact"
    SUFFIX = "*.suffix"
    PREFIX = "prefix.*"
    SUFFIX_AND_ITSELF = ".suffix"
    REGEX = "~regex"


class HostName(NamedTuple):
    """A name of a site.

    Attributes:
        kind: how it matches.
        text: the host, the suffix or prefix without its star and dot, or the regular expression.
    """

    kind: NameKind
    text: str

    def __str__(self) -> str:
        match self.kind:
            case NameKind.SUFFIX:
                return f"*.{self.text}"
            case NameKind.PREFIX:
                return f"{self.text}.*"
            case NameKind.SUFFIX_AND_ITSELF:
                return f".{self.text}"
            case NameKind.REGEX:
                return f"~{self.text}"
            case NameKind.EXACT:
                return self.text


def parse_name(text: str) -> HostName:
    """Read a name of a site.

    Raises:
        ConfigError: no host can have it.
    """
    if text.startswith("~"):
        if len(text) == 1:
            raise ConfigError("'~' is no regular expression", hint=EXAMPLE)
        return HostName(NameKind.REGEX, text[1:])
    if not text or text == "_":  # nginx's usual name for a site that no host leads to
        return HostName(NameKind.EXACT, text)
    if text.startswith("*."):
        return HostName(NameKind.SUFFIX, _labels(text[2:], text))
    if text.endswith(".*"):
        return HostName(NameKind.PREFIX, _labels(text[:-2], text))
    if text.startswith("."):
        return HostName(NameKind.SUFFIX_AND_ITSELF, _labels(text[1:], text))
    if _ADDRESS.fullmatch(text.lower()):
        return HostName(NameKind.EXACT, text.lower())
    return HostName(NameKind.EXACT, _labels(text.removesuffix("."), text))


def _labels(host: str, written: str) -> str:
    """Return `host` in lower case, as A-labels.

    Raises:
        ConfigError: it is no host.
    """
    if re.search(r":[0-9]+$", host):
        raise ConfigError(
            f"{written!r} is a name with a port", hint="the port belongs to the listener"
        )
    text = host.lower()
    if not text.isascii():
        try:
            text = text.encode("idna").decode()
        except UnicodeError as error:
            raise ConfigError(f"{written!r} is no name of a host: {error}") from error
    if _LABELS.fullmatch(text) is None:
        raise ConfigError(f"{written!r} is no name of a host", hint=EXAMPLE)
    return text


class Hosts(Generic[T]):
    """What hosts lead to."""

    def __init__(self, default: T) -> None:
        """Lead all of them to `default`."""
        self._default = default
        self._exact: dict[bytes, T] = {}
        self._suffixes: dict[bytes, T] = {}
        self._prefixes: dict[bytes, T] = {}
        self._patterns: list[tuple[re.Pattern[bytes], T]] = []

    def add(self, name: str, value: T, pattern: re.Pattern[bytes] | None = None) -> None:
        """Lead hosts of that name to `value`; the first that claims a name keeps it.

        Args:
            name: see `parse_name`.
            value: where to.
            pattern: the name compiled, if it is a regular expression.

        Raises:
            ConfigError: no host can have that name.
        """
        kind, text = parse_name(name)
        host = text.encode()
        match kind:
            case NameKind.EXACT:
                self._exact.setdefault(host, value)
            case NameKind.SUFFIX:
                self._suffixes.setdefault(host, value)
            case NameKind.PREFIX:
                self._prefixes.setdefault(host, value)
            case NameKind.SUFFIX_AND_ITSELF:
                self._exact.setdefault(host, value)
                self._suffixes.setdefault(host, value)
            case NameKind.REGEX:
                assert pattern is not None, "a regular expression is compiled by the caller"
                self._patterns.append((pattern, value))

    def how(self, authority: bytes) -> str:
        """Return in words what the host in `authority` is chosen by."""
        host = host_of(authority)
        if host in self._exact:
            return "exactly this name"
        labels = host.split(b".")
        for at in range(1, len(labels)):
            suffix = b".".join(labels[at:])
            if suffix in self._suffixes:
                return f"*.{suffix.decode()}, the longest suffix"
        for at in range(len(labels) - 1, 0, -1):
            prefix = b".".join(labels[:at])
            if prefix in self._prefixes:
                return f"{prefix.decode()}.*, the longest prefix"
        for pattern, _ in self._patterns:
            if host and pattern.search(host):
                return f"~{pattern.pattern.decode()}, the first regular expression that matches"
        return "no site has this name, and this is the default"

    def find(self, authority: bytes) -> tuple[T, re.Match[bytes] | None]:
        """Return what the host in `authority` leads to, and the match of the regular expression that led there.

        Args:
            authority: host and port, as received; empty if there was none.
        """
        host = host_of(authority)
        found = self._exact.get(host)
        if found is not None:
            return found, None
        if self._suffixes:
            at = host.find(b".")
            while at >= 0:
                found = self._suffixes.get(host[at + 1 :])
                if found is not None:
                    return found, None
                at = host.find(b".", at + 1)
        if self._prefixes:
            at = host.rfind(b".")
            while at >= 0:
                found = self._prefixes.get(host[:at])
                if found is not None:
                    return found, None
                at = host.rfind(b".", 0, at)
        # As in nginx, no host at all matches no regular expression, not even `~^$`.
        for pattern, value in self._patterns if host else ():
            match = pattern.search(host)
            if match is not None:
                return value, match
        return self._default, None
