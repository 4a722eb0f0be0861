"""Where to listen: `HOST:PORT`, `unix:PATH` or `fd:N`, as a value."""

from __future__ import annotations

import ipaddress
import re

import msgspec

from chute.errors import ConfigError

EXAMPLE = "127.0.0.1:8000, [::1]:8000, :8000 (every address), unix:/run/chute.sock or fd:3"

_HOST_AND_PORT = re.compile(
    r"(?:\[(?P<bracketed>[^\[\]]+)\]|(?P<host>[^:\[\]]*)):(?P<port>[0-9]{1,5})"
)

PORT_MAX = 65535


class TcpBind(msgspec.Struct, frozen=True, tag="tcp"):
    """A TCP address; an empty host means every address of the machine."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class UnixBind(msgspec.Struct, frozen=True, tag="unix"):
    """A Unix socket in the file system."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


class FdBind(msgspec.Struct, frozen=True, tag="fd"):
    """A listening socket inherited from whoever started us."""

    fd: int

    def __str__(self) -> str:
        return f"fd:{self.fd}"


Bind = TcpBind | UnixBind | FdBind


def parse_bind(text: str) -> Bind:
    """Return the bind that `text` describes.

    Raises:
        ConfigError: it describes none.
    """
    kind, _, rest = text.partition(":")
    if kind == "unix" and rest:
        return UnixBind(rest)
    if kind == "fd" and rest.isascii() and rest.isdigit():
        return FdBind(int(rest))
    match = _HOST_AND_PORT.fullmatch(text)
    if match is not None and int(match["port"]) <= PORT_MAX:
        host = match["bracketed"] or match["host"]
        return TcpBind("" if host == "*" else host, int(match["port"]))
    raise ConfigError(f"cannot listen at {text!r}", hint=f"write {EXAMPLE}")


def is_local(bind: Bind) -> bool:
    """Whether only this machine can reach `bind`; of an inherited descriptor that is not known."""
    if not isinstance(bind, TcpBind):
        return not str(bind).startswith("fd:")
    if bind.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(bind.host).is_loopback
    except ValueError:
        return False
